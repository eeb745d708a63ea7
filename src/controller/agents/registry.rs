//! Which agents are connected, and requests to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::metrics::Metrics;
use crate::probe::{Observation, PodRef, Probe};
use crate::stream::{self, ToAgent};

/// The agents that are connected, one session for each node.
#[derive(Debug, Default)]
pub struct Agents {
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
    metrics: Arc<Metrics>,
}

/// Why an agent gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No agent of this node is connected, or not any more.
    #[error("no agent of node {0} is connected")]
    NoSession(String),
    /// The agent did not answer in time.
    #[error("the agent of node {0} did not answer in time")]
    Late(String),
    /// The agent does not do this.
    #[error("the agent of node {0} refused: {1}")]
    Refused(String, String),
}

impl Agents {
    /// None yet; requests to them are counted there.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Agents { sessions: Mutex::default(), metrics }
    }

    /// Whether an agent of this node is connected.
    pub fn has(&self, node: &str) -> bool {
        self.sessions().contains_key(node)
    }

    /// Whether no agent is connected at all.
    pub fn is_empty(&self) -> bool {
        self.sessions().is_empty()
    }

    /// Asks the agent of a node. The answer is about this probe and from this pod, whatever the agent says of that. A session that ends
    /// answers at once; where a newer one has taken its place, that is asked.
    pub async fn ask(&self, node: &str, pod: &PodRef, probe: &Probe) -> Result<Observation, Unanswered> {
        let answered = loop {
            let Some(session) = self.sessions().get(node).cloned() else { break Err(Unanswered::NoSession(node.to_owned())) };
            let at = jiff::Timestamp::now();
            match session.ask(pod, probe).await {
                Reply::Answered(seen) => {
                    let vantage = pod.to_string();
                    break Ok(Observation { probe: probe.clone(), vantage, at, ..*seen });
                }
                Reply::Refused(why) => break Err(Unanswered::Refused(node.to_owned(), why)),
                Reply::Late => break Err(Unanswered::Late(node.to_owned())),
                // A session that has ended is not in the registry any more.
                Reply::Ended => {}
            }
        };
        self.metrics.asked_agent(match &answered {
            Ok(_) => "ok",
            Err(Unanswered::NoSession(_)) => "no-session",
            Err(Unanswered::Late(_)) => "late",
            Err(Unanswered::Refused(..)) => "refused",
        });
        answered
    }

    /// Takes a session in; an older one of the same node ends.
    pub(super) fn enter(self: &Arc<Self>, node: &str, outgoing: mpsc::Sender<Result<Bytes, Status>>) -> Entered {
        let session = Arc::new(Session::new(outgoing));
        let older = self.sessions().insert(node.to_owned(), session.clone());
        if let Some(older) = older {
            older.end();
        }
        self.metrics.agents.inc();
        Entered { agents: self.clone(), node: node.to_owned(), session }
    }

    /// Takes a session out, where it is still that node's.
    fn leave(&self, node: &str, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        if sessions.get(node).is_some_and(|s| Arc::ptr_eq(s, session)) {
            sessions.remove(node);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session in the registry. It ends when this is dropped.
pub(super) struct Entered {
    agents: Arc<Agents>,
    node: String,
    session: Arc<Session>,
}

impl Entered {
    /// Is asked nothing new; what is under way is still answered.
    pub fn leave(&self) {
        self.agents.leave(&self.node, &self.session);
    }

    /// Waits until a newer session has taken this one's place.
    pub async fn replaced(&self) {
        self.session.ended.cancelled().await;
    }

    /// Takes the answer to a request.
    pub fn answer(&self, id: u64, observation: Box<Observation>) {
        self.session.reply(id, Reply::Answered(observation));
    }

    /// Takes the refusal of a request.
    pub fn refuse(&self, id: u64, why: String) {
        self.session.reply(id, Reply::Refused(why));
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.leave();
        self.session.end();
        self.agents.metrics.agents.dec();
    }
}

/// What comes of a request.
#[derive(Debug)]
enum Reply {
    Answered(Box<Observation>),
    Refused(String),
    Late,
    Ended,
}

/// One agent's stream, as requests see it.
#[derive(Debug)]
struct Session {
    outgoing: mpsc::Sender<Result<Bytes, Status>>,
    places: Semaphore,
    next: AtomicU64,
    /// Who waits for which answer.
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Reply>>>,
    ended: CancellationToken,
}

impl Session {
    fn new(outgoing: mpsc::Sender<Result<Bytes, Status>>) -> Self {
        Session {
            outgoing,
            places: Semaphore::new(stream::IN_FLIGHT),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    async fn ask(&self, pod: &PodRef, probe: &Probe) -> Reply {
        tokio::select! {
            // An answer that came before the end counts.
            biased;
            reply = self.put(pod, probe) => reply,
            () = self.ended.cancelled() => Reply::Ended,
        }
    }

    async fn put(&self, pod: &PodRef, probe: &Probe) -> Reply {
        // The time for an answer begins when it is this request's turn.
        let Ok(_place) = self.places.acquire().await else { return Reply::Ended };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = match stream::encode(&ToAgent::Ask { id, pod: pod.clone(), probe: probe.clone() }) {
            Ok(frame) => frame,
            Err(big) => return Reply::Refused(big.to_string()),
        };
        let waits = Waits { session: self, id };
        let exchange = async {
            let reply = waits.begin();
            if self.outgoing.send(Ok(frame)).await.is_err() {
                return self.gone().await;
            }
            match reply.await {
                Ok(reply) => reply,
                Err(_) => self.gone().await,
            }
        };
        tokio::time::timeout(stream::deadline_of(probe.timeout), exchange).await.unwrap_or(Reply::Late)
    }

    /// The stream is gone: that is said once the registry knows it.
    async fn gone(&self) -> Reply {
        self.ended.cancelled().await;
        Reply::Ended
    }

    fn reply(&self, id: u64, reply: Reply) {
        if let Some(waiting) = self.waiting().remove(&id) {
            // Who asked may have stopped waiting in this moment.
            let _ = waiting.send(reply);
        }
    }

    fn end(&self) {
        self.ended.cancel();
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's entry among those that wait, forgotten with it.
struct Waits<'a> {
    session: &'a Session,
    id: u64,
}

impl Waits<'_> {
    fn begin(&self) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.session.waiting().insert(self.id, sender);
        receiver
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.session.waiting().remove(&self.id);
    }
}
