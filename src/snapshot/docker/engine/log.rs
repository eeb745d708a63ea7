//! The last lines of a container's log.

use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::{Connection, EngineError};
use crate::probe::LogLine;
use crate::report::escape;

/// Lines of a log, and characters of each.
const MOST_LINES: usize = 200;
const LONGEST_LINE: usize = 1000;
/// How far back it is read where nobody says from when, in seconds.
const LAST_SECONDS: i64 = 600;
/// Bytes of a log that are read, however many lines these are.
const MOST_BYTES: usize = 4 << 20;
/// Limit for reading.
const LIMIT: Duration = Duration::from_secs(10);

/// The last lines of a container's log, of both its streams, the oldest first: at most `tail` and never more than 200, of 1,000 characters,
/// escaped; from `since` on, else of the last ten minutes.
///
/// # Errors
///
/// [`EngineError::Failed`] where the engine does not give it: no such container, or a logging driver that cannot be read.
pub async fn log(connection: &Connection, id: &str, since: Option<Timestamp>, tail: usize) -> Result<Vec<LogLine>, EngineError> {
    let since = since.map_or_else(|| Timestamp::now().as_second() - LAST_SECONDS, Timestamp::as_second);
    let options = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(i32::try_from(since.max(0)).unwrap_or(i32::MAX))
        .tail(&tail.min(MOST_LINES).to_string())
        .build();
    let mut stream = std::pin::pin!(connection.docker().logs(id, Some(options)));
    let (mut lines, mut read, deadline) = (Vec::new(), 0, Instant::now() + LIMIT);
    while let Ok(Some(part)) = timeout_at(deadline, stream.next()).await {
        match part {
            Ok(part) => {
                let bytes = part.as_ref();
                read += bytes.len();
                lines.extend(String::from_utf8_lossy(bytes).lines().map(line));
            }
            // A last line without its end is an error of the stream, and no reason to lose the others.
            Err(_) if !lines.is_empty() => break,
            Err(error) => return Err(connection.failed("a log", &error)),
        }
        if read > MOST_BYTES || lines.len() >= MOST_LINES {
            break;
        }
    }
    lines.truncate(MOST_LINES);
    Ok(lines)
}

/// A line as the engine writes it, with the time in front.
fn line(written: &str) -> LogLine {
    let timed = written.split_once(' ').and_then(|(at, text)| Some((at.parse().ok()?, text)));
    let (at, text) = timed.map_or((None, written), |(at, text)| (Some(at), text));
    let text: String = text.trim_end().chars().take(LONGEST_LINE).collect();
    LogLine { at, text: escape::line(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_from_its_time_escaped_and_cut() {
        let read = line("2026-11-24T08:00:00.123456789Z [error] connect() failed\u{1b}[0m\r");
        assert_eq!(read.at, "2026-11-24T08:00:00.123456789Z".parse().ok());
        assert_eq!(read.text, "[error] connect() failed\\u{1b}[0m");
        let read = line("no time here");
        assert_eq!((read.at, read.text.as_str()), (None, "no time here"));
        assert_eq!(line(&"x".repeat(5000)).text.len(), LONGEST_LINE);
    }
}
