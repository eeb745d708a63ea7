//! Which agent a probe is for: the gateway's pods, and the nodes that pods run on. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::path;
use crate::probe::PodRef;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Key, ObjectRef, Pod};

/// A pod and the node whose agent can enter it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The pod.
    pub pod: PodRef,
    /// Its node.
    pub node: String,
}

/// Where a target's requests come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placing {
    /// The running pods of the target's gateway, ready ones first.
    pub gateway: Vec<Place>,
    /// The gateway's own addresses. Clients ask there, so that is asked from outside.
    pub entrances: BTreeSet<IpAddr>,
}

impl Placing {
    /// Of a target. A Service has no gateway, so it is asked from outside altogether.
    pub fn of(snapshot: &Snapshot, target: &ObjectRef) -> Self {
        let Some(gateway) = path::gateway_of(snapshot, target) else { return Placing::default() };
        let mut running: Vec<&Pod> = gateway.pods.iter().map(AsRef::as_ref).filter(|p| p.runs() && !p.meta.deleting).collect();
        running.sort_by_key(|p| (!p.is_ready(), p.meta.key()));
        let of_pods = gateway.pods.iter().flat_map(|p| &p.ips);
        let of_entrances = gateway.entrances.iter().map(|e| e.address.ip());
        Placing {
            gateway: running.into_iter().filter_map(place).collect(),
            entrances: of_pods.chain(&gateway.service.cluster_ips).copied().chain(of_entrances).collect(),
        }
    }
}

/// The node of a pod; none where the pod is gone, is another by now, or has no node.
pub fn node_of(snapshot: &Snapshot, pod: &PodRef) -> Option<String> {
    let there = snapshot.pod(&Key::new(&pod.namespace, &pod.name)).known().cloned()?;
    place(&there).filter(|place| place.pod == *pod).map(|place| place.node)
}

fn place(pod: &Pod) -> Option<Place> {
    Some(Place { pod: PodRef::of(pod), node: pod.node.as_ref()?.to_string() })
}
