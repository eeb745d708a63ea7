//! Probes from inside the network namespaces of this node's pods, and looks into them.
//!
//! ```text
//! PodRef ──► members (by control group) ──► namespace (a thread of its own) ──► the same probes as anywhere
//!                    └──────────────────► look (sockets, processes, limits)
//! ```
//!
//! Needs the node's processes (hostPID) and CAP_SYS_ADMIN, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; where something is missing, a probe is
//! not sent and says why.

mod groups;
mod look;
mod members;
mod namespace;
mod resolver;
mod sockets;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::evidence::inside::membership::PodUid;
use crate::probe::{Observation, Outcome, PodRef, Probe, Question};
use crate::vantage::local::Local;
use members::Member;
use namespace::Namespace;

/// A namespace that nobody has asked for so long is left.
const IDLE: Duration = Duration::from_secs(30);
/// Namespaces that are entered at once; each has a thread.
const NAMESPACES: usize = 64;
/// Where all of them are entered, one is left for another so often.
const CROWDED: Duration = Duration::from_millis(20);
/// Probes under way at once, in all namespaces.
const IN_FLIGHT: usize = 256;
/// Looks at once: they read much of `/proc`.
const LOOKS: usize = 4;

/// Where the node's processes and control groups are.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The process tree.
    pub proc: PathBuf,
    /// The control group tree.
    pub groups: PathBuf,
}

impl Default for Roots {
    /// As an agent's container sees them: it shares the node's processes, and has a control group namespace of its own.
    fn default() -> Self {
        Roots { proc: "/proc".into(), groups: "/proc/1/root/sys/fs/cgroup".into() }
    }
}

