//! One copy of what many objects have in common: names, label sets, and what the containers of one template are made of.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use super::objects::{Condition, Container, ContainerSpec, IngressBackend, Labels, Meta, Object, Pod, SliceEndpoint, Text, Workload};

/// What is shared. Copies that nobody uses any more are thrown out when it has doubled.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    texts: Kept<Text>,
    labels: Kept<Labels>,
    specs: Kept<Arc<ContainerSpec>>,
}

impl Pool {
    /// The object with what it has in common with others replaced by the copy that these have, and without room to spare: lists and texts
    /// that were read piece by piece have some, and a copy has none.
    pub fn share(&mut self, mut object: Object) -> Object {
        self.replace_in(&mut object);
        object.clone()
    }

    fn replace_in(&mut self, object: &mut Object) {
        match object {
            Object::Ingress(o) => {
                self.meta(&mut o.meta);
                o.class.iter_mut().for_each(|t| self.text(t));
                let paths = o.rules.iter_mut().flat_map(|r| &mut r.paths).map(|p| &mut p.backend);
                for backend in paths.chain(&mut o.default_backend) {
                    if let IngressBackend::Service { name, .. } = backend {
                        self.text(name);
                    }
                }
            }
            Object::IngressClass(o) => self.meta(&mut o.meta),
            Object::Service(o) => {
                self.meta(&mut o.meta);
                o.selector.iter_mut().for_each(|s| self.labels(s));
            }
            Object::EndpointSlice(o) => {
                self.meta(&mut o.meta);
                [&mut o.service, &mut o.managed_by].into_iter().flatten().for_each(|t| self.text(t));
                o.endpoints.iter_mut().for_each(|e| self.endpoint(e));
            }
            Object::Pod(o) => self.pod(o),
            Object::Node(o) => {
                self.meta(&mut o.meta);
                self.conditions(&mut o.conditions);
            }
            Object::Namespace(o) => self.meta(&mut o.meta),
            Object::NetworkPolicy(o) => self.meta(&mut o.meta),
            Object::ClusterPolicy(o) => self.meta(&mut o.meta),
            Object::Workload(o) => self.workload(o),
            Object::Autoscaler(o) => {
                self.meta(&mut o.meta);
                self.conditions(&mut o.conditions);
            }
            Object::Event(o) => self.meta(&mut o.meta),
        }
    }

    fn pod(&mut self, pod: &mut Pod) {
        self.meta(&mut pod.meta);
        [&mut pod.node, &mut pod.service_account].into_iter().flatten().for_each(|t| self.text(t));
        self.conditions(&mut pod.conditions);
        for Container { spec, .. } in pod.containers.iter_mut().chain(&mut pod.init_containers) {
            if !self.specs.replace(spec) {
                *spec = Arc::new(ContainerSpec::clone(spec));
                self.specs.keep(spec.clone());
            }
        }
    }

    fn workload(&mut self, workload: &mut Workload) {
        self.meta(&mut workload.meta);
        self.labels(&mut workload.template_labels);
        self.conditions(&mut workload.conditions);
    }

    fn endpoint(&mut self, endpoint: &mut SliceEndpoint) {
        [&mut endpoint.node, &mut endpoint.pod].into_iter().flatten().for_each(|t| self.text(t));
    }

    fn meta(&mut self, meta: &mut Meta) {
        self.text(&mut meta.namespace);
        self.text(&mut meta.name);
        self.labels(&mut meta.labels);
        self.labels(&mut meta.annotations);
        if let Some(owner) = &mut meta.owner {
            self.text(&mut owner.kind);
            self.text(&mut owner.name);
        }
    }

    fn conditions(&mut self, conditions: &mut [Condition]) {
        for condition in conditions {
            self.text(&mut condition.condition_type);
        }
    }

    fn labels(&mut self, labels: &mut Labels) {
        if self.labels.replace(labels) || labels.is_empty() {
            return;
        }
        *labels = labels.iter().map(|(k, v)| (self.texts.shared(k), self.texts.shared(v))).collect();
        self.labels.keep(labels.clone());
    }

    fn text(&mut self, text: &mut Text) {
        self.texts.share(text);
    }
}

/// A value of which the copies share one place in memory.
trait Shared: Clone + Hash + Eq {
    /// Whether nobody else holds this copy.
    fn is_alone(&self) -> bool;
}

impl Shared for Text {
    fn is_alone(&self) -> bool {
        Text::is_alone(self)
    }
}

impl Shared for Labels {
    fn is_alone(&self) -> bool {
        Labels::is_alone(self)
    }
}

impl Shared for Arc<ContainerSpec> {
    fn is_alone(&self) -> bool {
        Arc::strong_count(self) == 1
    }
}

/// Fewer copies than this are never looked through.
const SMALL: usize = 4096;

#[derive(Clone, Debug)]
struct Kept<T> {
    copies: HashSet<T>,
    /// Copies from which on those are looked for that nobody uses.
    limit: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept { copies: HashSet::new(), limit: SMALL }
    }
}

impl<T: Shared> Kept<T> {
    /// Replaces a value by the copy that is kept, which it becomes where there is none.
    fn share(&mut self, value: &mut T) {
        if !self.replace(value) {
            self.keep(value.clone());
        }
    }

    fn shared(&mut self, value: &T) -> T {
        let mut value = value.clone();
        self.share(&mut value);
        value
    }

    /// Replaces a value by the copy that is kept, and says whether there is one.
    fn replace(&self, value: &mut T) -> bool {
        let kept = self.copies.get(value);
        if let Some(kept) = kept {
            *value = kept.clone();
        }
        kept.is_some()
    }

    fn keep(&mut self, value: T) {
        if self.copies.len() >= self.limit {
            self.copies.retain(|copy| !copy.is_alone());
            self.limit = SMALL.max(2 * self.copies.len());
        }
        self.copies.insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::Namespace;

    fn namespace(name: &str, team: &str) -> Object {
        let labels = [("team", team)].into();
        Object::Namespace(Namespace { meta: Meta { name: name.into(), labels, ..Meta::default() } })
    }

    #[test]
    fn what_nobody_uses_any_more_is_thrown_out() {
        let mut pool = Pool::default();
        for n in 0..3 * SMALL {
            pool.share(namespace(&format!("n{n}"), &format!("t{n}")));
        }
        assert!(pool.texts.copies.len() <= 2 * SMALL && pool.labels.copies.len() <= SMALL, "{} texts are kept", pool.texts.copies.len());
    }

    #[test]
    fn equal_label_sets_stand_in_one_place() {
        let mut pool = Pool::default();
        let (a, b) = (pool.share(namespace("a", "web")), pool.share(namespace("b", "web")));
        let (Object::Namespace(a), Object::Namespace(b)) = (&a, &b) else { panic!("not namespaces") };
        assert!(std::ptr::eq(a.meta.labels.get("team").unwrap(), b.meta.labels.get("team").unwrap()));
    }
}
