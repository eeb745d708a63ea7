//! Probes from inside the containers of one Docker engine, and from its host's network.
//!
//! A probe goes where it names (`Probe.from`, `Question::Look`), else inside the gateway's container. The engine's host is the network that
//! the engine itself lives in: a machine's own, or that of a user's or of an engine within a container.
//!
//! Namespaces are entered where that is possible. Where it is not, as without root or where the engine is on another machine, a helper is
//! asked that the engine runs there. Observations say which.

mod firewall;
mod helper;
mod home;
mod logs;
mod pipe;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::Vantage;
use super::inside::{Error, Pods, Roots, Whose};
use crate::evidence::firewall::Firewall;
use crate::evidence::inside::membership::PodUid;
use crate::fact::Fact;
use crate::probe::{LogLine, Observation, Outcome, PodRef, Probe, Question};
use crate::snapshot::docker::engine::Connection;
use crate::snapshot::docker::{Inventory, assemble};
use crate::snapshot::objects::docker::{Engine, Host};
pub use helper::{Helpers, LABEL as HELPER_LABEL};
pub use home::Home;

/// Where a helper was needed, entering is not tried again for so long.
const APART: Duration = Duration::from_secs(60);

/// What reads containers' logs: the engine.
pub trait Logs: Send + Sync {
    /// The last lines of a container's log, the oldest first, or why they cannot be read.
    fn read<'a>(&'a self, container: &'a PodRef) -> BoxFuture<'a, Result<Vec<LogLine>, String>>;
}

/// The containers of one engine, asked from inside.
pub struct Containers {
    pods: Pods,
    home: Home,
    logs: Box<dyn Logs>,
    /// Whether one of them was entered: then the engine is on this machine, and what is not found is not there.
    entered: AtomicBool,
    helpers: Option<Helpers>,
    /// When a helper was asked for want of being able to enter; entering is not tried for a while then.
    apart: Mutex<Option<Instant>>,
}

/// The containers of an engine as the vantage of one gateway.
#[derive(Clone)]
pub struct Inside<'a> {
    containers: &'a Containers,
    gateway: PodRef,
    name: String,
}

impl Containers {
    /// Of an engine whose containers' processes and control groups are found here.
    pub fn new(roots: Roots, home: Home, logs: Box<dyn Logs>) -> Self {
        let (pods, entered) = (Pods::of_containers(roots), AtomicBool::new(false));
        Containers { pods, home, logs, entered, helpers: None, apart: Mutex::default() }
    }

    /// Of the engine that a connection leads to, as this machine sees it, with helpers of an image where namespaces cannot be entered.
    pub fn of_engine(connection: &Connection, engine: &Engine, helper_image: &str) -> Self {
        let home = Home::of(&connection.endpoint().address.to_string(), engine);
        let helpers = Helpers::new(connection.docker().clone(), helper_image.to_owned());
        Containers::new(Roots::of_machine(), home, Box::new(connection.clone())).helped_by(helpers)
    }

    /// Asks helpers where namespaces cannot be entered.
    #[must_use]
    pub fn helped_by(self, helpers: Helpers) -> Self {
        Containers { helpers: Some(helpers), ..self }
    }

    /// Lets the helpers go, and waits a little until they are gone.
    pub async fn close(&self) {
        if let Some(helpers) = &self.helpers {
            helpers.close().await;
        }
    }

