//! The listener for agents: TLS with the certificate of the moment, and one gRPC method.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::{Code, Status};

use super::door::Door;
use super::registry::Agents;
use super::review::Reviews;
use crate::stream::{Frames, MESSAGE_LIMIT, METHOD, PING, PONG};

/// Limit of a handshake, and how many there may be at once.
const HANDSHAKE: Duration = Duration::from_secs(5);
const HANDSHAKES: usize = 64;
/// Streams of one connection; an agent opens one.
const STREAMS: u32 = 4;
/// Bytes of a request's headers at most, the token among them.
const LONGEST_HEADERS: u32 = 16 << 10;
/// After a connection could not be accepted, as where descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves agents. Until there is a certificate, connections are closed at once.
pub async fn run(listener: TcpListener, tls: watch::Receiver<Option<Arc<ServerConfig>>>, agents: Arc<Agents>, reviews: Arc<dyn Reviews>) {
    let door = Door { agents, reviews };
    let service = tower::service_fn(move |request: Request<Body>| answer(door.clone(), request));
    let (sender, mut receiver) = mpsc::channel(HANDSHAKES);
    let incoming = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let serving = Server::builder()
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(LONGEST_HEADERS)
        .serve_with_incoming(service, incoming);
    tokio::select! {
        () = accept(listener, tls, sender) => {}
        served = serving => if let Err(error) = served {
            tracing::error!(%error, "agents are not served any more");
        },
    }
}

async fn answer(door: Door, request: Request<Body>) -> Result<http::Response<Body>, Infallible> {
    if request.uri().path() != METHOD {
        return Ok(Status::new(Code::Unimplemented, "there is one method").into_http());
    }
    let mut grpc = tonic::server::Grpc::new(Frames).max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT);
    Ok(grpc.streaming(door, request).await)
}

type Connection = Result<TlsStream<TcpStream>, Infallible>;

async fn accept(listener: TcpListener, tls: watch::Receiver<Option<Arc<ServerConfig>>>, connections: mpsc::Sender<Connection>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    while let Ok(place) = handshakes.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some(config) = tls.borrow().clone() else { continue };
        let connections = connections.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
                let _ = connections.send(Ok(stream)).await;
            }
            drop(place);
        });
    }
}
