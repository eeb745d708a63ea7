//! What Kubernetes, Docker or files declare, in indexes made for the look-ups that paths need.
//!
//! ```text
//! kubernetes/  watches (controller) or lists (one-shot) ─┐
//! files/       manifests (offline)                       ├─► Snapshot ─► path
//! docker/      an engine                                ─┘
//! ```
//!
//! The types and indexes are pure. Only the sources below `kubernetes`, `docker` and `files` read from outside.

mod change;
mod controllers;
mod derived;
pub mod docker;
mod environment;
pub mod files;
pub mod kubernetes;
mod labelled;
pub mod objects;
mod pool;
pub mod software;
mod store;
mod text;
mod touched;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::fact::Fact;
use controllers::Controllers;
use derived::Derived;
use labelled::{Carriers, Selectors};
use objects::{
    Autoscaler, ClusterPolicy, EndpointSlice, Event, Ingress, IngressBackend, IngressClass, Key, Kind, Labels, Namespace, NetworkPolicy,
    Node, ObjectRef, Pod, Service, Text, Workload, is_subset,
};
use pool::Pool;
use store::{Index, Store};

/// How much of a kind a snapshot holds. What is not covered can never be called absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// Nobody loaded this kind.
    #[default]
    NotLoaded,
    /// Every object of the kind, in the namespaces that were asked for.
    Complete,
    /// Every object of the kind in one namespace; the others could not be read, for this reason.
    Only(String, String),
    /// Loading failed: forbidden, not served, unreachable, or too old.
    Failed(String),
}

/// Objects in indexes. Cheap to read from many tasks behind a lock; objects are shared by [`Arc`].
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    coverage: BTreeMap<Kind, Coverage>,
    ingresses: Store<Ingress>,
    classes: Store<IngressClass>,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    pods: Store<Pod>,
    nodes: Store<Node>,
    namespaces: Store<Namespace>,
    policies: Store<NetworkPolicy>,
    cluster_policies: BTreeMap<Kind, Store<ClusterPolicy>>,
    workloads: BTreeMap<Kind, Store<Workload>>,
    autoscalers: Store<Autoscaler>,
    events: Store<Event>,
    docker: BTreeMap<Text, Arc<objects::docker::Host>>,
    by: Indexes,
    controllers: Controllers,
    derived: Derived,
    pool: Pool,
}

/// Objects by what else they are looked up by.
#[derive(Clone, Debug, Default)]
struct Indexes {
    /// Events about an object, by namespace and the object's name.
    event_object: Index<Key, Event>,
    /// Slices of a Service.
    slice_service: Index<Key, EndpointSlice>,
    /// Pods that own an address; more than one is a fault.
    pod_address: Index<IpAddr, Pod>,
    /// Pods by the labels that they carry.
    pod_labels: Carriers<Pod>,
    /// Workloads by the labels of their pod templates.
    template_labels: Carriers<Workload>,
    /// Nodes that have an address.
    node_address: Index<IpAddr, Node>,
    /// Services by what they select.
    selector: Selectors,
    /// Services that can be reached at an address or host name of their own.
    service_address: Index<Text, Service>,
    /// ExternalName Services by the Service that they stand for.
    service_alias: Index<Key, Service>,
    /// Ingresses that name a Service, as a backend or as their gateway.
    ingress_service: Index<Key, Ingress>,
    /// Ingresses that have a rule for a host; the empty host stands for any.
    ingress_host: Index<Text, Ingress>,
}

impl Snapshot {
    /// Declares how much of a kind is held.
    pub fn cover(&mut self, kind: Kind, coverage: Coverage) {
        self.coverage.insert(kind, coverage);
        self.derived.forget();
    }

    /// How much of a kind is held.
    pub fn coverage(&self, kind: Kind) -> &Coverage {
        self.coverage.get(&kind).unwrap_or(&Coverage::NotLoaded)
    }