    /// The vantage of a gateway's container.
    pub fn of(&self, gateway: PodRef) -> Inside<'_> {
        Inside { containers: self, name: gateway.to_string(), gateway }
    }

    /// The packet filter of the engine's host, which is found by the engine or by a container of it that runs.
    pub async fn firewall(&self, any: &PodRef) -> Fact<Arc<Firewall>> {
        let read = async { self.pods.within(&Whose::Network(self.engine(any).await?), firewall::read).await };
        match read.await {
            Ok(Ok(firewall)) => Fact::Known(Arc::new(firewall)),
            Ok(Err(error)) => Fact::Failed(error.to_string()),
            Err(error) => Fact::Failed(format!("{}: {error}", PodRef::docker_host())),
        }
    }

    /// What was read of the engine as a host, with the packet filter, which its API does not tell.
    pub async fn host(&self, inventory: &mut Inventory) -> Host {
        if let Some(any) = inventory.containers.iter().find(|c| c.runs()) {
            inventory.firewall = self.firewall(&PodRef::of_container(any)).await;
        }
        assemble(inventory)
    }

    /// Sends one probe from inside a container, or from the engine's host.
    async fn ask(&self, place: &PodRef, gateway: &PodRef, probe: &Probe) -> Observation {
        let at = Timestamp::now();
        // The place is chosen; whoever sends the probe need not know of it.
        let plain = Probe { from: None, ..probe.clone() };
        let answer = match &self.helpers {
            Some(helpers) => self.enter_or_help(helpers, place, gateway, &plain).await,
            None => self.enter_and_ask(place, gateway, &plain).await.map_err(|error| error.to_string()),
        };
        match answer {
            Ok(seen) => Observation { probe: probe.clone(), ..seen },
            Err(why) => Observation::not_sent(probe.clone(), place.to_string(), at, why),
        }
    }

    async fn enter_or_help(&self, helpers: &Helpers, place: &PodRef, gateway: &PodRef, probe: &Probe) -> Result<Observation, String> {
        let why_not = match self.seems_apart() {
            true => None,
            false => match self.enter_and_ask(place, gateway, probe).await {
                Err(error) if error.is_inability() && !self.is_final(place) => Some(error),
                answer => return answer.map_err(|error| error.to_string()),
            },
        };
        let answer = helpers.ask(place, probe).await;
        // The host alone may not be found for other reasons.
        if answer.is_ok() && why_not.is_some() && *place != PodRef::docker_host() {
            *self.lock_apart() = Some(Instant::now());
        }
        answer.map_err(|error| why_not.map_or_else(|| error.to_string(), |why_not| format!("{why_not}; {error}")))
    }

    fn seems_apart(&self) -> bool {
        self.lock_apart().is_some_and(|since| since.elapsed() < APART)
    }

    fn lock_apart(&self) -> MutexGuard<'_, Option<Instant>> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a helper could not do it either: where containers can be entered, one that cannot does not run.
    fn is_final(&self, place: &PodRef) -> bool {
        self.entered.load(Ordering::Relaxed) && *place != PodRef::docker_host()
    }

    async fn enter_and_ask(&self, place: &PodRef, gateway: &PodRef, probe: &Probe) -> Result<Observation, Error> {
        let is_host = *place == PodRef::docker_host();
        let whose = if is_host { Whose::Network(self.engine(gateway).await?) } else { Whose::Pod(uid(place)?) };
        let name = if is_host { place.to_string() } else { format!("{place} (inside)") };
        let answer = self.pods.try_ask(&whose, &name, probe).await;
        if answer.is_ok() && !is_host {
            self.entered.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// A process in the network of the engine's host: the engine, else what holds the gateway's container for it.
    async fn engine(&self, gateway: &PodRef) -> Result<u32, Error> {
        match self.home.engine(self.pods.proc()).await {
            Some(pid) => Ok(pid),
            None => self.pods.parent(&Whose::Pod(uid(gateway)?)).await,
        }
    }

    async fn log(&self, container: &PodRef, probe: &Probe) -> Observation {
        let (at, begun) = (Timestamp::now(), Instant::now());
        let read = tokio::time::timeout(probe.timeout, self.logs.read(container)).await;
        let outcome = match read {
            Ok(Ok(lines)) => Outcome::Logged(lines),
            Ok(Err(why)) => Outcome::NotSent(why),
            Err(_) => Outcome::NotSent("the engine did not give the log in time".into()),
        };
        Observation { probe: probe.clone(), vantage: "the engine".into(), at, took: begun.elapsed(), outcome }
    }
}

fn uid(container: &PodRef) -> Result<PodUid, Error> {
    PodUid::parse(&container.uid).ok_or_else(|| Error::Uid(container.uid.clone()))
}

impl Vantage for Inside<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        let place = match &probe.question {
            Question::Log(container) => return Box::pin(self.containers.log(container, probe)),
            Question::Look(container) => container,
            _ => probe.from.as_deref().unwrap_or(&self.gateway),
        };
        Box::pin(self.containers.ask(place, &self.gateway, probe))
    }
}
