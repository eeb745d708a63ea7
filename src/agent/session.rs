//! One stream to one controller replica, from dialling to its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use super::budget::Budget;
use super::{Works, rules};
use crate::probe::{PodRef, Probe};
use crate::stream::{self, Frames, FromAgent, MESSAGE_LIMIT, ToAgent, Token, message::Numbered};

/// Limit for the connection and its handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// Limit for the controller to let the agent in, which takes it a request to the API server.
const ADMISSION: Duration = Duration::from_secs(10);
/// Answers that wait to be sent.
const OUTGOING: usize = 64;
/// How often the token's file is looked at.
const TOKEN_AGAIN: Duration = Duration::from_secs(60);
/// How long what is under way may go on at the end.
const GRACE: Duration = Duration::from_secs(3);

/// How to reach one replica.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Its address.
    pub address: SocketAddr,
    /// The name that its certificate must carry.
    pub server_name: String,
    /// File with the certificates that are trusted.
    pub ca: PathBuf,
    /// File with the token.
    pub token: PathBuf,
}

/// Why a session could not begin, or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A file cannot be read.
    #[error("{file} cannot be read: {source}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No connection, or not with whom it should be.
    #[error("no connection: {}", crate::snapshot::kubernetes::list::root(.0))]
    Connect(#[from] tonic::transport::Error),
    /// The controller did not answer in time.
    #[error("the controller does not answer")]
    Silent,
    /// The controller refused, or the connection broke.
    #[error("{}: {}", .0.code(), .0.message())]
    Ended(#[from] Status),
}

/// What all sessions of an agent share.
pub struct Shared {
    works: Arc<dyn Works>,
    budget: Budget,
    refused: AtomicU64,
}

impl Shared {
    /// For an agent whose requests these works answer.
    pub fn new(works: Arc<dyn Works>) -> Self {
        Shared { works, budget: Budget::default(), refused: AtomicU64::new(0) }
    }

    /// Requests that were refused until now.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self, id: u64, why: String) -> FromAgent {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(why, refused, "request refused");
        FromAgent::Refused { id, why }
    }

    async fn answer(&self, id: u64, pod: PodRef, probe: Probe) -> FromAgent {
        if let Some(why) = rules::refusal(&probe) {
            return self.refuse(id, why);
        }
        let Some(_place) = self.budget.place() else { return self.refuse(id, "too many requests are under way".into()) };
        self.budget.turn().await;
        match tokio::time::timeout(stream::deadline_of(probe.timeout), self.works.ask(&pod, &probe)).await {
            Ok(observation) => FromAgent::Answer { id, observation: Box::new(observation) },
            Err(_) => FromAgent::Refused { id, why: "the probe took longer than its limit".into() },
        }
    }
}

/// Opens a session and serves it until the controller ends it, the connection breaks, or the agent is told to end.
pub async fn run(dial: &Dial, shared: &Arc<Shared>, ended: CancellationToken) -> Result<(), SessionError> {
    let (mut session, incoming) = Session::open(dial, shared).await?;
    tracing::info!(address = %dial.address, "connected");
    session.serve(incoming, ended).await
}

struct Session<'a> {
    shared: &'a Arc<Shared>,
    outgoing: mpsc::Sender<Bytes>,
    under_way: JoinSet<()>,
    token: Token,
    token_file: &'a Path,
}

impl<'a> Session<'a> {
    async fn open(dial: &'a Dial, shared: &'a Arc<Shared>) -> Result<(Self, Streaming<Bytes>), SessionError> {
        let token = Token::new(&read(&dial.token).await?);
        let (outgoing, frames) = mpsc::channel(OUTGOING);
        let session = Session { shared, outgoing, under_way: JoinSet::new(), token, token_file: &dial.token };
        session.say(&FromAgent::Hello { version: stream::VERSION }).await;
        let frames = futures::stream::unfold(frames, async |mut frames| frames.recv().await.map(|frame| (frame, frames)));
        let mut request = Request::new(frames);
        let bearer = format!("Bearer {}", session.token.reveal()).parse();
        let mut bearer: tonic::metadata::AsciiMetadataValue =
            bearer.map_err(|_| Status::unauthenticated("the token's file holds no token"))?;
        bearer.set_sensitive(true);
        request.metadata_mut().insert("authorization", bearer);
        let mut grpc = tonic::client::Grpc::new(connect(dial).await?)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let opened = async {
            grpc.ready().await?;
            Ok(grpc.streaming(request, PathAndQuery::from_static(stream::METHOD), Frames).await?.into_inner())
        };
        let incoming = tokio::time::timeout(ADMISSION, opened).await.unwrap_or(Err(SessionError::Silent))?;
        Ok((session, incoming))
    }

