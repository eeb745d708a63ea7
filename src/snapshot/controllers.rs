//! The pods that seem to run gateways, kept as pods and classes come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::objects::{IngressClass, Pod, Service, Text};
use super::software::{Implementation, Software, image_name};
use super::store::Few;

/// Pods that run, by the class whose controller they seem to be; and those with an image of known gateway software.
#[derive(Clone, Debug, Default)]
pub struct Controllers {
    classes: BTreeMap<Text, (Software, Few<Pod>)>,
    gateways: Few<Pod>,
}

impl Controllers {
    /// Adds a class, given all pods.
    pub fn add_class<'a>(&mut self, class: &IngressClass, pods: impl Iterator<Item = &'a Arc<Pod>>) {
        let software = Software::of(class);
        let mut found = Few::default();
        pods.filter(|p| !p.has_ended() && software.is_run_by(p)).for_each(|p| found.insert(p));
        self.classes.insert(class.meta.name.clone(), (software, found));
    }

    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// Adds a pod. Says whether it seems to run a gateway.
    pub fn add_pod(&mut self, pod: &Arc<Pod>) -> bool {
        if pod.has_ended() {
            return false;
        }
        let mut is_gateway = pod.containers.iter().any(|c| Implementation::named_in(image_name(&c.image)) != Implementation::Other);
        if is_gateway {
            self.gateways.insert(pod);
        }
        for (_, pods) in self.classes.values_mut().filter(|(software, _)| software.is_run_by(pod)) {
            pods.insert(pod);
            is_gateway = true;
        }
        is_gateway
    }

    /// Removes a pod. Says whether it seemed to run a gateway.
    pub fn remove_pod(&mut self, pod: &Pod) -> bool {
        let was_gateway = self.gateways.remove(pod);
        self.classes.values_mut().fold(was_gateway, |was, (_, pods)| pods.remove(pod) || was)
    }

    /// Whether a Service is named after the software of a class.
    pub fn name(&self, service: &Service) -> bool {
        self.classes.values().any(|(software, _)| software.names(service))
    }

    /// The pods that seem to run a class' controller, in order.
    pub fn of_class(&self, name: &str) -> &[Arc<Pod>] {
        self.classes.get(name).map_or(&[], |(_, pods)| pods.as_slice())
    }

    /// The pods with an image of known gateway software, in order.
    pub fn gateways(&self) -> &[Arc<Pod>] {
        self.gateways.as_slice()
    }
}
