//! Adding and removing objects. Every index is linked and unlinked here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::objects::{EndpointSlice, Event, Ingress, Key, Kind, Node, Object, ObjectRef, Pod, Service, Text, Workload};
use super::store::{Named, Store};
use super::{Snapshot, hosts_of, services_of};

impl Snapshot {
    /// Adds or replaces an object. Says whether anything that a snapshot keeps has changed.
    pub fn apply(&mut self, object: Object) -> bool {
        let reference = object.reference();
        if self.holds(&object) {
            return false;
        }
        let replaced = self.take(&reference);
        if is_retired(&object) {
            return replaced;
        }
        match self.pool.share(object) {
            Object::Ingress(o) => self.add_ingress(Arc::new(o)),
            Object::IngressClass(o) => {
                self.controllers.add_class(&o, self.pods.iter());
                self.classes.insert(Arc::new(o));
            }
            Object::Service(o) => self.add_service(Arc::new(o)),
            Object::EndpointSlice(o) => self.add_slice(Arc::new(o)),
            Object::Pod(o) => self.add_pod(Arc::from(o)),
            Object::Node(o) => self.add_node(Arc::new(o)),
            Object::Namespace(o) => self.namespaces.insert(Arc::new(o)),
            Object::NetworkPolicy(o) => self.policies.insert(Arc::new(o)),
            Object::ClusterPolicy(o) => self.cluster_policies.entry(o.kind).or_default().insert(Arc::new(o)),
            Object::Workload(o) => self.add_workload(Arc::new(o)),
            Object::Autoscaler(o) => self.autoscalers.insert(Arc::new(o)),
            Object::Event(o) => self.add_event(Arc::new(o)),
        }
        self.derived.changed(reference.kind, &reference.key.namespace);
        true
    }

    /// Adds or replaces many objects.
    pub fn extend(&mut self, objects: impl IntoIterator<Item = Object>) {
        for object in objects {
            self.apply(object);
        }
    }

    /// Removes an object; does nothing where it is not held.
    pub fn remove(&mut self, reference: &ObjectRef) {
        self.take(reference);
    }