    async fn serve(&mut self, mut incoming: Streaming<Bytes>, ended: CancellationToken) -> Result<(), SessionError> {
        let mut look = tokio::time::interval(TOKEN_AGAIN);
        look.reset();
        loop {
            tokio::select! {
                frame = incoming.message() => match frame? {
                    Some(frame) => self.take(&frame),
                    None => return Ok(()),
                },
                Some(_) = self.under_way.join_next() => {}
                _ = look.tick() => self.renew_token().await,
                () = ended.cancelled() => break,
            }
        }
        self.leave(incoming).await;
        Ok(())
    }

    /// Begins what is asked. What is not understood is refused, and ends nothing.
    fn take(&mut self, frame: &[u8]) {
        let (shared, outgoing) = (self.shared.clone(), self.outgoing.clone());
        match serde_json::from_slice(frame) {
            Ok(ToAgent::Ask { id, pod, probe }) => {
                self.under_way.spawn(async move {
                    let answer = shared.answer(id, pod, probe).await;
                    let frame = stream::encode(&answer).or_else(|big| stream::encode(&shared.refuse(id, big.to_string())));
                    send(&outgoing, frame.unwrap_or_default()).await;
                });
            }
            Err(error) => {
                let id = serde_json::from_slice::<Numbered>(frame).map(|n| n.id).unwrap_or_default();
                let refusal = stream::encode(&shared.refuse(id, format!("the message is not understood: {error}")));
                self.under_way.spawn(async move { send(&outgoing, refusal.unwrap_or_default()).await });
            }
        }
    }

    async fn renew_token(&mut self) {
        // A file that cannot be read for a moment is looked at again.
        let Ok(text) = read(self.token_file).await else { return };
        let token = Token::new(&text);
        if token != self.token {
            self.token = token.clone();
            self.say(&FromAgent::Renewed { token }).await;
        }
    }

    /// Takes nothing new, finishes what is under way, and waits until the controller has it.
    async fn leave(&mut self, mut incoming: Streaming<Bytes>) {
        let finish = async {
            self.say(&FromAgent::Leaving).await;
            while self.under_way.join_next().await.is_some() {}
            // The stream ends with its last sender, and then the controller's side of it.
            self.outgoing = mpsc::channel(1).0;
            while let Ok(Some(_)) = incoming.message().await {}
        };
        let _ = tokio::time::timeout(GRACE, finish).await;
    }

    async fn say(&self, message: &FromAgent) {
        send(&self.outgoing, stream::encode(message).unwrap_or_default()).await;
    }
}

/// Where the stream has ended meanwhile there is nobody to tell.
async fn send(outgoing: &mpsc::Sender<Bytes>, frame: Bytes) {
    let _ = outgoing.send(frame).await;
}

async fn connect(dial: &Dial) -> Result<Channel, SessionError> {
    let ca = Certificate::from_pem(read(&dial.ca).await?);
    let tls = ClientTlsConfig::new().ca_certificate(ca).domain_name(&dial.server_name);
    let endpoint = Endpoint::from_shared(format!("https://{}", dial.address))?
        .tls_config(tls)?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(stream::PING)
        .keep_alive_timeout(stream::PONG)
        .keep_alive_while_idle(true);
    let connected = tokio::time::timeout(CONNECT, endpoint.connect()).await;
    Ok(connected.map_err(|_| SessionError::Silent)??)
}

async fn read(file: &Path) -> Result<String, SessionError> {
    tokio::fs::read_to_string(file).await.map_err(|source| SessionError::File { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::probe::Observation;

    struct Nobody;

    impl Works for Nobody {
        fn ask<'a>(&'a self, _: &'a PodRef, _: &'a Probe) -> BoxFuture<'a, Observation> {
            unreachable!("nothing that is not understood is run")
        }
    }

    #[tokio::test]
    async fn what_is_not_understood_is_refused_and_counted() {
        let shared = Arc::new(Shared::new(Arc::new(Nobody)));
        let (outgoing, mut frames) = mpsc::channel(OUTGOING);
        let (token, token_file) = (Token::new("x"), Path::new("token"));
        let mut session = Session { shared: &shared, outgoing, under_way: JoinSet::new(), token, token_file };
        for (frame, number) in [
            (r#"{"kind": "Run", "id": 7, "command": "sh"}"#, 7),
            (r#"{"kind": "Ask", "id": 8, "pod": {"namespace": "a", "name": "b", "uid": ""}, "probe": {"question": "Reboot"}}"#, 8),
            ("nonsense", 0),
        ] {
            session.take(frame.as_bytes());
            let said = serde_json::from_slice(&frames.recv().await.unwrap()).unwrap();
            assert!(matches!(said, FromAgent::Refused { id, .. } if id == number), "{said:?}");
        }
        assert_eq!(shared.refused(), 3);
    }
}