/// Why a pod was not asked from inside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The uid is none.
    #[error("{0:?} is no uid of a pod")]
    Uid(String),
    /// A look names another pod than it is asked of.
    #[error("a look into another pod")]
    AnotherPod,
    /// The node's processes cannot be listed.
    #[error("the node's processes cannot be listed: {0}")]
    Processes(#[source] io::Error),
    /// The pod is not here, or none of its processes runs.
    #[error("no process of the pod runs on this node")]
    NoProcess,
    /// The process ended, or its number was given to another, before its namespace was entered.
    #[error("the pod's process ended meanwhile")]
    Gone,
    /// The namespace could not be opened.
    #[error("the pod's network namespace cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// The namespace could not be entered.
    #[error("the pod's network namespace cannot be entered: {0}")]
    Enter(#[source] io::Error),
    /// No thread could be made for it.
    #[error("no thread for the pod's network namespace: {0}")]
    Thread(#[source] io::Error),
    /// The thread ended before it answered.
    #[error("the pod's network namespace was left meanwhile")]
    Left,
    /// The sockets could not be asked for.
    #[error("no netlink socket: {0}")]
    Netlink(#[source] io::Error),
    /// The tables of sockets could not be read.
    #[error("the pod's sockets cannot be read: {0}")]
    Sockets(#[source] io::Error),
    /// Nothing came in time, as where too much is asked at once.
    #[error("the pod could not be asked in time")]
    Late,
}

/// The pods of this node, asked from inside.
#[derive(Debug)]
pub struct Pods {
    roots: Roots,
    idle: Duration,
    inside: Mutex<HashMap<PodUid, Arc<OnceCell<Arc<Entered>>>>>,
    threads: Arc<Semaphore>,
    in_flight: Semaphore,
    looks: Arc<Semaphore>,
}

/// A namespace with the process that it was entered by.
#[derive(Debug)]
struct Entered {
    member: Member,
    namespace: Namespace,
}

impl Pods {
    /// The pods whose processes and control groups are found here.
    pub fn new(roots: Roots) -> Self {
        Pods {
            roots,
            idle: IDLE,
            inside: Mutex::default(),
            threads: Arc::new(Semaphore::new(NAMESPACES)),
            in_flight: Semaphore::new(IN_FLIGHT),
            looks: Arc::new(Semaphore::new(LOOKS)),
        }
    }

    /// Leaves a namespace after so long without a question, in place of half a minute.
    #[must_use]
    pub fn leaving_after(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sends one probe from inside a pod's network namespace, or looks into the pod. Never fails and never takes much longer than the
    /// probe's limit: what could not be sent is an observation that says so.
    pub async fn ask(&self, pod: &PodRef, probe: &Probe) -> Observation {
        let (at, begun) = (Timestamp::now(), Instant::now());
        // The same grace that the probes have, so that their own limit comes first.
        let answer = tokio::time::timeout(probe.timeout + probe.timeout / 4, self.send(pod, probe)).await;
        let outcome = match answer.unwrap_or(Err(Error::Late)) {
            Ok(Answer::Seen(observation)) => return observation,
            Ok(Answer::Looked(outcome)) => outcome,
            Err(error) => Outcome::NotSent(error.to_string()),
        };
        Observation { probe: probe.clone(), vantage: vantage(pod), at, took: begun.elapsed(), outcome }
    }

    async fn send(&self, pod: &PodRef, probe: &Probe) -> Result<Answer, Error> {
        let uid = PodUid::parse(&pod.uid).ok_or_else(|| Error::Uid(pod.uid.clone()))?;
        match &probe.question {
            Question::Look(other) if other.uid != pod.uid => return Err(Error::AnotherPod),
            Question::Look(_) => return self.look(pod, uid).await,
            Question::Resolve { .. }
            | Question::Connect { .. }
            | Question::Handshake { .. }
            | Question::Request(_)
            | Question::Size { .. }
            | Question::Log(_) => {}
        }
        let _in_flight = self.in_flight.acquire().await;
        let answer = match self.entered(pod, &uid).await?.namespace.probe(probe.clone()).await {
            // It was left for want of questions just when this one came.
            Err(Error::Left) => self.entered(pod, &uid).await?.namespace.probe(probe.clone()).await,
            answer => answer,
        };
        answer.map(Answer::Seen)
    }

    async fn look(&self, pod: &PodRef, uid: PodUid) -> Result<Answer, Error> {
        let permit = self.looks.clone().acquire_owned().await.map_err(|_| Error::Late)?;
        let netlink = self.entered(pod, &uid).await?.namespace.netlink().await;
        let roots = self.roots.clone();
        let (inside, _permit) = blocking(move || (look::into(&roots, &uid, netlink), permit)).await?;
        Ok(Answer::Looked(Outcome::Seen(Box::new(inside?))))
    }

    /// The pod's namespace, entered now or before. One whose process is the pod's no more is entered anew.
    async fn entered(&self, pod: &PodRef, uid: &PodUid) -> Result<Arc<Entered>, Error> {
        let known = self.enter_once(pod, uid).await?;
        if known.namespace.is_open() && members::is_still(&self.roots.proc, known.member, uid) {
            return Ok(known);
        }
        self.forget(uid, &known);
        self.enter_once(pod, uid).await
    }

    /// However many ask at once, one of them enters.
    async fn enter_once(&self, pod: &PodRef, uid: &PodUid) -> Result<Arc<Entered>, Error> {
        let cell = {
            let mut inside = self.lock();
            if !inside.contains_key(uid) {
                // Pods come and go: what could not be entered, or was left, is forgotten.
                inside.retain(|_, cell| cell.get().map_or(Arc::strong_count(cell) > 1, |e| e.namespace.is_open()));
            }
            inside.entry(uid.clone()).or_default().clone()
        };
        cell.get_or_try_init(|| self.enter(pod, uid)).await.cloned()
    }

    fn forget(&self, uid: &PodUid, known: &Arc<Entered>) {
        let mut inside = self.lock();
        if inside.get(uid).and_then(|cell| cell.get()).is_some_and(|kept| Arc::ptr_eq(kept, known)) {
            inside.remove(uid);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PodUid, Arc<OnceCell<Arc<Entered>>>>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, pod: &PodRef, uid: &PodUid) -> Result<Arc<Entered>, Error> {
        let permit = self.permit().await?;
        let (proc, of) = (self.roots.proc.clone(), uid.clone());
        let (member, namespace, servers) = blocking(move || {
            let members = members::of(&proc, &of).map_err(Error::Processes)?;
            let member = *members.first().ok_or(Error::NoProcess)?;
            let opened = File::open(proc.join(member.pid.to_string()).join("ns/net"));
            // The number may have been another process' by the time that its namespace was opened.
            if !members::is_still(&proc, member, &of) {
                return Err(Error::Gone);
            }
            Ok((member, opened.map_err(Error::Open)?, resolver::servers(&proc, &members)))
        })
        .await??;
        let namespace = Namespace::enter(namespace, Local::new(vantage(pod), servers), self.idle, permit).await?;
        Ok(Arc::new(Entered { member, namespace }))
    }

    /// Leave to have one more thread. Where all are taken, the namespace that was not asked for longest is left.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = self.threads.clone().try_acquire_owned() {
            return Ok(permit);
        }
        loop {
            self.leave_one();
            // All may be about to be entered, so that there is none to leave yet.
            if let Ok(permit) = tokio::time::timeout(CROWDED, self.threads.clone().acquire_owned()).await {
                return permit.map_err(|_| Error::Late);
            }
        }
    }

    fn leave_one(&self) {
        let mut inside = self.lock();
        let used = inside.iter().filter_map(|(uid, cell)| Some((cell.get()?.namespace.last_used(), uid)));
        if let Some(uid) = used.min().map(|(_, uid)| uid.clone()) {
            inside.remove(&uid);
        }
    }
}

/// What came of asking.
enum Answer {
    Seen(Observation),
    Looked(Outcome),
}

fn vantage(pod: &PodRef) -> String {
    pod.to_string()
}

/// Runs what reads files on a thread that may wait for them.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(f).await.map_err(|_| Error::Left)
}
