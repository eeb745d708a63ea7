//! One agent's stream, from its greeting to its end.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
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
            Session { door: &door, node: &node, entered: &entered, token: watch::channel(token).0 }.serve(incoming).await
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
    entered: &'a Entered,
    token: watch::Sender<Token>,
}

impl Session<'_> {
    async fn serve(&self, mut incoming: Streaming<Bytes>) -> Result<(), Status> {
        // Answers are taken while a token is checked, which a slow API server draws out.
        let mut denied = pin!(self.denied());
        loop {
            tokio::select! {
                frame = incoming.message() => match frame? {
                    Some(frame) => self.take(&frame),
                    None => return Ok(()),
                },
                status = &mut denied => return Err(status),
                () = self.entered.replaced() => return Err(Status::aborted("a newer session of this node has taken its place")),
            }
        }
    }

    fn take(&self, frame: &[u8]) {
        match serde_json::from_slice(frame) {
            Ok(FromAgent::Answer { id, observation }) => self.entered.answer(id, observation),
            Ok(FromAgent::Refused { id, why }) => self.entered.refuse(id, why),
            Ok(FromAgent::Renewed { token }) => drop(self.token.send_replace(token)),
            Ok(FromAgent::Leaving) => self.entered.leave(),
            Ok(FromAgent::Hello { .. }) => {}
            Err(error) => tracing::warn!(node = self.node, %error, "a message of the agent is not understood"),
        }
    }

    /// Checks the token again and again. Returns why it does not count any more.
    async fn denied(&self) -> Status {
        let mut checked = Instant::now();
        let mut pause = REVIEW_AGAIN;
        loop {
            tokio::time::sleep(pause).await;
            let token = self.token.borrow().clone();
            pause = match self.door.reviews.review(&token).await {
                Ok(node) if node == self.node => {
                    checked = Instant::now();
                    REVIEW_AGAIN
                }
                Ok(_) => return Status::unauthenticated("the token is that of another node"),
                Err(Denied::Unchecked(_)) if checked.elapsed() < LONGEST_UNCHECKED => REVIEW_SOON,
                Err(denied) => return door::status_of(&denied),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use futures::future::BoxFuture;
    use tonic::Code;

    use super::*;
    use crate::controller::agents::registry::Agents;
    use crate::controller::agents::review::Reviews;

    /// Says one after the other, and the last for ever.
    struct Script(Mutex<VecDeque<Result<String, Denied>>>);

    impl Reviews for Script {
        fn review<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<String, Denied>> {
            let mut says = self.0.lock().unwrap();
            let next = if says.len() > 1 { says.pop_front().unwrap() } else { says[0].clone() };
            Box::pin(async move { next })
        }
    }

    /// How a session of node1 ends with these reviews, and after how long.
    async fn ended(says: impl IntoIterator<Item = Result<String, Denied>>) -> (Code, Duration) {
        let reviews = Arc::new(Script(Mutex::new(says.into_iter().collect())));
        let door = Door { agents: Arc::new(Agents::default()), reviews };
        let entered = door.agents.enter("node1", mpsc::channel(1).0);
        let session = Session { door: &door, node: "node1", entered: &entered, token: watch::channel(Token::new("x")).0 };
        let begun = Instant::now();
        (session.denied().await.code(), begun.elapsed())
    }

    fn unchecked() -> Result<String, Denied> {
        Err(Denied::Unchecked("away".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_taken_back_ends_the_session() {
        let (code, after) = ended([Ok("node1".into()), Err(Denied::Invalid(String::new()))]).await;
        assert_eq!((code, after.as_secs()), (Code::Unauthenticated, 2 * REVIEW_AGAIN.as_secs()));
        assert_eq!(ended([Ok("node2".into())]).await.0, Code::Unauthenticated);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_ends_it_only_after_long() {
        let (code, after) = ended([unchecked(), Ok("node1".into()), Err(Denied::Nodeless)]).await;
        assert_eq!((code, after.as_secs()), (Code::Unauthenticated, (2 * REVIEW_AGAIN + REVIEW_SOON).as_secs()));
        let (code, after) = ended([unchecked()]).await;
        assert_eq!((code, after.as_secs()), (Code::Unavailable, LONGEST_UNCHECKED.as_secs()));
    }
}
