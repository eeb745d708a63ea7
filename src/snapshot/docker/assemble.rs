//! What was read of an engine, put together as a host. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::evidence::config::{self, Configuration, Files};
use crate::evidence::firewall::Firewall;
use crate::fact::Fact;
use crate::path::container::implementation;
use crate::snapshot::objects::Text;
use crate::snapshot::objects::docker::{Container, Engine, Host, Network};
use crate::snapshot::software::Implementation;

/// The label by which a container says that it is a gateway, and where it sends requests.
pub const UPSTREAM: &str = "culprit.dev/upstream";

/// What was read of an engine.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// What it is called in targets.
    pub name: Text,
    /// The engine.
    pub engine: Engine,
    /// All its containers.
    pub containers: Vec<Arc<Container>>,
    /// All its networks.
    pub networks: Vec<Arc<Network>>,
    /// Text files of the containers that may be gateways, by the container's name.
    pub files: BTreeMap<String, Fact<Files>>,
    /// The packet filter of its host.
    pub firewall: Fact<Arc<Firewall>>,
    /// The containers that somebody asks about: each is looked at as a gateway.
    pub named: BTreeSet<String>,
}

/// The host that was read, with what its gateways are told.
pub fn assemble(inventory: &Inventory) -> Host {
    let containers = in_order(&inventory.containers, |c| (c.name.as_str(), c.id.as_str()));
    let mut configurations = BTreeMap::new();
    for container in &containers {
        let asked_for = inventory.named.contains(container.name.as_str()) || container.labels.contains_key(UPSTREAM);
        if !asked_for && !may_be_gateway(container) {
            continue;
        }
        let files = inventory.files.get(container.name.as_str()).unwrap_or(&Fact::NotAsked);
        if let Some(told) = told(container, files, &containers, asked_for) {
            configurations.insert(container.name.to_string(), told);
        }
    }
    let networks = in_order(&inventory.networks, |n| (n.name.as_str(), n.id.as_str()));
    let Inventory { name, engine, firewall, .. } = inventory;
    Host { name: name.clone(), engine: engine.clone(), containers, networks, configurations, firewall: firewall.clone() }
}

/// Whether a container may be a gateway: it runs software that is one, or says that it sends requests on.
pub fn may_be_gateway(container: &Container) -> bool {
    container.labels.contains_key(UPSTREAM) || implementation(container) != Implementation::Other
}

/// What a gateway is told; none where it turns out to be none: the same software serves files, and its name is part of other images'.
fn told(
    container: &Arc<Container>,
    files: &Fact<Files>,
    containers: &[Arc<Container>],
    asked_for: bool,
) -> Option<Fact<Arc<Configuration>>> {
    let none = Files::default();
    let (files, unread) = match files {
        Fact::Known(files) => (files, None),
        Fact::Failed(why) => (&none, Some(why)),
        Fact::Absent | Fact::NotAsked => (&none, None),
    };
    let told = config::read(files, container, containers, implementation(container));
    let sends_on = told.known().is_some_and(|c| !c.routes.is_empty());
    match unread {
        // Labels and arguments may tell everything.
        Some(why) if !sends_on => Some(Fact::Failed(why.clone())),
        _ => {
            let is_unclear = !files.is_empty() && told.known().is_none_or(|c| !c.notes.is_empty());
            (asked_for || sends_on || is_unclear).then(|| told.map(Arc::new))
        }
    }
}

/// By name, and by id where names are the same, so that the order of reading is no matter.
fn in_order<T>(objects: &[Arc<T>], key: impl Fn(&T) -> (&str, &str)) -> Vec<Arc<T>> {
    let mut objects = objects.to_vec();
    objects.sort_by(|a, b| key(a).cmp(&key(b)));
    objects
}
