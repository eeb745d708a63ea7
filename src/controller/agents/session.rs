//! One agent's stream, from its greeting to its end.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::door::{self, Door};
use super::registry::Entered;
use super::review::Denied;
use crate::stream::{FromAgent, Token, VERSION};

/// How long an agent may take to greet.
const GREETING: Duration = Duration::from_secs(5);
/// How often a token is checked again. Each of two replicas does so, which makes one review of an agent every five minutes.
const REVIEW_AGAIN: Duration = Duration::from_secs(600);
/// The same after the API server could not be asked.
const REVIEW_SOON: Duration = Duration::from_secs(30);
/// How long a token counts that cannot be checked again: as long as a token lives.
const LONGEST_UNCHECKED: Duration = Duration::from_secs(3600);

/// Serves a session whose token was checked.
pub async fn run(door: Door, node: String, token: Token, mut incoming: Streaming<Bytes>, outgoing: mpsc::Sender<Result<Bytes, Status>>) {
    let ended = match greeted(&mut incoming).await {
        Ok(()) => {
            let entered = door.agents.enter(&node, outgoing.clone());
            tracing::info!(node, "agent connected");
            Session { door: &door, node: &node, token, entered: &entered, checked: Instant::now() }.serve(incoming).await
        }
        Err(status) => Err(status),
    };
    match ended {
        Ok(()) => tracing::info!(node, "agent left"),
        Err(status) => {
            tracing::info!(node, why = status.message(), "agent disconnected");
            // It may be gone already.
            let _ = outgoing.try_send(Err(status));
        }
    }
}

async fn greeted(incoming: &mut Streaming<Bytes>) -> Result<(), Status> {
    let silent = |_| Status::deadline_exceeded("no greeting came");
    let first = tokio::time::timeout(GREETING, incoming.message()).await.map_err(silent)??;
    match first.and_then(|frame| serde_json::from_slice(&frame).ok()) {
        Some(FromAgent::Hello { version: VERSION }) => Ok(()),
        Some(FromAgent::Hello { version }) => {
            Err(Status::failed_precondition(format!("the agent speaks version {version}, this controller {VERSION}")))
        }
        _ => Err(Status::invalid_argument("the first message is no greeting")),
    }
}

struct Session<'a> {
    door: &'a Door,
    node: &'a str,
    token: Token,
    entered: &'a Entered,
    checked: Instant,
}

impl Session<'_> {
    async fn serve(mut self, mut incoming: Streaming<Bytes>) -> Result<(), Status> {
        let mut review = Instant::now() + REVIEW_AGAIN;
        loop {
            tokio::select! {
                frame = incoming.message() => match frame? {
                    Some(frame) => self.take(&frame),
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(review) => review = Instant::now() + self.review().await?,
                () = self.entered.replaced() => return Err(Status::aborted("a newer session of this node has taken its place")),
            }
        }
    }

    fn take(&mut self, frame: &[u8]) {
        match serde_json::from_slice(frame) {
            Ok(FromAgent::Answer { id, observation }) => self.entered.answer(id, observation),
            Ok(FromAgent::Refused { id, why }) => self.entered.refuse(id, why),
            Ok(FromAgent::Renewed { token }) => self.token = token,
            Ok(FromAgent::Leaving) => self.entered.leave(),
            Ok(FromAgent::Hello { .. }) => {}
            Err(error) => tracing::warn!(node = self.node, %error, "a message of the agent is not understood"),
        }
    }

    /// Checks the token again. Returns the time until the next check.
    async fn review(&mut self) -> Result<Duration, Status> {
        match self.door.reviews.review(&self.token).await {
            Ok(node) if node == self.node => {
                self.checked = Instant::now();
                Ok(REVIEW_AGAIN)
            }
            Ok(_) => Err(Status::unauthenticated("the token is that of another node")),
            Err(Denied::Unchecked(_)) if self.checked.elapsed() < LONGEST_UNCHECKED => Ok(REVIEW_SOON),
            Err(denied) => Err(door::status_of(&denied)),
        }
    }
}
