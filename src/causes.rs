//! The catalogue: one file per cause, grouped by where on the path it is looked for.
//!
//! A cause is data (what it is called, means, looks like) and one pure function of a [`Case`]. The engine loops over
//! [`all`]; it calls no cause by name. To add one: its file, its folder under `tests/causes/`, one word in its group's list.

mod behind;
mod case;
mod finding;
mod look;
mod nodes;
mod ports;
mod redirect;
mod remedy;
mod swallowed;
mod undelivered;
mod upstream;

pub mod app;
pub mod config;
pub mod docker;
pub mod endpoints;
pub mod listener;
pub mod network;
pub mod protocol;
pub mod resources;
pub mod route;
pub mod service;
pub mod socket;

pub use behind::Behind;
pub use case::{Case, EndToEnd, EndpointView, NO_SUCH_HOST, Observations, endpoint_request, known, sample};
pub use finding::{FindingBuilder, line_from};
pub use look::Look;

use crate::api::{Finding, Hop, Severity};
use crate::probe::{Probe, Signature};

/// One entry of the catalogue.
#[derive(Debug)]
pub struct Cause {
    /// Its name, everywhere: `svc-targetport-wrong`. Equals the name of its file.
    pub slug: &'static str,
    /// The problem in one line, without full stop.
    pub summary: &'static str,
    /// The hop of the path that it sits on.
    pub hop: Hop,
    /// Whether requests fail by it.
    pub severity: Severity,
    /// When it is looked for.
    pub when: When,
    /// Where it can be.
    pub platform: Platform,
    /// The wire signatures that it shows as.
    pub signatures: &'static [Signature],
    /// Causes that it explains: where both hold, only this one is named.
    pub explains: &'static [&'static str],
    /// First version that names it.
    pub since: &'static str,
    /// Its documentation in Markdown, with the headings of [`HEADINGS`].
    pub docs: &'static str,
    /// Judges a case. Total and pure: no I/O, no panic.
    pub check: fn(&Case<'_>) -> Judgement,
}

/// Headings that every cause's documentation has, in this order.
pub const HEADINGS: &[&str] = &["What it means", "What you see", "How we know", "How to fix", "Looks like", "Limits"];

/// When a cause is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only where the route was seen to fail, or was not seen: never on a route that works.
    NotWorking,
    /// Also on a route that answers, since the answer may be the wrong one.
    Always,
}

/// Where a cause can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// In a Kubernetes cluster.
    Kubernetes,
    /// On a Docker engine.
    Docker,
    /// On both.
    Everywhere,
}

/// Whether a cause holds: `Ok(None)` is no, `Err` is not known, and says what is missing.
pub type Judgement = Result<Option<Finding>, Missing>;

/// What a judgement lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// These probes; the engine sends them and asks again.
    Probes(Vec<Probe>),
    /// A fact that cannot be had, in a few words.
    Fact(String),
}

/// Declares the causes of a group: a module and an entry of the list for each.
macro_rules! group {
    ($($cause:ident),* $(,)?) => {
        $(mod $cause;)*
        /// The causes of this group.
        pub static CAUSES: &[&crate::causes::Cause] = &[$(&$cause::CAUSE),*];
    };
}
pub(crate) use group;

/// The groups by the name of their folder, in the order of a request's path.
pub static GROUPS: &[(&str, &[&Cause])] = &[
    ("listener", listener::CAUSES),
    ("route", route::CAUSES),
    ("config", config::CAUSES),
    ("service", service::CAUSES),
    ("endpoints", endpoints::CAUSES),
    ("network", network::CAUSES),
    ("socket", socket::CAUSES),
    ("protocol", protocol::CAUSES),
    ("app", app::CAUSES),
    ("resources", resources::CAUSES),
    ("docker", docker::CAUSES),
];

/// Every cause, in the order of a request's path.
pub fn all() -> impl Iterator<Item = &'static Cause> {
    GROUPS.iter().flat_map(|(_, causes)| causes.iter().copied())
}

/// A cause by its slug.
pub fn by_slug(slug: &str) -> Option<&'static Cause> {
    all().find(|c| c.slug == slug)
}
