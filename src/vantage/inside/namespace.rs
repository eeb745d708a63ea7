//! A thread that lives in one network namespace and ends there.
//!
//! `setns(2)` moves one thread. Such a thread is never used for anything else: it runs its own small runtime, and when nobody has asked
//! for a while it ends, and the namespace is left with it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Error, sockets};
use crate::probe::{Observation, Probe};
use crate::vantage::Vantage;
use crate::vantage::local::Local;

/// Jobs that may wait for their turn in one namespace.
const WAITING: usize = 256;

/// What is done in a namespace.
#[derive(Debug)]
pub enum Job {
    /// Send a probe.
    Probe(Probe, oneshot::Sender<Observation>),
    /// Open a netlink socket, through which the namespace's sockets can be seen from anywhere.
    Netlink(oneshot::Sender<io::Result<OwnedFd>>),
}

/// A network namespace with its thread.
#[derive(Debug)]
pub struct Namespace {
    jobs: mpsc::Sender<Job>,
    used: Mutex<Instant>,
}

impl Namespace {
    /// Enters a namespace, and returns once that has worked. It is left when nobody has asked for `idle`; the permit is given back then.
    pub async fn enter(namespace: File, vantage: Local, idle: Duration, permit: OwnedSemaphorePermit) -> Result<Self, Error> {
        let (jobs, received) = mpsc::channel(WAITING);
        let (entered, has_entered) = oneshot::channel();
        let live = move || {
            let _permit = permit;
            match runtime_in(&namespace) {
                Ok(runtime) => {
                    drop(namespace);
                    // Whoever asked may have given up; then nobody holds the other end of `jobs`, and this ends at once.
                    let _ = entered.send(Ok(()));
                    runtime.block_on(serve(Arc::new(vantage), received, idle));
                }
                Err(error) => drop(entered.send(Err(error))),
            }
        };
        std::thread::Builder::new().name("inside".into()).spawn(live).map_err(Error::Thread)?;
        has_entered.await.map_err(|_| Error::Left)??;
        Ok(Namespace { jobs, used: Mutex::new(Instant::now()) })
    }

    /// Whether its thread still takes jobs.
    pub fn is_open(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// When it was last asked for something.
    pub fn last_used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a probe from there.
    pub async fn probe(&self, probe: Probe) -> Result<Observation, Error> {
        self.run(|answer| Job::Probe(probe, answer)).await
    }

    /// A netlink socket that was opened there.
    pub async fn netlink(&self) -> Result<OwnedFd, Error> {
        self.run(Job::Netlink).await?.map_err(Error::Netlink)
    }

    async fn run<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Error> {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| Error::Left)?;
        answered.await.map_err(|_| Error::Left)
    }
}

/// Runs a short function in another network namespace, on a thread that ends with it.
pub fn within<T: Send>(namespace: &File, f: impl FnOnce() -> T + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("inside".into());
        let run = || move_to(namespace).map(|()| f());
        let handle = thread.spawn_scoped(scope, run).map_err(Error::Thread)?;
        handle.join().unwrap_or(Err(Error::Left))
    })
}

fn move_to(namespace: &File) -> Result<(), Error> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|e| Error::Enter(e.into()))
}

fn runtime_in(namespace: &File) -> Result<tokio::runtime::Runtime, Error> {
    move_to(namespace)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)
}

async fn serve(vantage: Arc<Local>, mut jobs: mpsc::Receiver<Job>, idle: Duration) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            job = tokio::time::timeout(idle, jobs.recv()) => match job {
                Ok(Some(job)) => take(job, &vantage, &mut under_way),
                Ok(None) | Err(_) => break,
            },
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
        }
    }
    // What was sent before is still answered.
    jobs.close();
    while let Some(job) = jobs.recv().await {
        take(job, &vantage, &mut under_way);
    }
    while under_way.join_next().await.is_some() {}
}

/// Begins a job. Whoever has given up on its answer does not need it.
fn take(job: Job, vantage: &Arc<Local>, under_way: &mut JoinSet<()>) {
    match job {
        Job::Netlink(answer) => drop(answer.send(sockets::open())),
        Job::Probe(probe, answer) => {
            let vantage = vantage.clone();
            under_way.spawn(async move { drop(answer.send(vantage.ask(&probe).await)) });
        }
    }
}
