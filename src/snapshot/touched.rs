//! Reverse look-ups: which targets a change of an object touches.

use std::collections::BTreeSet;

use super::Snapshot;
use super::objects::{Key, Kind, Labels, ObjectRef, is_subset};

impl Snapshot {
    /// The Services whose paths an object is on, as the snapshot stands. Ask before and after a change: both count.
    pub fn services_touched_by(&self, reference: &ObjectRef) -> BTreeSet<Key> {
        let key = &reference.key;
        match reference.kind {
            Kind::Service => BTreeSet::from([key.clone()]),
            Kind::EndpointSlice => {
                let service = self.slices.get(key).and_then(|s| s.service.as_ref());
                service.map(|name| Key::new(&key.namespace, name)).into_iter().collect()
            }
            Kind::Pod => self.pods.get(key).map(|p| self.services_selecting(&key.namespace, &p.meta.labels)).unwrap_or_default(),
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                let workload = self.workloads.get(reference);
                workload.map(|w| self.services_selecting(&key.namespace, &w.template_labels)).unwrap_or_default()
            }
            Kind::NetworkPolicy => self.services_in(&key.namespace).map(|s| s.meta.key()).collect(),
            Kind::Node => {
                let on_node = self.pods.values().filter(|p| p.node.as_deref() == Some(&*key.name));
                on_node.flat_map(|p| self.services_selecting(&p.meta.namespace, &p.meta.labels)).collect()
            }
            Kind::Ingress | Kind::IngressClass | Kind::Namespace => BTreeSet::new(),
        }
    }

    /// The Ingresses that an object touches other than through a Service.
    pub fn ingresses_touched_by(&self, reference: &ObjectRef) -> BTreeSet<ObjectRef> {
        let target = |key: Key| ObjectRef { kind: Kind::Ingress, key };
        let all = self.ingresses.values();
        match reference.kind {
            Kind::Ingress => {
                // Ingresses that share a host may claim the same path.
                let hosts = self.ingresses.get(&reference.key).map(|i| super::hosts_of(i)).unwrap_or_default();
                let sharing = hosts.iter().flat_map(|h| self.ingresses_for_host(h)).map(|i| target(i.meta.key()));
                sharing.chain([reference.clone()]).collect()
            }
            Kind::IngressClass => {
                let of_class = all.filter(|i| i.class.as_deref().is_none_or(|c| c == &*reference.key.name));
                of_class.map(|i| target(i.meta.key())).collect()
            }
            Kind::Namespace => all.filter(|i| *i.meta.namespace == *reference.key.name).map(|i| target(i.meta.key())).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// The targets whose paths lead to a Service: the Ingresses that name it, and itself.
    pub fn targets_of(&self, service: &Key) -> BTreeSet<ObjectRef> {
        let ingresses = self.ingresses_of_service(service).map(|i| ObjectRef { kind: Kind::Ingress, key: i.meta.key() });
        ingresses.chain([ObjectRef { kind: Kind::Service, key: service.clone() }]).collect()
    }

    fn services_selecting(&self, namespace: &str, labels: &Labels) -> BTreeSet<Key> {
        let selects = |s: &&std::sync::Arc<super::objects::Service>| s.selector.as_ref().is_some_and(|sel| is_subset(sel, labels));
        self.services_in(namespace).filter(selects).map(|s| s.meta.key()).collect()
    }
}
