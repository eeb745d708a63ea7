//! Reverse look-ups: which targets a change of an object touches.

use std::collections::BTreeSet;

use super::Snapshot;
use super::objects::{Autoscaler, Key, Kind, Labels, ObjectRef, Workload};

impl Snapshot {
    /// The Services whose paths an object is on, as the snapshot stands. Ask before and after a change: both count.
    pub fn services_touched_by(&self, reference: &ObjectRef) -> BTreeSet<Key> {
        let key = &reference.key;
        match reference.kind {
            Kind::Service => BTreeSet::from([key.clone()]),
            Kind::EndpointSlice => {
                let service = self.slices.get(key).and_then(|s| s.service.as_ref());
                service.map(|name| Key { namespace: key.namespace.clone(), name: name.clone() }).into_iter().collect()
            }
            Kind::Pod => self.pods.get(key).map(|p| self.selecting(&key.namespace, &p.meta.labels)).unwrap_or_default(),
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                let workload = self.workloads.get(&reference.kind).and_then(|of_kind| of_kind.get(key));
                workload.map(|w| self.selecting(&key.namespace, &w.template_labels)).unwrap_or_default()
            }
            Kind::NetworkPolicy => self.services_in(&key.namespace).map(|s| s.meta.key()).collect(),
            // They may be about any pod, and change seldom.
            Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy | Kind::ClusterNetworkPolicy => self.services.keys().collect(),
            Kind::Node => {
                let on_node = self.pods.iter().filter(|p| p.node.as_deref() == Some(&*key.name));
                on_node.flat_map(|p| self.selecting(&p.meta.namespace, &p.meta.labels)).collect()
            }
            Kind::HorizontalPodAutoscaler => {
                let scales = |w: &Workload, a: &Autoscaler| w.kind.to_string() == a.target_kind && w.meta.name == a.target_name;
                let autoscaler = self.autoscalers.get(key);
                let workload = autoscaler.and_then(|a| self.workloads_in(&key.namespace).find(|w| scales(w, a)));
                workload.map(|w| self.selecting(&key.namespace, &w.template_labels)).unwrap_or_default()
            }
            Kind::Event => {
                let about = self.events.get(key).and_then(|e| Some((e.about_kind.parse::<Kind>().ok()?, e.about_name.clone())));
                let about = about.filter(|(kind, _)| *kind == Kind::Pod || *kind == Kind::Service || kind.is_workload());
                about.map(|(kind, name)| self.services_touched_by(&ObjectRef::new(kind, &key.namespace, &name))).unwrap_or_default()
            }
            Kind::Ingress | Kind::IngressClass | Kind::Namespace | Kind::Container | Kind::Network => BTreeSet::new(),
        }
    }

    /// The Ingresses that an object touches other than through a Service.
    pub fn ingresses_touched_by(&self, reference: &ObjectRef) -> BTreeSet<ObjectRef> {
        let target = |key: Key| ObjectRef { kind: Kind::Ingress, key };
        let all = self.ingresses.iter();
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

    /// The targets whose paths lead to a Service: the Ingresses that name it, itself, and the same of those that stand for it.
    pub fn targets_of(&self, service: &Key) -> BTreeSet<ObjectRef> {
        let aliases = self.by.service_alias.get(service).iter().map(|s| s.meta.key());
        let services: Vec<Key> = aliases.chain([service.clone()]).collect();
        let ingresses =
            services.iter().flat_map(|s| self.ingresses_of_service(s)).map(|i| ObjectRef { kind: Kind::Ingress, key: i.meta.key() });
        ingresses.chain(services.iter().map(|s| ObjectRef { kind: Kind::Service, key: s.clone() })).collect()
    }

    fn selecting(&self, namespace: &str, labels: &Labels) -> BTreeSet<Key> {
        self.by.selector.selecting(namespace, labels).map(|s| s.meta.key()).collect()
    }
}
