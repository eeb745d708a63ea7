//! Probes from inside the network namespaces of this node's pods, or of an engine's containers, and looks into them.
//!
//! ```text
//! PodRef ──► members (by control group) ──► namespace (a thread of its own) ──► the same probes as anywhere
//!                    └──────────────────► look (sockets, processes, limits)
//! ```
//!
//! Needs the node's processes (hostPID) and CAP_SYS_ADMIN, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; where something is missing, a probe is
//! not sent and says why.

mod groups;
pub(super) mod look;
mod members;
mod namespace;
mod resolver;
mod sockets;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::evidence::inside::membership::PodUid;
use crate::probe::{Observation, Outcome, PodRef, Probe, Question};
use crate::vantage::local::Local;
pub use members::Whose;
use members::{Known, Member};
use namespace::Namespace;
use resolver::Names;

/// A namespace that nobody has asked for so long is left.
const IDLE: Duration = Duration::from_secs(30);
/// Namespaces that are entered at once; each has a thread.
const NAMESPACES: usize = 16;
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

impl Roots {
    /// As a process on the machine itself sees them.
    pub fn of_machine() -> Self {
        Roots { proc: "/proc".into(), groups: "/sys/fs/cgroup".into() }
    }
}

/// Why a pod or container was not asked from inside.
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
    /// It is not here, or none of its processes runs.
    #[error("none of its processes runs on this node")]
    NoProcess,
    /// The process ended, or its number was given to another, before its namespace was entered.
    #[error("its process ended meanwhile")]
    Gone,
    /// The namespace could not be opened.
    #[error("its network namespace cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// The namespace could not be entered.
    #[error("its network namespace cannot be entered: {0}")]
    Enter(#[source] io::Error),
    /// No thread could be made for it.
    #[error("no thread for its network namespace: {0}")]
    Thread(#[source] io::Error),
    /// The thread ended before it answered.
    #[error("its network namespace was left meanwhile")]
    Left,
    /// The sockets could not be asked for.
    #[error("no netlink socket: {0}")]
    Netlink(#[source] io::Error),
    /// The tables of sockets could not be read.
    #[error("its sockets cannot be read: {0}")]
    Sockets(#[source] io::Error),
    /// Nothing came in time, as where too much is asked at once.
    #[error("it could not be asked in time")]
    Late,
}

impl Error {
    /// Whether it says that this process cannot enter the namespace at all, rather than that something went wrong with it.
    pub fn is_inability(&self) -> bool {
        matches!(self, Error::Processes(_) | Error::NoProcess | Error::Open(_) | Error::Enter(_))
    }
}

/// The pods of this node, or the containers of an engine, asked from inside.
#[derive(Debug)]
pub struct Pods {
    roots: Roots,
    idle: Duration,
    /// Whether these are containers: their loopback is asked too, where a gateway may have its own upstream, and their `/etc/hosts` counts,
    /// in which their engine writes names.
    are_containers: bool,
    inside: Mutex<HashMap<Whose, Arc<OnceCell<Arc<Entered>>>>>,
    known: Arc<Known>,
    threads: Arc<Semaphore>,
    in_flight: Semaphore,
    looks: Arc<Semaphore>,
}

/// A namespace with the process that it was entered by.
#[derive(Debug)]
struct Entered {
    /// It first, and others whose files say the same of names.
    members: Vec<Member>,
    names: Names,
    namespace: Namespace,
}

impl Pods {
    /// The pods whose processes and control groups are found here.
    pub fn new(roots: Roots) -> Self {
        Pods {
            roots,
            idle: IDLE,
            are_containers: false,
            inside: Mutex::default(),
            known: Arc::default(),
            threads: Arc::new(Semaphore::new(NAMESPACES)),
            in_flight: Semaphore::new(IN_FLIGHT),
            looks: Arc::new(Semaphore::new(LOOKS)),
        }
    }

    /// The containers whose processes and control groups are found here.
    pub fn of_containers(roots: Roots) -> Self {
        Pods { are_containers: true, ..Pods::new(roots) }
    }

    /// The process tree.
    pub fn proc(&self) -> &Path {
        &self.roots.proc
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
        let (at, name) = (Timestamp::now(), pod.to_string());
        let answer = match whose(pod, probe) {
            Ok(whose) => self.try_ask(&whose, &name, probe).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| Observation::not_sent(probe.clone(), name, at, error.to_string()))
    }

    /// The same, or why it could not be sent. The name stands for the vantage in the answer.
    pub async fn try_ask(&self, whose: &Whose, name: &str, probe: &Probe) -> Result<Observation, Error> {
        // The same grace that the probes have, so that their own limit comes first.
        let answer = tokio::time::timeout(probe.timeout + probe.timeout / 4, self.send(whose, name, probe)).await;
        answer.unwrap_or(Err(Error::Late))
    }

    /// The process that made the first of these, as an engine's helper that holds a container.
    pub async fn parent(&self, whose: &Whose) -> Result<u32, Error> {
        let (proc, whose) = (self.roots.proc.clone(), whose.clone());
        let parent = blocking(move || members::of(&proc, &whose).map(|members| members::runtime(&proc, &members))).await?;
        parent.map_err(Error::Processes)?.ok_or(Error::NoProcess)
    }

    /// Runs a function in a network namespace, on a thread that may wait and ends with it.
    pub async fn within<T: Send + 'static>(&self, whose: &Whose, f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (proc, whose) = (self.roots.proc.clone(), whose.clone());
        blocking(move || namespace::within(&open(&proc, &whose, members::of(&proc, &whose))?.1, f)).await?
    }

    async fn send(&self, whose: &Whose, name: &str, probe: &Probe) -> Result<Observation, Error> {
        let needs_names = match &probe.question {
            Question::Look(_) => return self.look(whose, name, probe).await,
            Question::Resolve { server, .. } => server.is_none(),
            Question::Connect { .. } | Question::Handshake { .. } | Question::Request(_) | Question::Size { .. } | Question::Log(_) => {
                false
            }
        };
        let _in_flight = self.in_flight.acquire().await;
        let entered = self.entered(whose, name).await?;
        let entered = if needs_names { self.up_to_date(entered, whose, name).await? } else { entered };
        match entered.namespace.probe(probe.clone()).await {
            // It was left for want of questions just when this one came.
            Err(Error::Left) => self.entered(whose, name).await?.namespace.probe(probe.clone()).await,
            answer => answer,
        }
    }

    async fn look(&self, whose: &Whose, name: &str, probe: &Probe) -> Result<Observation, Error> {
        let (at, begun) = (Timestamp::now(), Instant::now());
        let permit = self.looks.clone().acquire_owned().await.map_err(|_| Error::Late)?;
        let netlink = self.entered(whose, name).await?.namespace.netlink().await;
        let (roots, whose) = (self.roots.clone(), whose.clone());
        let (inside, _permit) = blocking(move || (look::into(&roots, &whose, netlink), permit)).await?;
        let outcome = Outcome::Seen(Box::new(inside?));
        Ok(Observation { probe: probe.clone(), vantage: name.to_owned(), at, took: begun.elapsed(), outcome })
    }

    /// The namespace, entered now or before. One whose process is no more what it was is entered anew.
    async fn entered(&self, whose: &Whose, name: &str) -> Result<Arc<Entered>, Error> {
        let known = self.enter_once(whose, name).await?;
        let is_still = known.members.first().is_some_and(|member| members::is_still(&self.roots.proc, *member, whose));
        if known.namespace.is_open() && is_still {
            return Ok(known);
        }
        self.forget(whose, &known);
        self.enter_once(whose, name).await
    }

    /// The namespace with names as they are now: an engine writes a container's files anew where it is attached to another network.
    async fn up_to_date(&self, entered: Arc<Entered>, whose: &Whose, name: &str) -> Result<Arc<Entered>, Error> {
        let (proc, members, are_containers) = (self.roots.proc.clone(), entered.members.clone(), self.are_containers);
        if blocking(move || resolver::names(&proc, &members, are_containers)).await? == entered.names {
            return Ok(entered);
        }
        self.forget(whose, &entered);
        self.enter_once(whose, name).await
    }

    /// However many ask at once, one of them enters.
    async fn enter_once(&self, whose: &Whose, name: &str) -> Result<Arc<Entered>, Error> {
        let cell = {
            let mut inside = self.lock();
            if !inside.contains_key(whose) {
                // Pods come and go: what could not be entered, or was left, is forgotten.
                inside.retain(|_, cell| cell.get().map_or(Arc::strong_count(cell) > 1, |e| e.namespace.is_open()));
            }
            inside.entry(whose.clone()).or_default().clone()
        };
        cell.get_or_try_init(|| self.enter(whose, name)).await.cloned()
    }

    fn forget(&self, whose: &Whose, known: &Arc<Entered>) {
        let mut inside = self.lock();
        if inside.get(whose).and_then(|cell| cell.get()).is_some_and(|kept| Arc::ptr_eq(kept, known)) {
            inside.remove(whose);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Arc<OnceCell<Arc<Entered>>>>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, whose: &Whose, name: &str) -> Result<Arc<Entered>, Error> {
        let permit = self.permit().await?;
        let (proc, of, are_containers) = (self.roots.proc.clone(), whose.clone(), self.are_containers);
        let (known, asked) = (self.known.clone(), Instant::now());
        let (members, namespace, names) = blocking(move || {
            let (members, opened) = open(&proc, &of, known.members(&proc, &of, asked))?;
            let names = resolver::names(&proc, &members, are_containers);
            Ok((members, opened, names))
        })
        .await??;
        let local = Local::new(name, names.servers.clone()).knowing(names.hosts.clone());
        let local = if self.are_containers { local.allowing_loopback() } else { local };
        let namespace = Namespace::enter(namespace, local, self.idle, permit).await?;
        Ok(Arc::new(Entered { members, names, namespace }))
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
        let used = inside.iter().filter_map(|(whose, cell)| Some((cell.get()?.namespace.last_used(), whose)));
        if let Some(whose) = used.min().map(|(_, whose)| whose.clone()) {
            inside.remove(&whose);
        }
    }
}

/// Whose namespace a probe is asked in.
fn whose(pod: &PodRef, probe: &Probe) -> Result<Whose, Error> {
    let uid = PodUid::parse(&pod.uid).ok_or_else(|| Error::Uid(pod.uid.clone()))?;
    match &probe.question {
        Question::Look(other) if other.uid != pod.uid => Err(Error::AnotherPod),
        _ => Ok(Whose::Pod(uid)),
    }
}

/// Opens the network namespace of the first of these processes. With it come the first few of them, that one first.
fn open(proc: &Path, whose: &Whose, found: io::Result<Vec<Member>>) -> Result<(Vec<Member>, File), Error> {
    let mut members = found.map_err(Error::Processes)?;
    members.truncate(resolver::TRIED);
    let member = *members.first().ok_or(Error::NoProcess)?;
    let opened = File::open(proc.join(member.pid.to_string()).join("ns/net"));
    // The number may have been another process' by the time that its namespace was opened.
    if !members::is_still(proc, member, whose) {
        return Err(Error::Gone);
    }
    Ok((members, opened.map_err(Error::Open)?))
}

/// Runs what reads files on a thread that may wait for them.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(f).await.map_err(|_| Error::Left)
}