    /// Removes an object, and says whether it was held.
    fn take(&mut self, reference: &ObjectRef) -> bool {
        let key = &reference.key;
        let held = match reference.kind {
            Kind::Ingress => self.ingresses.remove(key).map(|old| self.unlink_ingress(&old)).is_some(),
            Kind::IngressClass => self.classes.remove(key).map(|_| self.controllers.remove_class(&key.name)).is_some(),
            Kind::Service => self.services.remove(key).map(|old| self.unlink_service(&old)).is_some(),
            Kind::EndpointSlice => self.slices.remove(key).map(|old| self.unlink_slice(&old)).is_some(),
            Kind::Pod => self.pods.remove(key).map(|old| self.unlink_pod(&old)).is_some(),
            Kind::Node => self.nodes.remove(key).map(|old| self.unlink_node(&old)).is_some(),
            Kind::Namespace => self.namespaces.remove(key).is_some(),
            Kind::NetworkPolicy => self.policies.remove(key).is_some(),
            Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy | Kind::ClusterNetworkPolicy => {
                self.cluster_policies.get_mut(&reference.kind).and_then(|of_kind| of_kind.remove(key)).is_some()
            }
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                let old = self.workloads.get_mut(&reference.kind).and_then(|of_kind| of_kind.remove(key));
                old.map(|old| self.by.template_labels.unlink(&old.template_labels, &old)).is_some()
            }
            Kind::HorizontalPodAutoscaler => self.autoscalers.remove(key).is_some(),
            Kind::Event => self.events.remove(key).map(|old| self.by.event_object.unlink(&about(&old), &old)).is_some(),
            // Containers come and go with the whole of their host.
            Kind::Container | Kind::Network => false,
        };
        if held {
            self.derived.changed(reference.kind, &key.namespace);
        }
        held
    }

    /// Whether exactly this object is held.
    pub fn holds(&self, object: &Object) -> bool {
        fn same<T: Named + PartialEq>(store: &Store<T>, key: &Key, object: &T) -> bool {
            store.get(key).is_some_and(|held| **held == *object)
        }
        let key = &object.reference().key;
        match object {
            Object::Ingress(o) => same(&self.ingresses, key, o),
            Object::IngressClass(o) => same(&self.classes, key, o),
            Object::Service(o) => same(&self.services, key, o),
            Object::EndpointSlice(o) => same(&self.slices, key, o),
            Object::Pod(o) => same(&self.pods, key, o),
            Object::Node(o) => same(&self.nodes, key, o),
            Object::Namespace(o) => same(&self.namespaces, key, o),
            Object::NetworkPolicy(o) => same(&self.policies, key, o),
            Object::ClusterPolicy(o) => self.cluster_policies.get(&o.kind).is_some_and(|of_kind| same(of_kind, key, o)),
            Object::Workload(o) => self.workloads.get(&o.kind).is_some_and(|of_kind| same(of_kind, key, o)),
            Object::Autoscaler(o) => same(&self.autoscalers, key, o),
            Object::Event(o) => same(&self.events, key, o),
        }
    }

    fn add_ingress(&mut self, ingress: Arc<Ingress>) {
        services_of(&ingress).into_iter().for_each(|service| self.by.ingress_service.link(service, &ingress));
        hosts_of(&ingress).into_iter().for_each(|host| self.by.ingress_host.link(host.into(), &ingress));
        self.ingresses.insert(ingress);
    }

    fn unlink_ingress(&mut self, old: &Ingress) {
        services_of(old).iter().for_each(|service| self.by.ingress_service.unlink(service, old));
        hosts_of(old).into_iter().for_each(|host| self.by.ingress_host.unlink(&host.into(), old));
    }

    fn add_service(&mut self, service: Arc<Service>) {
        self.by.selector.link(&service);
        addresses_of(&service).into_iter().for_each(|address| self.by.service_address.link(address, &service));
        service.stands_for().into_iter().for_each(|named| self.by.service_alias.link(named, &service));
        if self.controllers.name(&service) {
            self.derived.forget();
        }
        self.services.insert(service);
    }

    fn unlink_service(&mut self, old: &Service) {
        self.by.selector.unlink(old);
        addresses_of(old).iter().for_each(|address| self.by.service_address.unlink(address, old));
        old.stands_for().iter().for_each(|named| self.by.service_alias.unlink(named, old));
        if self.controllers.name(old) {
            self.derived.forget();
        }
    }

    fn add_slice(&mut self, slice: Arc<EndpointSlice>) {
        if let Some(service) = service_of(&slice) {
            self.by.slice_service.link(service, &slice);
        }
        self.slices.insert(slice);
    }

    fn unlink_slice(&mut self, old: &EndpointSlice) {
        if let Some(service) = service_of(old) {
            self.by.slice_service.unlink(&service, old);
        }
    }

    fn add_pod(&mut self, pod: Arc<Pod>) {
        // Pods on the host's network share the node's address, and ended pods own none.
        if !pod.host_network && !pod.has_ended() {
            pod.ips.iter().for_each(|ip| self.by.pod_address.link(*ip, &pod));
        }
        self.by.pod_labels.link(&pod.meta.labels, &pod);
        if self.controllers.add_pod(&pod) {
            self.derived.forget();
        }
        self.pods.insert(pod);
    }

    fn unlink_pod(&mut self, old: &Pod) {
        old.ips.iter().for_each(|ip| self.by.pod_address.unlink(ip, old));
        self.by.pod_labels.unlink(&old.meta.labels, old);
        if self.controllers.remove_pod(old) {
            self.derived.forget();
        }
    }

    fn add_node(&mut self, node: Arc<Node>) {
        node.addresses.iter().for_each(|ip| self.by.node_address.link(*ip, &node));
        self.nodes.insert(node);
    }

    fn unlink_node(&mut self, old: &Node) {
        old.addresses.iter().for_each(|ip| self.by.node_address.unlink(ip, old));
    }

    fn add_workload(&mut self, workload: Arc<Workload>) {
        self.by.template_labels.link(&workload.template_labels, &workload);
        self.workloads.entry(workload.kind).or_default().insert(workload);
    }

    fn add_event(&mut self, event: Arc<Event>) {
        self.by.event_object.link(about(&event), &event);
        self.events.insert(event);
    }
}

/// A ReplicaSet that its Deployment has retired and keeps for a way back: it makes no pods and stands behind nothing, and there are many.
fn is_retired(object: &Object) -> bool {
    let retired = |w: &Workload| w.kind == Kind::ReplicaSet && w.meta.owner.is_some() && w.desired == 0 && w.current == 0;
    matches!(object, Object::Workload(w) if retired(w))
}

/// The Service of a slice.
fn service_of(slice: &EndpointSlice) -> Option<Key> {
    slice.service.clone().map(|name| Key { namespace: slice.meta.namespace.clone(), name })
}

/// The object that an Event is about, whatever its kind.
fn about(event: &Event) -> Key {
    Key { namespace: event.meta.namespace.clone(), name: event.about_name.as_str().into() }
}

/// Addresses and host names that a Service can be reached at.
fn addresses_of(service: &Service) -> BTreeSet<Text> {
    let numbers = service.cluster_ips.iter().chain(&service.external_ips).map(|ip| ip.to_string().into());
    numbers.chain(service.addresses.iter().map(Text::from)).collect()
}
