//! Lets agents in: checks the token that a stream is opened with.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

use super::registry::Agents;
use super::review::{Denied, Reviews};
use super::session;
use crate::stream::Token;

/// Requests that wait to be sent to one agent.
const OUTGOING: usize = 64;
/// Characters of a token at most; those of ServiceAccounts have about a thousand.
const LONGEST_TOKEN: usize = 8 << 10;

/// What answers the one gRPC method.
#[derive(Clone)]
pub struct Door {
    /// Where sessions are kept.
    pub agents: Arc<Agents>,
    /// Who says whose a token is.
    pub reviews: Arc<dyn Reviews>,
}

impl Door {
    async fn open(self, request: Request<Streaming<Bytes>>) -> Result<Response<BoxStream<'static, Result<Bytes, Status>>>, Status> {
        let token = token_of(&request)?;
        let node = self.reviews.review(&token).await.map_err(|denied| {
            tracing::warn!(%denied, "no agent is let in");
            status_of(&denied)
        })?;
        let (outgoing, frames) = mpsc::channel(OUTGOING);
        tokio::spawn(session::run(self, node, token, request.into_inner(), outgoing));
        let frames = stream::unfold(frames, async |mut frames| frames.recv().await.map(|frame| (frame, frames)));
        Ok(Response::new(frames.boxed()))
    }
}

impl StreamingService<Bytes> for Door {
    type Response = Bytes;
    type ResponseStream = BoxStream<'static, Result<Bytes, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(self.clone().open(request))
    }
}

fn token_of(request: &Request<Streaming<Bytes>>) -> Result<Token, Status> {
    let header = request.metadata().get("authorization").and_then(|v| v.to_str().ok());
    let token = header.and_then(|h| h.strip_prefix("Bearer ")).filter(|t| !t.is_empty() && t.len() <= LONGEST_TOKEN);
    token.map(Token::new).ok_or_else(|| Status::unauthenticated("an agent shows its token"))
}

/// What an agent is told.
pub fn status_of(denied: &Denied) -> Status {
    match denied {
        Denied::Unchecked(_) => Status::unavailable(denied.to_string()),
        Denied::Invalid(_) | Denied::Stranger(_) | Denied::Nodeless => Status::unauthenticated(denied.to_string()),
    }
}
