//! What is derived from a snapshot as it stands, made once and kept until something changes that it may be derived from.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::objects::{Kind, Text};

/// The kept value. A copy of it begins empty.
#[derive(Default)]
pub struct Derived(OnceLock<Held>);

struct Held {
    value: Arc<dyn Any + Send + Sync>,
    /// Namespaces whose Services, slices and pods it is derived from.
    namespaces: BTreeSet<Text>,
}

impl Derived {
    /// The value, made with the namespaces that it depends on where it is not kept.
    pub fn value<T: Send + Sync + 'static>(&self, make: impl Fn() -> (T, BTreeSet<Text>)) -> Arc<T> {
        let held = self.0.get_or_init(|| {
            let (value, namespaces) = make();
            Held { value: Arc::new(value), namespaces }
        });
        // Whoever asks for another type than was kept gets a value of its own.
        held.value.clone().downcast().unwrap_or_else(|_| Arc::new(make().0))
    }

    /// Forgets the value where a change of such an object may change it.
    pub fn changed(&mut self, kind: Kind, namespace: &str) {
        let Some(held) = self.0.get() else { return };
        let concerned = match kind {
            Kind::IngressClass => true,
            Kind::Service | Kind::EndpointSlice | Kind::Pod => held.namespaces.contains(namespace),
            _ => false,
        };
        if concerned {
            self.forget();
        }
    }

    /// Forgets the value.
    pub fn forget(&mut self) {
        self.0 = OnceLock::new();
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Derived::default()
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Derived").field(&self.0.get().is_some()).finish()
    }
}
