//! The port at which other nodes see whether they reach this one.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

/// Pause where connections cannot be taken, as without descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes every connection at this port, of both families, and closes it at once: nothing is read, nothing is said. It is not reset: a reset that
/// comes before whoever asks has looked would make of a connection that was taken one that was refused. Who asks resets it, which leaves no trace
/// in the kernel's tables.
pub async fn serve(port: u16) -> io::Result<std::convert::Infallible> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[tokio::test]
    async fn who_looks_late_sees_a_connection_that_was_taken() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let serving = tokio::spawn(serve(free.port()));
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = socket.connect(&free.into());
            connected.map(|()| socket)
        };
        let socket = loop {
            match connect() {
                Ok(socket) => break socket,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(socket.take_error().unwrap().map(|e| e.to_string()), None);
        serving.abort();
    }
}
