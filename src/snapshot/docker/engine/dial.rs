//! Opening a connection to an engine, whatever way leads there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::{Address, Endpoint};
use super::{EngineError, ssh, tls};

/// Limit for opening a connection.
const LIMIT: Duration = Duration::from_secs(10);

/// A connection to an engine.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections to one engine.
#[derive(Clone)]
pub struct Dialer {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    /// What ssh says meanwhile.
    said: ssh::Said,
}

impl Dialer {
    /// One for an engine. Reads the files that TLS needs.
    pub fn new(endpoint: Endpoint) -> Result<Self, EngineError> {
        let tls = match &endpoint.address {
            Address::Tcp { tls: Some(files), .. } => Some(TlsConnector::from(Arc::new(tls::config(files)?))),
            _ => None,
        };
        Ok(Dialer { endpoint, tls, said: ssh::Said::default() })
    }

    /// The engine that it dials.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What ssh complained of, where it did.
    pub fn complaint(&self) -> Option<String> {
        self.said.text()
    }

    /// Opens a connection.
    pub async fn dial(&self) -> Result<Box<dyn Stream>, EngineError> {
        match timeout(LIMIT, self.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(self.unreachable(format!("no answer within {} s", LIMIT.as_secs()))),
        }
    }

    async fn open(&self) -> Result<Box<dyn Stream>, EngineError> {
        match &self.endpoint.address {
            #[cfg(unix)]
            Address::Unix(path) => {
                let opened = tokio::net::UnixStream::connect(path).await;
                opened.map(|s| Box::new(s) as Box<dyn Stream>).map_err(|error| self.socket_error(path, &error))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(self.unreachable("this system has no Unix sockets".to_owned())),
            #[cfg(windows)]
            Address::Pipe(name) => {
                let opened = tokio::net::windows::named_pipe::ClientOptions::new().open(name.replace('/', "\\"));
                opened.map(|s| Box::new(s) as Box<dyn Stream>).map_err(|error| self.socket_error(name.as_ref(), &error))
            }
            #[cfg(not(windows))]
            Address::Pipe(_) => Err(self.unreachable("only Windows has named pipes".to_owned())),
            Address::Tcp { host, port, .. } => self.tcp(host, *port).await,
            Address::Ssh { destination, port, socket } => {
                let opened = ssh::open(destination, *port, socket.as_deref(), &self.said);
                opened.map_err(|e| EngineError::Ssh { destination: destination.clone(), why: e.to_string() })
            }
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<Box<dyn Stream>, EngineError> {
        let stream = TcpStream::connect((host, port)).await.map_err(|e| self.unreachable(e.to_string()))?;
        let Some(connector) = &self.tls else { return Ok(Box::new(stream)) };
        let wrong = |why: String| EngineError::Tls { address: self.endpoint.address.to_string(), why };
        let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|e| wrong(e.to_string()))?;
        let stream = connector.connect(name, stream).await.map_err(|e| wrong(tls::explained(&e)))?;
        Ok(Box::new(stream))
    }

    #[cfg(any(unix, windows))]
    fn socket_error(&self, path: &std::path::Path, error: &io::Error) -> EngineError {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => EngineError::NoSocket { path, named_by: self.endpoint.named_by.clone() },
            io::ErrorKind::PermissionDenied => EngineError::Forbidden { path },
            io::ErrorKind::ConnectionRefused => self.unreachable("nobody listens at this socket any more: start the engine".to_owned()),
            _ => self.unreachable(error.to_string()),
        }
    }

    fn unreachable(&self, why: String) -> EngineError {
        EngineError::Unreachable { address: self.endpoint.address.to_string(), named_by: self.endpoint.named_by.clone(), why }
    }
}

/// A connection as the HTTP client wants it.
pub struct Wire(pub TokioIo<Box<dyn Stream>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
