//! The port at which other nodes see whether they reach this one.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Pause where connections cannot be taken, as without descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes every connection at this port, of both families, and closes it at once: nothing is read, nothing is said.
pub async fn serve(port: u16) -> io::Result<std::convert::Infallible> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => close(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Without a trace in the kernel's tables.
fn close(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "closed with a wait");
    }
}
