//! Where probes are sent from.
//!
//! The one seam between the engine and the network: the engine plans probes, a [`Vantage`] sends them.

mod ahead;
#[cfg(target_os = "linux")]
pub mod container;
#[cfg(target_os = "linux")]
pub mod here;
#[cfg(target_os = "linux")]
pub mod inside;
pub mod local;
pub mod placed;
pub mod stdio;

use ahead::Asking;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::causes::Observations;
use crate::diagnose::{Conclusion, Examination, Settings, Step};
use crate::probe::{Observation, Probe};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::ObjectRef;

/// A place that probes are sent from.
pub trait Vantage: Send + Sync {
    /// The place as a person reads it: `this process on node1`, `pod traefik/traefik-x`.
    fn name(&self) -> &str;

    /// Sends one probe. Never fails: what could not be sent is an observation that says so.
    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation>;
}

impl<V: Vantage + ?Sized> Vantage for &V {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        (**self).ask(probe)
    }
}

/// Something that holds a snapshot and lends it for a moment.
pub trait Lends: Send + Sync {
    /// Calls a function with the snapshot.
    fn lend<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R;
}

impl Lends for Snapshot {
    fn lend<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R {
        f(self)
    }
}

/// Diagnoses one target: drives an examination to its end, and asks ahead of it where something is silent.
pub async fn examine(snapshot: &impl Lends, vantage: &dyn Vantage, target: ObjectRef, settings: Settings) -> Conclusion {
    let mut examination = snapshot.lend(|s| Examination::begin(s, target, settings));
    let mut asking = Asking::at(vantage);
    while let Step::Ask(probes) = snapshot.lend(|s| examination.next(s)) {
        let patience = examination.patience();
        let foresee =
            |silent: &[Probe], answered: &Observations| snapshot.lend(|s| examination.foresee(s, silent, answered, Timestamp::now()));
        let answers = asking.answers(&probes, patience, foresee).await;
        examination.record(answers);
    }
    snapshot.lend(|s| examination.conclude(s))
}

/// Looks again at most this often where a route fails without a known cause.
const LOOKS: usize = 4;
/// Pause between such looks. Gateways take up to five seconds to follow a change that a snapshot already holds.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

/// Like [`examine`], for one-shot use: a route that fails without a known cause may be one that its gateway is still
/// programming, so it is looked at again before that is believed.
pub async fn examine_settled(snapshot: &impl Lends, vantage: &dyn Vantage, target: ObjectRef, settings: Settings) -> Conclusion {
    let mut conclusion = examine(snapshot, vantage, target.clone(), settings.clone()).await;
    for _ in 1..LOOKS {
        if !conclusion.fails_without_cause() || !settings.online {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        conclusion = examine(snapshot, vantage, target.clone(), settings.clone()).await;
    }
    conclusion
}
