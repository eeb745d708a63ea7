//! Which gateways of a host a change touches. Pure.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::path::{self, Leads, Path};
use crate::snapshot::Snapshot;
use crate::snapshot::docker::engine::Touched;
use crate::snapshot::objects::docker::{Container, Host};
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
