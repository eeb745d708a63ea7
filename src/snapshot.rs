//! What Kubernetes, Docker or files declare, in indexes made for the look-ups that paths need.
//!
//! ```text
//! kubernetes/  watches (controller) or lists (one-shot) ─┐
//! files/       manifests (offline)                       ├─► Snapshot ─► path
//! docker/      an engine                                ─┘
//! ```
//!
//! The types and indexes are pure. Only the sources below `kubernetes` and `files` read from outside.

pub mod files;
pub mod kubernetes;
pub mod objects;
mod touched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::fact::Fact;
use objects::{
    EndpointSlice, Ingress, IngressBackend, IngressClass, Key, Kind, Labels, Namespace, NetworkPolicy, Node, Object, ObjectRef, Pod,
    Service, Workload, is_subset,
};

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
    ingresses: BTreeMap<Key, Arc<Ingress>>,
    classes: BTreeMap<Key, Arc<IngressClass>>,
    services: BTreeMap<Key, Arc<Service>>,
    slices: BTreeMap<Key, Arc<EndpointSlice>>,
    pods: BTreeMap<Key, Arc<Pod>>,
    nodes: BTreeMap<Key, Arc<Node>>,
    namespaces: BTreeMap<Key, Arc<Namespace>>,
    policies: BTreeMap<Key, Arc<NetworkPolicy>>,
    workloads: BTreeMap<ObjectRef, Arc<Workload>>,
    /// Slices of a Service, by the Service's key.
    slices_by_service: HashMap<Key, BTreeSet<Key>>,
    /// Pods that own an address; more than one is a fault.
    pods_by_ip: HashMap<IpAddr, BTreeSet<Key>>,
    /// Ingresses that name a Service, by the Service's key.
    ingresses_by_service: HashMap<Key, BTreeSet<Key>>,
    /// Ingresses that have a rule for a host; the empty host stands for any.
    ingresses_by_host: HashMap<String, BTreeSet<Key>>,
}

impl Snapshot {
    /// Declares how much of a kind is held.
    pub fn cover(&mut self, kind: Kind, coverage: Coverage) {
        self.coverage.insert(kind, coverage);
    }

    /// How much of a kind is held.
    pub fn coverage(&self, kind: Kind) -> &Coverage {
        self.coverage.get(&kind).unwrap_or(&Coverage::NotLoaded)
    }

    /// Whether every object of a kind is held, in all namespaces: only then is one that is not held known not to exist.
    pub fn holds_all(&self, kind: Kind) -> Fact<()> {
        self.covered(kind, "", || ())
    }

    /// Adds or replaces an object. Says whether anything that a snapshot keeps has changed.
    pub fn apply(&mut self, object: Object) -> bool {
        let reference = object.reference();
        if self.holds(&object) {
            return false;
        }
        self.remove(&reference);
        let key = reference.key.clone();
        match object {
            Object::Ingress(o) => {
                for service in services_of(&o) {
                    self.ingresses_by_service.entry(service).or_default().insert(key.clone());
                }
                for host in hosts_of(&o) {
                    self.ingresses_by_host.entry(host).or_default().insert(key.clone());
                }
                self.ingresses.insert(key, Arc::new(o));
            }
            Object::IngressClass(o) => drop(self.classes.insert(key, Arc::new(o))),
            Object::Service(o) => drop(self.services.insert(key, Arc::new(o))),
            Object::EndpointSlice(o) => {
                if let Some(service) = &o.service {
                    let service = Key::new(&o.meta.namespace, service);
                    self.slices_by_service.entry(service).or_default().insert(key.clone());
                }
                self.slices.insert(key, Arc::new(o));
            }
            Object::Pod(o) => {
                // Pods on the host's network share the node's address, and ended pods own none.
                if !o.host_network && !o.has_ended() {
                    for ip in &o.ips {
                        self.pods_by_ip.entry(*ip).or_default().insert(key.clone());
                    }
                }
                self.pods.insert(key, Arc::from(o));
            }
            Object::Node(o) => drop(self.nodes.insert(key, Arc::new(o))),
            Object::Namespace(o) => drop(self.namespaces.insert(key, Arc::new(o))),
            Object::NetworkPolicy(o) => drop(self.policies.insert(key, Arc::new(o))),
            Object::Workload(o) => drop(self.workloads.insert(reference, Arc::new(o))),
        }
        true
    }

    /// Adds or replaces many objects.
    pub fn extend(&mut self, objects: impl IntoIterator<Item = Object>) {
        for object in objects {
            self.apply(object);
        }
    }

