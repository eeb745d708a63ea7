//! The messages.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MESSAGE_LIMIT;
use crate::probe::{Observation, PodRef, Probe};

/// A ServiceAccount token. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes a token as it stands in its file.
    pub fn new(text: &str) -> Self {
        Token(text.trim().to_owned())
    }

    /// The token itself, for a header or a review.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum FromAgent {
    /// The first message.
    Hello {
        /// Version of the messages that follow.
        version: u32,
    },
    /// The answer to a request.
    Answer {
        /// The request's number.
        id: u64,
        /// What was seen.
        observation: Box<Observation>,
    },
    /// A request that the agent does not run.
    Refused {
        /// The request's number.
        id: u64,
        /// Why.
        why: String,
    },
    /// The token that now stands in the agent's file, in place of the one that the stream was opened with.
    Renewed {
        /// The token.
        token: Token,
    },
    /// The agent ends: it finishes what is under way and takes nothing new.
    Leaving,
}

/// What the controller says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum ToAgent {
    /// A request.
    Ask {
        /// Its number, unique within the stream.
        id: u64,
        /// The pod from whose inside it is asked.
        pod: PodRef,
        /// What is asked.
        probe: Probe,
    },
}

/// Whatever message has a number, so that even one that is not understood can be refused.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Numbered {
    /// The number.
    pub id: u64,
}

/// A message that is too big for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is longer than {MESSAGE_LIMIT}")]
pub struct TooBig(pub usize);

/// A message as a frame.
pub fn encode(message: &impl Serialize) -> Result<Bytes, TooBig> {
    // Messages are plain data, which can always be written.
    let text = serde_json::to_vec(message).unwrap_or_default();
    if text.len() > MESSAGE_LIMIT { Err(TooBig(text.len())) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::probe::{Outcome, PathSize, Question, Response, Signature, TlsFacts};

    fn pod() -> PodRef {
        PodRef { namespace: "traefik".into(), name: "traefik-x".into(), uid: "0a".into() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let probe = Probe::connect(([10, 0, 0, 7], 80).into());
        for probe in [probe.clone(), Probe::new(Question::Size { to: [10, 0, 0, 7].into() })] {
            let ask = ToAgent::Ask { id: 7, pod: pod(), probe };
            assert_eq!(serde_json::from_slice::<ToAgent>(&encode(&ask).unwrap()).unwrap(), ask);
        }
        let outcomes = [
            Outcome::Broken { signature: Signature::H2ToH1, detail: "x".into(), first_bytes: vec![0, 255] },
            Outcome::Response(Box::new(Response { body_hash: u64::MAX, tls: Some(TlsFacts::default()), ..Response::default() })),
            Outcome::Resolved(vec![[10, 0, 0, 7].into()]),
            Outcome::Measured(PathSize { assumed: 1500, passes: None }),
        ];
        for outcome in outcomes {
            let at = jiff::Timestamp::new(1_700_000_000, 123_456_789).unwrap();
            let seen =
                Observation { probe: probe.clone(), vantage: "pod a/b".into(), at, took: Duration::from_nanos(1_500_000_001), outcome };
            let answer = FromAgent::Answer { id: 7, observation: Box::new(seen) };
            assert_eq!(serde_json::from_slice::<FromAgent>(&encode(&answer).unwrap()).unwrap(), answer);
        }
    }

    #[test]
    fn an_unknown_message_still_shows_its_number() {
        let text = br#"{"kind":"Run","id":9,"command":"sh"}"#;
        assert!(serde_json::from_slice::<ToAgent>(text).is_err());
        assert_eq!(serde_json::from_slice::<Numbered>(text).unwrap().id, 9);
    }

    #[test]
    fn what_is_too_big_is_not_sent() {
        let name = "x".repeat(MESSAGE_LIMIT);
        let ask = ToAgent::Ask { id: 1, pod: pod(), probe: Probe::new(Question::Resolve { name, server: None }) };
        assert!(matches!(encode(&ask), Err(TooBig(n)) if n > MESSAGE_LIMIT));
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", FromAgent::Renewed { token: Token::new("secret\n") }), "Renewed { token: Token }");
    }
}
