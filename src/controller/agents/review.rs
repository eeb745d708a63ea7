//! Who an agent is: its token, checked by the API server.

use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;

use crate::controller::writer::in_time;
use crate::snapshot::kubernetes::list::root;
use crate::stream::{AUDIENCE, Token};

/// Name of the agents' ServiceAccount.
const SERVICE_ACCOUNT: &str = "culprit-agent";
/// What the API server says of a pod's token (KEP-4193, Kubernetes 1.30).
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// Reviews asked for at once: whoever may connect can make the controller ask, with any text for a token.
const AT_ONCE: usize = 8;
/// How long a review waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Why a token does not let an agent in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The API server does not take it.
    #[error("the token is not valid{0}")]
    Invalid(String),
    /// It is somebody else's.
    #[error("the token is that of {0:?}, not of the agents")]
    Stranger(String),
    /// It does not say on which node it is used.
    #[error("the API server does not say of which node the token is")]
    Nodeless,
    /// The API server cannot be asked.
    #[error("the token cannot be checked: {0}")]
    Unchecked(String),
}

/// Says whose a token is.
pub trait Reviews: Send + Sync {
    /// The node of the agent whose token this is.
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<String, Denied>>;
}

/// Asks the API server.
pub struct TokenReviews {
    reviews: Api<TokenReview>,
    user: String,
    turns: Semaphore,
}

impl TokenReviews {
    /// For agents of this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        let user = format!("system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}");
        TokenReviews { reviews: Api::all(client), user, turns: Semaphore::new(AT_ONCE) }
    }

    async fn ask(&self, token: &Token) -> Result<String, Denied> {
        let busy = |_| Denied::Unchecked("too many tokens are being checked".into());
        let _turn = tokio::time::timeout(TURN, self.turns.acquire()).await.map_err(busy)?;
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.into()]), token: token.reveal().into() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed = in_time(self.reviews.create(&PostParams::default(), &review)).await;
        let status = reviewed.map_err(|e| Denied::Unchecked(root(&e)))?.status.unwrap_or_default();
        node_of(status, &self.user)
    }
}

impl Reviews for TokenReviews {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<String, Denied>> {
        Box::pin(self.ask(token))
    }
}

/// The node of a token that is valid, for this audience and this user's. An API server that ignores audiences names none.
fn node_of(status: TokenReviewStatus, user: &str) -> Result<String, Denied> {
    let right_audience = status.audiences.iter().flatten().any(|a| a == AUDIENCE);
    if !status.authenticated.unwrap_or_default() || !right_audience {
        return Err(Denied::Invalid(status.error.map(|e| format!(": {e}")).unwrap_or_default()));
    }
    let of = status.user.unwrap_or_default();
    let name = of.username.unwrap_or_default();
    if name != user {
        return Err(Denied::Stranger(name));
    }
    let nodes = of.extra.unwrap_or_default().remove(NODE_NAME).unwrap_or_default();
    match <[String; 1]>::try_from(nodes) {
        Ok([node]) if !node.is_empty() => Ok(node),
        _ => Err(Denied::Nodeless),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "system:serviceaccount:culprit-agents:culprit-agent";

    fn status(audience: &str, user: &str, nodes: &[&str]) -> TokenReviewStatus {
        serde_json::from_value(serde_json::json!({
            "authenticated": true, "audiences": [audience],
            "user": {"username": user, "extra": {NODE_NAME: nodes, "authentication.kubernetes.io/pod-name": ["culprit-agent-x"]}}
        }))
        .unwrap()
    }

    #[test]
    fn the_node_is_the_one_that_the_api_server_names() {
        assert_eq!(node_of(status(AUDIENCE, USER, &["node1"]), USER).as_deref(), Ok("node1"));
    }

    #[test]
    fn every_other_token_is_denied() {
        assert_eq!(node_of(TokenReviewStatus::default(), USER), Err(Denied::Invalid(String::new())));
        assert!(matches!(node_of(status("https://kubernetes.default.svc", USER, &["node1"]), USER), Err(Denied::Invalid(_))));
        let stranger = "system:serviceaccount:shop:culprit-agent";
        assert_eq!(node_of(status(AUDIENCE, stranger, &["node1"]), USER), Err(Denied::Stranger(stranger.into())));
        assert_eq!(node_of(status(AUDIENCE, USER, &[]), USER), Err(Denied::Nodeless));
        assert_eq!(node_of(status(AUDIENCE, USER, &["node1", "node2"]), USER), Err(Denied::Nodeless));
        let unauthenticated = TokenReviewStatus { authenticated: Some(false), ..status(AUDIENCE, USER, &["node1"]) };
        assert!(matches!(node_of(unauthenticated, USER), Err(Denied::Invalid(_))));
    }
}