    /// Whether exactly this object is held.
    fn holds(&self, object: &Object) -> bool {
        fn same<T: PartialEq>(map: &BTreeMap<Key, Arc<T>>, key: &Key, object: &T) -> bool {
            map.get(key).is_some_and(|held| **held == *object)
        }
        let reference = object.reference();
        let key = &reference.key;
        match object {
            Object::Ingress(o) => same(&self.ingresses, key, o),
            Object::IngressClass(o) => same(&self.classes, key, o),
            Object::Service(o) => same(&self.services, key, o),
            Object::EndpointSlice(o) => same(&self.slices, key, o),
            Object::Pod(o) => same(&self.pods, key, o),
            Object::Node(o) => same(&self.nodes, key, o),
            Object::Namespace(o) => same(&self.namespaces, key, o),
            Object::NetworkPolicy(o) => same(&self.policies, key, o),
            Object::Workload(o) => self.workloads.get(&reference).is_some_and(|held| **held == *o),
        }
    }

    /// Removes an object; does nothing where it is not held.
    pub fn remove(&mut self, reference: &ObjectRef) {
        let key = &reference.key;
        match reference.kind {
            Kind::Ingress => {
                if let Some(old) = self.ingresses.remove(key) {
                    for service in services_of(&old) {
                        unlink(&mut self.ingresses_by_service, &service, key);
                    }
                    for host in hosts_of(&old) {
                        unlink(&mut self.ingresses_by_host, &host, key);
                    }
                }
            }
            Kind::IngressClass => drop(self.classes.remove(key)),
            Kind::Service => drop(self.services.remove(key)),
            Kind::EndpointSlice => {
                if let Some(old) = self.slices.remove(key)
                    && let Some(service) = &old.service
                {
                    unlink(&mut self.slices_by_service, &Key::new(&old.meta.namespace, service), key);
                }
            }
            Kind::Pod => {
                if let Some(old) = self.pods.remove(key) {
                    for ip in &old.ips {
                        unlink(&mut self.pods_by_ip, ip, key);
                    }
                }
            }
            Kind::Node => drop(self.nodes.remove(key)),
            Kind::Namespace => drop(self.namespaces.remove(key)),
            Kind::NetworkPolicy => drop(self.policies.remove(key)),
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                drop(self.workloads.remove(reference));
            }
        }
    }

    /// Every reference held of a kind, in order.
    pub fn references(&self, kind: Kind) -> Vec<ObjectRef> {
        let of = |keys: Vec<&Key>| keys.into_iter().map(|key| ObjectRef { kind, key: key.clone() }).collect();
        match kind {
            Kind::Ingress => of(self.ingresses.keys().collect()),
            Kind::IngressClass => of(self.classes.keys().collect()),
            Kind::Service => of(self.services.keys().collect()),
            Kind::EndpointSlice => of(self.slices.keys().collect()),
            Kind::Pod => of(self.pods.keys().collect()),
            Kind::Node => of(self.nodes.keys().collect()),
            Kind::Namespace => of(self.namespaces.keys().collect()),
            Kind::NetworkPolicy => of(self.policies.keys().collect()),
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                self.workloads.keys().filter(|r| r.kind == kind).cloned().collect()
            }
        }
    }

    /// An Ingress.
    pub fn ingress(&self, key: &Key) -> Fact<Arc<Ingress>> {
        self.fact(Kind::Ingress, key, self.ingresses.get(key))
    }

    /// All Ingresses, in order of their keys.
    pub fn ingresses(&self) -> impl Iterator<Item = &Arc<Ingress>> {
        self.ingresses.values()
    }

    /// An IngressClass.
    pub fn class(&self, name: &str) -> Fact<Arc<IngressClass>> {
        let key = Key::new("", name);
        self.fact(Kind::IngressClass, &key, self.classes.get(&key))
    }

    /// All IngressClasses, where the kind is fully loaded.
    pub fn classes(&self) -> Fact<Vec<Arc<IngressClass>>> {
        self.covered(Kind::IngressClass, "", || self.classes.values().cloned().collect())
    }

    /// A Service.
    pub fn service(&self, key: &Key) -> Fact<Arc<Service>> {
        self.fact(Kind::Service, key, self.services.get(key))
    }

    /// All Services, in order of their keys.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// The Services of a namespace.
    pub fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Service>> {
        in_namespace(&self.services, namespace)
    }

    /// The EndpointSlices of a Service, where the kind is fully loaded.
    pub fn slices_of(&self, service: &Key) -> Fact<Vec<Arc<EndpointSlice>>> {
        self.covered(Kind::EndpointSlice, &service.namespace, || {
            let keys = self.slices_by_service.get(service).into_iter().flatten();
            keys.filter_map(|k| self.slices.get(k)).cloned().collect()
        })
    }

    /// A pod.
    pub fn pod(&self, key: &Key) -> Fact<Arc<Pod>> {
        self.fact(Kind::Pod, key, self.pods.get(key))
    }

    /// The pods of a namespace.
    pub fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Pod>> {
        in_namespace(&self.pods, namespace)
    }

    /// All pods, in order of their keys.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// The pods of a namespace that carry labels, where pods are fully loaded.
    pub fn pods_labelled(&self, namespace: &str, labels: &Labels) -> Fact<Vec<Arc<Pod>>> {
        self.covered(Kind::Pod, namespace, || self.pods_in(namespace).filter(|p| is_subset(labels, &p.meta.labels)).cloned().collect())
    }

    /// The pods that own an address, where pods are fully loaded; empty where nobody does.
    pub fn pods_at(&self, ip: IpAddr) -> Fact<Vec<Arc<Pod>>> {
        self.covered(Kind::Pod, "", || self.pods_by_ip.get(&ip).into_iter().flatten().filter_map(|k| self.pods.get(k)).cloned().collect())
    }

    /// A node.
    pub fn node(&self, name: &str) -> Fact<Arc<Node>> {
        let key = Key::new("", name);
        self.fact(Kind::Node, &key, self.nodes.get(&key))
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// A namespace.
    pub fn namespace(&self, name: &str) -> Fact<Arc<Namespace>> {
        let key = Key::new("", name);
        self.fact(Kind::Namespace, &key, self.namespaces.get(&key))
    }

    /// The NetworkPolicies of a namespace, where the kind is fully loaded.
    pub fn policies_in(&self, namespace: &str) -> Fact<Vec<Arc<NetworkPolicy>>> {
        self.covered(Kind::NetworkPolicy, namespace, || in_namespace(&self.policies, namespace).cloned().collect())
    }

    /// A workload.
    pub fn workload(&self, reference: &ObjectRef) -> Fact<Arc<Workload>> {
        self.fact(reference.kind, &reference.key, self.workloads.get(reference))
    }

    /// The workloads of a namespace, of every workload kind that is loaded.
    pub fn workloads_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.iter().filter(move |(r, _)| &*r.key.namespace == namespace).map(|(_, w)| w)
    }

    /// The Ingresses that have a rule for exactly this host (empty for rules without one).
    pub fn ingresses_for_host(&self, host: &str) -> impl Iterator<Item = &Arc<Ingress>> {
        self.ingresses_by_host.get(host).into_iter().flatten().filter_map(|k| self.ingresses.get(k))
    }

    /// The Ingresses that name a Service.
    pub fn ingresses_of_service(&self, service: &Key) -> impl Iterator<Item = &Arc<Ingress>> {
        self.ingresses_by_service.get(service).into_iter().flatten().filter_map(|k| self.ingresses.get(k))
    }

    fn fact<T>(&self, kind: Kind, key: &Key, found: Option<&Arc<T>>) -> Fact<Arc<T>> {
        match found {
            Some(object) => Fact::Known(object.clone()),
            None => self.covered(kind, &key.namespace, || ()).and_then(|()| Fact::Absent),
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

/// Keys of the Services that an Ingress names.
pub fn services_of(ingress: &Ingress) -> BTreeSet<Key> {
    let backends = ingress.rules.iter().flat_map(|r| &r.paths).map(|p| &p.backend).chain(&ingress.default_backend);
    backends
        .filter_map(|b| match b {
            IngressBackend::Service { name, .. } => Some(Key::new(&ingress.meta.namespace, name)),
            IngressBackend::Resource(_) => None,
        })
        .collect()
}

/// Hosts of an Ingress' rules, the empty host for rules without one.
fn hosts_of(ingress: &Ingress) -> BTreeSet<String> {
    ingress.rules.iter().map(|r| r.host.clone().unwrap_or_default()).collect()
}

fn in_namespace<'a, T>(map: &'a BTreeMap<Key, Arc<T>>, namespace: &str) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
    let namespace: Arc<str> = namespace.into();
    map.range(Key { namespace: namespace.clone(), name: "".into() }..).take_while(move |(k, _)| k.namespace == namespace).map(|(_, v)| v)
}

fn unlink<K: std::hash::Hash + Eq, V: Ord>(index: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = index.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            index.remove(key);
        }
    }
}
