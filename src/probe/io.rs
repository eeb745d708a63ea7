//! What all probes share: connecting, and a stream that remembers how it went.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::head::HeadReader;
use super::{Outcome, Signature};

/// Bytes remembered of what came first.
const FIRST_BYTES: usize = 64;

/// Opens a connection that closes with a reset, so that no TIME_WAIT is left on the gateway.
pub async fn connect(to: SocketAddr) -> Result<TcpStream, Outcome> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(|e| Outcome::NotSent(format!("no socket: {e}")))?;
    let stream = socket.connect(to).await.map_err(|e| connect_failure(&e))?;
    // Failing to set it only costs a TIME_WAIT.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// What a failed connect says about the network; what only says something about this process is not sent.
fn connect_failure(error: &io::Error) -> Outcome {
    let signature = match error.kind() {
        io::ErrorKind::ConnectionRefused => Signature::Refused,
        io::ErrorKind::TimedOut => Signature::ConnTimeout,
        io::ErrorKind::HostUnreachable => Signature::HostUnreach,
        io::ErrorKind::NetworkUnreachable => Signature::NetUnreach,
        // A peer that resets during the handshake turns the connection away like one that refuses it.
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Signature::Refused,
        _ => return Outcome::NotSent(format!("the connection could not be tried: {error}")),
    };
    broken(signature, String::new())
}

/// An outcome without further bytes.
pub fn broken(signature: Signature, detail: impl Into<String>) -> Outcome {
    Outcome::Broken { signature, detail: detail.into(), first_bytes: Vec::new() }
}

/// How a stream went so far.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The first bytes that came.
    pub first_bytes: Vec<u8>,
    /// Whether the peer closed its side.
    pub closed: bool,
    /// Whether the peer reset the connection.
    pub reset: bool,
    /// The TLS alert that the peer ended the connection with, where the stream is encrypted.
    pub alert: Option<rustls::AlertDescription>,
    /// The head of an HTTP/1 response.
    pub head: HeadReader,
}

impl Trace {
    /// The failure that a connected stream shows when no response came: closed, reset, or silent.
    pub fn ending(&self) -> Signature {
        if self.reset {
            Signature::RstEarly
        } else if self.closed {
            Signature::EofEarly
        } else {
            Signature::ReadTimeout
        }
    }
}

/// A stream that remembers its first bytes and how it ended, whatever reads from it.
#[derive(Debug)]
pub struct Tap<S> {
    inner: S,
    trace: Arc<Mutex<Trace>>,
}

impl<S> Tap<S> {
    /// Wraps a stream; the trace stays readable after the stream was given away.
    pub fn new(inner: S) -> (Self, Arc<Mutex<Trace>>) {
        let trace = Arc::new(Mutex::new(Trace::default()));
        (Tap { inner, trace: trace.clone() }, trace)
    }
}

/// A copy of a trace as it stands.
pub fn read_trace(trace: &Mutex<Trace>) -> Trace {
    trace.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn note<T>(trace: &Mutex<Trace>, result: &Poll<io::Result<T>>) {
    let Poll::Ready(Err(error)) = result else { return };
    let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
    trace.reset |= matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted);
    if let Some(rustls::Error::AlertReceived(alert)) = error.get_ref().and_then(|e| e.downcast_ref()) {
        trace.alert = Some(*alert);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            // Many servers end TLS without saying so. Whether a body is cut by that, its own framing says.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            result => result,
        };
        note(&self.trace, &result);
        if let Poll::Ready(Ok(())) = &result {
            let new = &buffer.filled()[before..];
            let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
            trace.closed |= new.is_empty();
            let room = FIRST_BYTES.saturating_sub(trace.first_bytes.len());
            trace.first_bytes.extend(new.iter().take(room));
            trace.head.take(new);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        note(&self.trace, &result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Bytes as text that is safe to show: printable ASCII as it is, the rest escaped.
pub fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
