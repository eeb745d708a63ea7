//! A vantage behind standard streams: one probe a line comes in as JSON, one observation a line goes out.
//!
//! This is what a helper does that an engine runs in a container's network. It ends with its input, or where nobody has asked for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{self, AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Vantage;
use crate::agent::rules;
use crate::probe::{Observation, Probe};
use crate::stream::MESSAGE_LIMIT;

/// Answers that wait to be written.
const WAITING: usize = 64;
/// It ends where nobody has asked for so long.
pub const IDLE: Duration = Duration::from_secs(120);

/// A line that is no probe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The streams are broken.
    #[error("the streams are broken: {0}")]
    Broken(#[from] io::Error),
    /// A line is too long.
    #[error("a line is longer than {MESSAGE_LIMIT} bytes")]
    TooLong,
    /// It is not understood, as where it comes from another version.
    #[error("a line is no probe: {0}")]
    NoProbe(#[from] serde_json::Error),
}

/// Answers until the input ends. What is under way then is finished.
///
/// # Errors
/// At the first line that is no probe.
pub async fn serve(
    vantage: Arc<dyn Vantage>,
    mut input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<(), Error> {
    let (answers, mut answered) = mpsc::channel(WAITING);
    let asking = async move {
        let mut under_way = JoinSet::new();
        while let Ok(line) = tokio::time::timeout(IDLE, line(&mut input)).await {
            let Some(line) = line? else { break };
            let probe: Probe = serde_json::from_slice(&line)?;
            let (vantage, answers) = (vantage.clone(), answers.clone());
            under_way.spawn(async move { drop(answers.send(answer(&*vantage, probe).await).await) });
            while under_way.try_join_next().is_some() {}
        }
        drop(answers);
        under_way.join_all().await;
        Ok(())
    };
    let writing = async move {
        while let Some(observation) = answered.recv().await {
            let mut line = serde_json::to_vec(&observation)?;
            line.push(b'\n');
            output.write_all(&line).await?;
            output.flush().await?;
        }
        Ok(())
    };
    tokio::try_join!(asking, writing).map(|((), ())| ())
}

async fn answer(vantage: &dyn Vantage, probe: Probe) -> Observation {
    match rules::refusal(&probe) {
        Some(why) => Observation::not_sent(probe, vantage.name().to_owned(), jiff::Timestamp::now(), why),
        None => vantage.ask(&probe).await,
    }
}

/// The next line; none at the end.
pub async fn line(input: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>, Error> {
    let mut line = Vec::new();
    input.take(MESSAGE_LIMIT as u64).read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() == MESSAGE_LIMIT => Err(Error::TooLong),
        // The other side ended within a line, which nobody can answer.
        Some(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::probe::Outcome;

    /// Answers late where a probe has a short limit, so that answers come in another order.
    struct Slow;

    impl Vantage for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(10).saturating_sub(probe.timeout)).await;
                Observation {
                    outcome: Outcome::Connected,
                    ..Observation::not_sent(probe.clone(), "slow".into(), jiff::Timestamp::UNIX_EPOCH, String::new())
                }
            })
        }
    }

    fn probe(seconds: u64) -> Probe {
        Probe { timeout: Duration::from_secs(seconds), ..Probe::connect(([10, 0, 0, 7], 80).into()) }
    }

    async fn served(input: &str) -> (Result<(), Error>, Vec<Observation>) {
        let mut output = Vec::new();
        let result = serve(Arc::new(Slow), input.as_bytes(), &mut output).await;
        let text = String::from_utf8(output).expect("lines");
        (result, text.lines().map(|l| serde_json::from_str(l).expect("an observation")).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn probes_run_at_once_and_all_are_answered() {
        let lines: String = [probe(1), probe(5), probe(60)].iter().map(|p| serde_json::to_string(p).expect("JSON") + "\n").collect();
        let (result, seen) = served(&lines).await;
        assert!(result.is_ok());
        assert!(matches!(&seen[0].outcome, Outcome::NotSent(why) if why.contains("limit")), "{:?}", seen[0]);
        assert_eq!(seen.iter().map(|o| o.probe.clone()).collect::<Vec<_>>(), [probe(60), probe(5), probe(1)]);
    }

    #[tokio::test]
    async fn what_is_no_probe_ends_it() {
        assert!(matches!(served("{}\n").await.0, Err(Error::NoProbe(_))));
        assert!(matches!(served(&"x".repeat(MESSAGE_LIMIT + 1)).await.0, Err(Error::TooLong)));
        assert!(served("").await.0.is_ok());
        assert!(served("{\"quest").await.0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_where_nobody_asks() {
        let (_kept, input) = io::duplex(64);
        assert!(serve(Arc::new(Slow), io::BufReader::new(input), io::sink()).await.is_ok());
    }
}
