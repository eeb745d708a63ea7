//! Keeps one session with each controller replica.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Works;
use super::names::{Names, NoAddress};
use super::session::{self, Dial, Shared};

/// How often the replicas' addresses are looked up, and how often while there is none.
const LOOK_UP: Duration = Duration::from_secs(5);
const LOOK_UP_NONE: Duration = Duration::from_secs(1);
/// Pauses between two attempts at one replica: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A session that lasted for so long was a good one: the next attempt is a first one again.
const GOOD: Duration = Duration::from_secs(30);
/// How long sessions may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Where the controller is, and what to show it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of the controller; every address of the host is a replica.
    pub controller: String,
    /// The name that its certificate carries, where that is not its host.
    pub server_name: Option<String>,
    /// File with the certificates that are trusted.
    pub ca: PathBuf,
    /// File with the agent's token.
    pub token: PathBuf,
    /// How names are looked up: the text of a resolv.conf.
    pub resolv_conf: String,
}

/// Runs until it is told to end.
pub async fn run(options: Options, works: Arc<dyn Works>, ended: CancellationToken) -> Result<(), NoAddress> {
    let names = Names::new(&options.controller, &options.resolv_conf)?;
    let shared = Arc::new(Shared::new(works));
    let server_name = options.server_name.unwrap_or_else(|| names.host().to_owned());
    let mut replicas = Replicas::default();
    let mut look_up = Box::pin(following(names, replicas.wanted.clone()));
    let mut wanted = replicas.wanted.subscribe();
    loop {
        tokio::select! {
            () = &mut look_up => {}
            Ok(()) = wanted.changed() => {}
            Some(Ok(address)) = replicas.sessions.join_next() => drop(replicas.running.remove(&address)),
            () = ended.cancelled() => break,
        }
        let dial = |address| Dial { address, server_name: server_name.clone(), ca: options.ca.clone(), token: options.token.clone() };
        replicas.begin_missing(dial, &shared, &ended);
    }
    let _ = tokio::time::timeout(GRACE, replicas.sessions.join_all()).await;
    tracing::info!(refused = shared.refused(), "ended");
    Ok(())
}

/// The replicas that there are, and the sessions with them.
#[derive(Default)]
struct Replicas {
    wanted: watch::Sender<BTreeSet<SocketAddr>>,
    running: BTreeSet<SocketAddr>,
    sessions: JoinSet<SocketAddr>,
}

impl Replicas {
    fn begin_missing(&mut self, dial: impl Fn(SocketAddr) -> Dial, shared: &Arc<Shared>, ended: &CancellationToken) {
        let missing: Vec<SocketAddr> = self.wanted.borrow().difference(&self.running).copied().collect();
        for address in missing {
            self.running.insert(address);
            self.sessions.spawn(keep(dial(address), shared.clone(), self.wanted.subscribe(), ended.clone()));
        }
    }
}

/// Looks the addresses up again and again. What is known stays while nobody answers: the name server may be what is broken.
async fn following(mut names: Names, wanted: watch::Sender<BTreeSet<SocketAddr>>) {
    loop {
        match names.addresses().await {
            Ok(addresses) => drop(wanted.send_if_modified(|known| {
                let is_new = *known != addresses;
                *known = addresses;
                is_new
            })),
            Err(failure) if wanted.borrow().is_empty() => tracing::warn!(host = names.host(), %failure, "no controller is found"),
            Err(failure) => tracing::debug!(host = names.host(), %failure, "the controller's addresses are not known anew"),
        }
        let none = wanted.borrow().is_empty();
        tokio::time::sleep(if none { LOOK_UP_NONE } else { LOOK_UP }).await;
    }
}

/// Keeps a session with one replica until it is gone or the agent ends. Returns its address.
async fn keep(dial: Dial, shared: Arc<Shared>, mut wanted: watch::Receiver<BTreeSet<SocketAddr>>, ended: CancellationToken) -> SocketAddr {
    let address = dial.address;
    let mut pauses = pauses();
    loop {
        let begun = Instant::now();
        match session::run(&dial, &shared, ended.clone()).await {
            Ok(()) => tracing::info!(%address, "session ended"),
            Err(error) => tracing::warn!(%address, %error, "no session"),
        }
        if begun.elapsed() > GOOD {
            pauses = self::pauses();
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)) => {}
            _ = wanted.wait_for(|wanted| !wanted.contains(&address)) => return address,
            () = ended.cancelled() => return address,
        }
    }
}

/// Longer and longer, and by chance, so that a thousand agents do not dial a controller that comes back all at once.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE).without_max_times().with_jitter().build()
}
