//! Look-ups by labels that do not go through every object of a namespace.
//!
//! Both indexes go by hashes of one label in one namespace. Equal hashes of different labels only make a list longer: whoever looks
//! something up compares the labels themselves.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::objects::{Labels, Service, Text, is_subset};
use super::store::{Few, Index, Named};

/// A label that more objects of a namespace carry than this tells little, and keeping their order would cost much.
const MANY: usize = 4096;

/// So few that another label is not worth looking at.
const ENOUGH: usize = 8;

/// A label of a namespace.
type Label = u64;

fn label(namespace: &str, key: &Text, value: &Text) -> Label {
    let mut hasher = DefaultHasher::new();
    (namespace, key, value).hash(&mut hasher);
    hasher.finish()
}

fn labels_of<'a>(namespace: &'a str, labels: &'a Labels) -> impl Iterator<Item = Label> + 'a {
    labels.iter().map(move |(k, v)| label(namespace, k, v))
}

/// Objects by each label that they carry.
#[derive(Clone, Debug)]
pub struct Carriers<T>(HashMap<Label, Bucket<T>>);

#[derive(Clone, Debug)]
enum Bucket<T> {
    Few(Few<T>),
    /// So many that they are only counted.
    Many(usize),
}

impl<T> Default for Carriers<T> {
    fn default() -> Self {
        Carriers(HashMap::new())
    }
}

impl<T: Named> Carriers<T> {
    pub fn link(&mut self, labels: &Labels, object: &Arc<T>) {
        for label in labels_of(&object.meta().namespace, labels) {
            let bucket = self.0.entry(label).or_insert_with(|| Bucket::Few(Few::default()));
            match bucket {
                Bucket::Few(few) if few.as_slice().len() < MANY => few.insert(object),
                Bucket::Few(_) => *bucket = Bucket::Many(MANY + 1),
                Bucket::Many(count) => *count += 1,
            }
        }
    }

    pub fn unlink(&mut self, labels: &Labels, object: &T) {
        for label in labels_of(&object.meta().namespace, labels) {
            let Some(bucket) = self.0.get_mut(&label) else { continue };
            let left = match bucket {
                Bucket::Few(few) => {
                    few.remove(object);
                    few.as_slice().len()
                }
                Bucket::Many(count) => {
                    *count = count.saturating_sub(1);
                    *count
                }
            };
            if left == 0 {
                self.0.remove(&label);
            }
        }
    }

    /// Few objects, in order, among which are all that carry every wanted label; none where each of the labels is carried by too many,
    /// or none is wanted.
    pub fn candidates(&self, namespace: &str, wanted: &Labels) -> Option<&[Arc<T>]> {
        let mut fewest: Option<&[Arc<T>]> = None;
        for label in labels_of(namespace, wanted) {
            match self.0.get(&label) {
                None => return Some(&[]),
                Some(Bucket::Few(few)) if few.as_slice().len() <= ENOUGH => return Some(few.as_slice()),
                Some(Bucket::Few(few)) if fewest.is_none_or(|f| few.as_slice().len() < f.len()) => fewest = Some(few.as_slice()),
                Some(_) => {}
            }
        }
        fewest
    }
}

/// Services by one label of their selector: the one that the fewest others were found by when it was added.
#[derive(Clone, Debug, Default)]
pub struct Selectors(Index<Label, Service>);

impl Selectors {
    pub fn link(&mut self, service: &Arc<Service>) {
        let labels = service.selector.iter().flat_map(|s| labels_of(&service.meta.namespace, s));
        if let Some(label) = labels.min_by_key(|label| self.0.get(label).len()) {
            self.0.link(label, service);
        }
    }

    pub fn unlink(&mut self, service: &Service) {
        for label in service.selector.iter().flat_map(|s| labels_of(&service.meta.namespace, s)) {
            self.0.unlink(&label, service);
        }
    }

    /// The Services that select an object with these labels.
    pub fn selecting<'a>(&'a self, namespace: &'a str, labels: &'a Labels) -> impl Iterator<Item = &'a Arc<Service>> {
        let found = labels_of(namespace, labels).flat_map(|label| self.0.get(&label));
        found.filter(move |s| s.meta.namespace == namespace && s.selector.as_ref().is_some_and(|sel| is_subset(sel, labels)))
    }
}