    /// Whether every object of a kind is held, in all namespaces: only then is one that is not held known not to exist.
    pub fn holds_all(&self, kind: Kind) -> Fact<()> {
        self.covered(kind, "", || ())
    }

    /// Every reference held of a kind, in order.
    pub fn references(&self, kind: Kind) -> Vec<ObjectRef> {
        let of = |keys: &mut dyn Iterator<Item = Key>| keys.map(|key| ObjectRef { kind, key }).collect();
        match kind {
            Kind::Ingress => of(&mut self.ingresses.keys()),
            Kind::IngressClass => of(&mut self.classes.keys()),
            Kind::Service => of(&mut self.services.keys()),
            Kind::EndpointSlice => of(&mut self.slices.keys()),
            Kind::Pod => of(&mut self.pods.keys()),
            Kind::Node => of(&mut self.nodes.keys()),
            Kind::Namespace => of(&mut self.namespaces.keys()),
            Kind::NetworkPolicy => of(&mut self.policies.keys()),
            Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy | Kind::ClusterNetworkPolicy => {
                of(&mut self.cluster_policies.get(&kind).into_iter().flat_map(Store::keys))
            }
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                of(&mut self.workloads.get(&kind).into_iter().flat_map(Store::keys))
            }
            Kind::HorizontalPodAutoscaler => of(&mut self.autoscalers.keys()),
            Kind::Event => of(&mut self.events.keys()),
            Kind::Container | Kind::Network => self.docker.values().flat_map(|host| host.references(kind)).collect(),
        }
    }

    /// An Ingress.
    pub fn ingress(&self, key: &Key) -> Fact<Arc<Ingress>> {
        self.fact(Kind::Ingress, &key.namespace, self.ingresses.get(key))
    }

    /// All Ingresses, in order of their keys.
    pub fn ingresses(&self) -> impl Iterator<Item = &Arc<Ingress>> {
        self.ingresses.iter()
    }

    /// An IngressClass.
    pub fn class(&self, name: &str) -> Fact<Arc<IngressClass>> {
        self.fact(Kind::IngressClass, "", self.classes.named("", name))
    }

    /// All IngressClasses, where the kind is fully loaded.
    pub fn classes(&self) -> Fact<Vec<Arc<IngressClass>>> {
        self.covered(Kind::IngressClass, "", || self.classes.iter().cloned().collect())
    }

    /// The IngressClasses that are held, whether or not these are all.
    pub fn every_class(&self) -> impl Iterator<Item = &Arc<IngressClass>> {
        self.classes.iter()
    }

    /// A Service.
    pub fn service(&self, key: &Key) -> Fact<Arc<Service>> {
        self.fact(Kind::Service, &key.namespace, self.services.get(key))
    }

    /// All Services, in order of their keys.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter()
    }

    /// The Services of a namespace.
    pub fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Service>> {
        self.services.within(namespace)
    }

    /// The EndpointSlices of a Service, where the kind is fully loaded.
    pub fn slices_of(&self, service: &Key) -> Fact<Vec<Arc<EndpointSlice>>> {
        self.covered(Kind::EndpointSlice, &service.namespace, || self.by.slice_service.get(service).to_vec())
    }

    /// A pod.
    pub fn pod(&self, key: &Key) -> Fact<Arc<Pod>> {
        self.fact(Kind::Pod, &key.namespace, self.pods.get(key))
    }

    /// The pods of a namespace.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.within(namespace)
    }

    /// All pods, in order of their keys.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.iter()
    }

    /// The pods of a namespace that carry labels, where pods are fully loaded.
    pub fn pods_labelled(&self, namespace: &str, labels: &Labels) -> Fact<Vec<Arc<Pod>>> {
        self.covered(Kind::Pod, namespace, || {
            let carries = |p: &&Arc<Pod>| is_subset(labels, &p.meta.labels) && p.meta.namespace == namespace;
            match self.by.pod_labels.candidates(namespace, labels) {
                Some(candidates) => candidates.iter().filter(carries).cloned().collect(),
                None => self.pods_in(namespace).filter(carries).cloned().collect(),
            }
        })
    }

    /// The pods that own an address, where pods are fully loaded; empty where nobody does.
    pub fn pods_at(&self, ip: IpAddr) -> Fact<Vec<Arc<Pod>>> {
        self.covered(Kind::Pod, "", || self.by.pod_address.get(&ip).to_vec())
    }

    /// A node.
    pub fn node(&self, name: &str) -> Fact<Arc<Node>> {
        self.fact(Kind::Node, "", self.nodes.named("", name))
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter()
    }

    /// The first node that has an address.
    pub fn node_at(&self, ip: IpAddr) -> Option<&Arc<Node>> {
        self.by.node_address.get(&ip).first()
    }

    /// A namespace.
    pub fn namespace(&self, name: &str) -> Fact<Arc<Namespace>> {
        self.fact(Kind::Namespace, "", self.namespaces.named("", name))
    }

    /// The NetworkPolicies of a namespace, where the kind is fully loaded.
    pub fn policies_in(&self, namespace: &str) -> Fact<Vec<Arc<NetworkPolicy>>> {
        self.covered(Kind::NetworkPolicy, namespace, || self.policies.within(namespace).cloned().collect())
    }

    /// The policies of the whole cluster, in the order that they are asked in, where all of their kinds are fully loaded.
    pub fn cluster_policies(&self) -> Fact<Vec<Arc<ClusterPolicy>>> {
        let unknown = Kind::of_kubernetes().filter(|kind| kind.is_cluster_policy()).map(|kind| self.holds_all(kind));
        if let Some(unknown) = unknown.into_iter().find(|fact| fact.known().is_none()) {
            return unknown.and_then(|()| Fact::Absent);
        }
        let mut all: Vec<_> = self.cluster_policies.values().flat_map(Store::iter).cloned().collect();
        all.sort_by_key(|policy| (policy.tier, policy.priority));
        Fact::Known(all)
    }

    /// A workload.
    pub fn workload(&self, reference: &ObjectRef) -> Fact<Arc<Workload>> {
        self.fact(reference.kind, &reference.key.namespace, self.workloads.get(&reference.kind).and_then(|w| w.get(&reference.key)))
    }

    /// The workloads of a namespace, of every workload kind that is loaded.
    pub fn workloads_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values().flat_map(move |of_kind| of_kind.within(namespace))
    }

    /// The workloads of a namespace whose pod templates carry labels, in the same order.
    pub fn workloads_labelled(&self, namespace: &str, labels: &Labels) -> Vec<Arc<Workload>> {
        let carries = |w: &&Arc<Workload>| is_subset(labels, &w.template_labels) && w.meta.namespace == namespace;
        match self.by.template_labels.candidates(namespace, labels) {
            Some(candidates) => candidates.iter().filter(carries).cloned().collect(),
            None => self.workloads_in(namespace).filter(carries).cloned().collect(),
        }
    }

    /// The autoscalers of a namespace, where the kind is fully loaded.
    pub fn autoscalers_in(&self, namespace: &str) -> Fact<Vec<Arc<Autoscaler>>> {
        self.covered(Kind::HorizontalPodAutoscaler, namespace, || self.autoscalers.within(namespace).cloned().collect())
    }

    /// The warnings about an object, in order of their names, where Events are fully loaded.
    pub fn warnings_about(&self, reference: &ObjectRef, uid: &str) -> Fact<Vec<Arc<Event>>> {
        self.covered(Kind::Event, &reference.key.namespace, || {
            let events = self.by.event_object.get(&reference.key).iter();
            // A pod of the same name that was there before has another UID.
            let same =
                |e: &Event| e.about_kind == reference.kind.to_string() && (uid.is_empty() || e.about_uid.is_empty() || e.about_uid == uid);
            events.filter(|e| same(e)).cloned().collect()
        })
    }

    /// Adds or replaces a Docker engine, whole.
    pub fn set_docker_host(&mut self, host: objects::docker::Host) {
        self.docker.insert(host.name.clone(), Arc::new(host));
    }

    /// A Docker engine by its name.
    pub fn docker_host(&self, name: &str) -> Option<&Arc<objects::docker::Host>> {
        self.docker.get(name)
    }

    /// All Docker engines, in order of their names.
    pub fn docker_hosts(&self) -> impl Iterator<Item = &Arc<objects::docker::Host>> {
        self.docker.values()
    }

    /// The Ingresses that have a rule for exactly this host (empty for rules without one).
    pub fn ingresses_for_host(&self, host: &str) -> impl Iterator<Item = &Arc<Ingress>> {
        self.by.ingress_host.get(host).iter()
    }

    /// The Ingresses that name a Service, as a backend or as their gateway.
    pub fn ingresses_of_service(&self, service: &Key) -> impl Iterator<Item = &Arc<Ingress>> {
        self.by.ingress_service.get(service).iter()
    }

    /// The Services that can be reached at an address or host name of their own: their cluster's, a load balancer's, or an external one.
    pub fn services_at(&self, address: &str) -> &[Arc<Service>] {
        self.by.service_address.get(address)
    }

    /// The pods that seem to run the controller of a class, in order of their keys.
    pub fn pods_of_controller(&self, class: &str) -> &[Arc<Pod>] {
        self.controllers.of_class(class)
    }

    /// The pods with an image of known gateway software, in order of their keys.
    pub fn gateway_pods(&self) -> &[Arc<Pod>] {
        self.controllers.gateways()
    }

    /// The Services that select a pod.
    pub fn services_selecting<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Arc<Service>> {
        self.by.selector.selecting(&pod.meta.namespace, &pod.meta.labels)
    }

    /// What is derived from classes, the pods that run their controllers, Services that are named after these, and the Services, slices and
    /// pods of some namespaces; made anew only where one of them changed.
    pub fn derived<T: Send + Sync + 'static>(&self, make: impl Fn(&Snapshot) -> (T, BTreeSet<Text>)) -> Arc<T> {
        self.derived.value(|| make(self))
    }

    fn fact<T>(&self, kind: Kind, namespace: &str, found: Option<&Arc<T>>) -> Fact<Arc<T>> {
        match (self.coverage(kind), found) {
            // What is held of a kind that cannot be seen any more is too old to go by.
            (Coverage::Failed(why), _) => Fact::Failed(why.clone()),
            (_, Some(object)) => Fact::Known(object.clone()),
            (_, None) => self.covered(kind, namespace, || ()).and_then(|()| Fact::Absent),
        }
    }

    /// What is computed where a kind is held for a namespace (empty for the whole cluster).
    fn covered<T>(&self, kind: Kind, namespace: &str, of: impl FnOnce() -> T) -> Fact<T> {
        match self.coverage(kind) {
            Coverage::Complete => Fact::Known(of()),
            Coverage::Only(only, _) if only == namespace => Fact::Known(of()),
            Coverage::NotLoaded => Fact::NotAsked,
            Coverage::Only(_, why) | Coverage::Failed(why) => Fact::Failed(why.clone()),
        }
    }
}

/// Keys of the Services that an Ingress names, as backends or as its gateway.
pub fn services_of(ingress: &Ingress) -> BTreeSet<Key> {
    let backends = ingress.rules.iter().flat_map(|r| &r.paths).map(|p| &p.backend).chain(&ingress.default_backend);
    backends
        .filter_map(|b| match b {
            IngressBackend::Service { name, .. } => Some(Key { namespace: ingress.meta.namespace.clone(), name: name.clone() }),
            IngressBackend::Resource(_) => None,
        })
        .chain(ingress.meta.gateway())
        .collect()
}

/// Hosts of an Ingress' rules, the empty host for rules without one.
fn hosts_of(ingress: &Ingress) -> BTreeSet<&str> {
    ingress.rules.iter().map(|r| r.host.as_deref().unwrap_or_default()).collect()
}
