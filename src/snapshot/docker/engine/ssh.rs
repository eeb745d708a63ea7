//! An engine behind ssh: the `ssh` program runs `docker system dial-stdio` there, as the docker client does, so that the user's own keys,
//! agent and configuration count.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::dial::Stream;
use crate::report::escape;

/// Characters kept of what ssh says.
const LONGEST_COMPLAINT: usize = 300;

/// What ssh last said on its standard error.
#[derive(Clone, Debug, Default)]
pub struct Said(Arc<Mutex<String>>);

impl Said {
    /// The last line, where there was one.
    pub fn text(&self) -> Option<String> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!text.is_empty()).then_some(text)
    }

    fn say(&self, line: &str) {
        let line: String = line.trim().chars().take(LONGEST_COMPLAINT).collect();
        if !line.is_empty() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = escape::line(&line);
        }
    }
}

/// Starts ssh; its end is that of the stream. Nothing is asked of a terminal: what needs a password fails.
pub fn open(destination: &str, port: Option<u16>, socket: Option<&str>, said: &Said) -> io::Result<Box<dyn Stream>> {
    let mut child = Command::new("ssh")
        .args(arguments(destination, port, socket))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("the ssh program cannot be started: {e}")))?;
    let gone = || io::Error::other("ssh has no standard streams");
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(listen(stderr, said.clone()));
    }
    let (stdin, stdout) = (child.stdin.take().ok_or_else(gone)?, child.stdout.take().ok_or_else(gone)?);
    Ok(Box::new(Piped { stdin, stdout, _child: child }))
}

fn arguments(destination: &str, port: Option<u16>, socket: Option<&str>) -> Vec<String> {
    let mut arguments: Vec<String> = ["-T", "-o", "ConnectTimeout=10", "-o", "BatchMode=yes"].map(str::to_owned).into();
    if let Some(port) = port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments.extend(["--", destination, "docker"].map(str::to_owned));
    if let Some(socket) = socket {
        // The other end's shell reads it.
        arguments.extend(["--host".to_owned(), format!("'unix://{}'", socket.replace('\'', r"'\''"))]);
    }
    arguments.extend(["system", "dial-stdio"].map(str::to_owned));
    arguments
}

async fn listen(stderr: ChildStderr, said: Said) {
    let mut lines = BufReader::new(tokio::io::AsyncReadExt::take(stderr, 1 << 16)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        said.say(&line);
    }
}

/// A program's standard streams as one connection. The program ends with it.
struct Piped {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

impl AsyncRead for Piped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Piped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_told_where_and_never_takes_a_host_for_an_option() {
        let arguments = arguments("ops@lab", Some(2222), Some("/run/it's.sock")).join(" ");
        assert!(arguments.ends_with(r"-p 2222 -- ops@lab docker --host 'unix:///run/it'\''s.sock' system dial-stdio"), "{arguments}");
    }
}
