//! Which gateways of a host a change touches. Pure.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::path::{self, Leads, Path};
use crate::snapshot::Snapshot;
use crate::snapshot::docker::engine::Touched;
use crate::snapshot::objects::docker::{Container, Host, Network};
use crate::snapshot::objects::{Kind, ObjectRef};

/// All gateways of a host.
pub fn gateways(host: &Host) -> impl Iterator<Item = ObjectRef> + '_ {
    host.configurations.keys().map(|name| ObjectRef::new(Kind::Container, &host.name, name))
}

/// The gateways of a host that changes touch, as a snapshot has it. Ask before and after a change: both count.
pub fn touched(snapshot: &Snapshot, host: &Host, changes: &BTreeSet<Touched>) -> BTreeSet<ObjectRef> {
    if changes.contains(&Touched::Everything) {
        return gateways(host).collect();
    }
    gateways(host).filter(|gateway| is_touched_by_any(snapshot, host, gateway, changes)).collect()
}

/// What differs between two looks at a host, whatever events said: what containers and networks are, and what gateways are told.
pub fn differences(before: &Host, after: &Host) -> BTreeSet<Touched> {
    let container = |container: &Arc<Container>| Touched::Container(container.id.to_string());
    let network = |network: &Arc<Network>| Touched::Network { name: network.name.to_string(), container: None };
    let names = before.configurations.keys().chain(after.configurations.keys());
    let told_anew = names.filter(|name| before.configurations.get(*name) != after.configurations.get(*name));
    let of_gateways = told_anew.filter_map(|name| Some(container(after.container(name).or_else(|| before.container(name))?)));
    let of_containers = differing(&before.containers, &after.containers, |c| &c.id, container);
    let of_networks = differing(&before.networks, &after.networks, |n| &n.id, network);
    of_gateways.chain(of_containers).chain(of_networks).collect()
}

/// The objects that only one side has, or that both have and differ.
fn differing<T: PartialEq, K: Ord + ?Sized, R>(before: &[Arc<T>], after: &[Arc<T>], key: fn(&T) -> &K, name: fn(&Arc<T>) -> R) -> Vec<R> {
    let old: BTreeMap<&K, &Arc<T>> = before.iter().map(|object| (key(object), object)).collect();
    let new: BTreeMap<&K, &Arc<T>> = after.iter().map(|object| (key(object), object)).collect();
    let changed = new.iter().filter(|(key, object)| old.get(*key) != Some(*object)).map(|(_, object)| name(object));
    changed.chain(old.iter().filter(|(key, _)| !new.contains_key(*key)).map(|(_, object)| name(object))).collect()
}

fn is_touched_by_any(snapshot: &Snapshot, host: &Host, gateway: &ObjectRef, changes: &BTreeSet<Touched>) -> bool {
    let Some(container) = host.container(&gateway.key.name) else { return true };
    // Resolved once, and only where a change is not the gateway's own.
    let paths = LazyCell::new(|| path::resolve(snapshot, gateway));
    let leads_to = |other: &Arc<Container>| paths.known().is_none_or(|paths| paths.iter().any(|path| leads_to(path, other)));
    changes.iter().any(|change| is_touched(host, container, change, leads_to))
}

fn is_touched(host: &Host, container: &Arc<Container>, change: &Touched, leads_to: impl Fn(&Arc<Container>) -> bool) -> bool {
    let (network, id) = match change {
        Touched::Everything => return true,
        Touched::Container(id) => (None, Some(id)),
        Touched::Network { name, container } => (Some(name), container.as_ref()),
    };
    if network.is_some_and(|name| container.attachment(name).is_some()) {
        return true;
    }
    let Some(other) = id.and_then(|id| host.container(id)) else { return false };
    other.id == container.id || host.netns_owner(container).is_some_and(|owner| owner.id == other.id) || leads_to(other)
}

/// Whether a path's servers lead to a container, or name it, or lead nowhere that is known: then it may be the one that is missing.
fn leads_to(path: &Path, container: &Arc<Container>) -> bool {
    let servers = path.container.iter().flat_map(|c| &c.servers);
    let mut any = servers.peekable();
    if any.peek().is_none() {
        return true;
    }
    any.any(|server| match &server.leads {
        Leads::Containers(found) => found.iter().any(|(c, _)| c.id == container.id),
        Leads::Loopback(_) | Leads::Host(_) | Leads::Address(_) | Leads::Name => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::config::Configuration;
    use crate::fact::Fact;

    fn container(id: &str, name: &str) -> Arc<Container> {
        Arc::new(Container { id: id.into(), name: name.into(), ..Container::default() })
    }

    fn host(containers: &[Arc<Container>]) -> Host {
        let network = Arc::new(Network { name: "shop".into(), id: "n1".into(), ..Network::default() });
        Host { containers: containers.to_vec(), networks: vec![network], ..Host::default() }
    }

    fn touches(ids: &[&str]) -> BTreeSet<Touched> {
        ids.iter().map(|id| Touched::Container((*id).to_owned())).collect()
    }

    #[test]
    fn what_is_the_same_differs_in_nothing() {
        let one = host(&[container("1a", "a"), container("2b", "b")]);
        let again = host(&[container("1a", "a"), container("2b", "b")]);
        assert_eq!(differences(&one, &again), touches(&[]));
    }

    #[test]
    fn what_came_went_or_changed_differs() {
        let before = host(&[container("1a", "a"), container("2b", "b"), container("3c", "c")]);
        let after = host(&[container("1a", "renamed"), container("2b", "b"), container("4d", "c")]);
        assert_eq!(differences(&before, &after), touches(&["1a", "3c", "4d"]));
    }

    #[test]
    fn a_gateway_that_is_told_something_else_differs_and_a_network_does() {
        let before = host(&[container("1a", "a")]);
        let told = Fact::Known(Arc::new(Configuration::default()));
        let after = Host { configurations: [("a".to_owned(), told)].into(), ..before.clone() };
        assert_eq!(differences(&before, &after), touches(&["1a"]));
        let without = Host { networks: Vec::new(), ..before.clone() };
        let network = Touched::Network { name: "shop".into(), container: None };
        assert_eq!(differences(&without, &before), BTreeSet::from([network]));
    }
}
