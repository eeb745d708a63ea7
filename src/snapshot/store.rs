//! The objects of one kind by namespace and name, and short lists of them for indexes.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use super::objects::{
    Autoscaler, ClusterPolicy, EndpointSlice, Event, Ingress, IngressClass, Key, Kind, Meta, Namespace, NetworkPolicy, Node, Pod, Service,
    Text, Workload,
};

/// An object that can be found by its name.
pub trait Named {
    /// Its metadata.
    fn meta(&self) -> &Meta;

    /// What it is sorted by among objects of its sort.
    fn order(&self) -> (Option<Kind>, &Text, &Text) {
        (None, &self.meta().namespace, &self.meta().name)
    }
}

macro_rules! named {
    ($($kind:ident),*) => {$(impl Named for $kind {
        fn meta(&self) -> &Meta {
            &self.meta
        }
    })*};
}

named!(Autoscaler, ClusterPolicy, EndpointSlice, Event, Ingress, IngressClass, Namespace, NetworkPolicy, Node, Pod, Service);

impl Named for Workload {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn order(&self) -> (Option<Kind>, &Text, &Text) {
        (Some(self.kind), &self.meta.namespace, &self.meta.name)
    }
}

/// The objects of one kind. Cluster-wide ones stand in the namespace without a name.
#[derive(Clone, Debug)]
pub struct Store<T>(BTreeMap<Text, BTreeMap<Text, Arc<T>>>);

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store(BTreeMap::new())
    }
}

impl<T: Named> Store<T> {
    pub fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.named(&key.namespace, &key.name)
    }

    pub fn named(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.0.get(namespace)?.get(name)
    }

    pub fn insert(&mut self, object: Arc<T>) {
        let Key { namespace, name } = object.meta().key();
        self.0.entry(namespace).or_default().insert(name, object);
    }

    pub fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        let namespace = self.0.get_mut(&key.namespace)?;
        let removed = namespace.remove(&key.name);
        if namespace.is_empty() {
            self.0.remove(&key.namespace);
        }
        removed
    }

    /// All of them, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.0.values().flat_map(BTreeMap::values)
    }

    /// Those of a namespace, in order of their names.
    pub fn within<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        self.0.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.iter().map(|object| object.meta().key())
    }
}

/// A short list of objects in order, each once.
#[derive(Clone, Debug)]
pub struct Few<T>(Vec<Arc<T>>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few(Vec::new())
    }
}

impl<T: Named> Few<T> {
    pub fn insert(&mut self, object: &Arc<T>) {
        match self.find(object) {
            Ok(at) => self.0[at] = object.clone(),
            Err(at) => {
                // Most lists hold one object, or as many as a Service has pods; doubling from four on would waste more than it saves.
                if self.0.len() < 4 {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, object.clone());
            }
        }
    }

    /// Removes an object, and says whether it was there.
    pub fn remove(&mut self, object: &T) -> bool {
        self.find(object).is_ok_and(|at| {
            self.0.remove(at);
            true
        })
    }

    pub fn as_slice(&self) -> &[Arc<T>] {
        &self.0
    }

    fn find(&self, object: &T) -> Result<usize, usize> {
        // Lists are mostly filled in order.
        if self.0.last().is_none_or(|last| last.order() < object.order()) {
            return Err(self.0.len());
        }
        self.0.binary_search_by(|held| held.order().cmp(&object.order()))
    }
}

/// Short lists by something that objects have in common.
#[derive(Clone, Debug)]
pub struct Index<K, T>(std::collections::HashMap<K, Few<T>>);

impl<K, T> Default for Index<K, T> {
    fn default() -> Self {
        Index(std::collections::HashMap::new())
    }
}

impl<K: Hash + Eq, T: Named> Index<K, T> {
    pub fn link(&mut self, key: K, object: &Arc<T>) {
        self.0.entry(key).or_default().insert(object);
    }

    pub fn unlink(&mut self, key: &K, object: &T) {
        if let Some(few) = self.0.get_mut(key) {
            few.remove(object);
            if few.as_slice().is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// The objects of a key, in order.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> &[Arc<T>]
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key).map_or(&[], Few::as_slice)
    }
}
