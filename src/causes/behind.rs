//! What runs behind an endpoint, a pod or a container of a Docker engine: how it is named, read, entered and started anew.

use std::sync::Arc;

use crate::causes::{Case, EndpointView, ports};
use crate::path::Endpoint;
use crate::probe::PodRef;
use crate::snapshot::objects::docker::Container;
use crate::snapshot::objects::{ObjectRef, Pod};

/// A pod or a container.
#[derive(Clone, Copy, Debug)]
pub enum Behind<'a> {
    /// A pod.
    Pod(&'a Arc<Pod>),
    /// A container of a Docker engine.
    Container(&'a Arc<Container>),
}

impl<'a> Behind<'a> {
    /// What is behind an endpoint, where it is known.
    pub fn of(endpoint: &'a Endpoint) -> Option<Self> {
        let container = endpoint.container.as_ref().map(Behind::Container);
        container.or_else(|| endpoint.pod.known().map(Behind::Pod))
    }

    /// The pod, where it is one.
    pub fn pod(self) -> Option<&'a Arc<Pod>> {
        match self {
            Behind::Pod(pod) => Some(pod),
            Behind::Container(_) => None,
        }
    }

    /// Its reference.
    pub fn reference(self) -> ObjectRef {
        match self {
            Behind::Pod(pod) => pod.reference(),
            Behind::Container(container) => container.reference(),
        }
    }

    /// Its name to whoever can enter it.
    pub fn inside(self) -> PodRef {
        match self {
            Behind::Pod(pod) => PodRef::of(pod),
            Behind::Container(container) => PodRef::of_container(container),
        }
    }

    /// The field of it that says what runs in it; empty where nothing more than its name is needed.
    pub fn field(self, of_pod: &'static str) -> &'static str {
        match self {
            Behind::Pod(_) => of_pod,
            Behind::Container(_) => "",
        }
    }

    /// Whether both were made from one template: of pods as far as their labels tell, of containers by image and command.
    pub fn is_alike(self, other: Behind<'_>) -> bool {
        match (self, other) {
            (Behind::Pod(a), Behind::Pod(b)) => ports::same_template(a, b),
            (Behind::Container(a), Behind::Container(b)) => (&a.image, &a.command) == (&b.image, &b.command),
            _ => false,
        }
    }

    /// The command that shows its log of the last minutes.
    pub fn logs(self) -> String {
        match self {
            Behind::Pod(pod) => format!("kubectl -n {} logs {} --since=5m", pod.meta.namespace, pod.meta.name),
            Behind::Container(container) => format!("docker logs --since 5m {}", container.name),
        }
    }

    /// The command that runs another one inside it.
    pub fn exec(self, command: &str) -> String {
        match self {
            Behind::Pod(pod) => format!("kubectl -n {} exec {} -- {command}", pod.meta.namespace, pod.meta.name),
            Behind::Container(container) => format!("docker exec {} {command}", container.name),
        }
    }

    /// The command that has it start anew.
    pub fn restart(self) -> String {
        match self {
            Behind::Pod(pod) => format!("kubectl -n {} delete pod {}", pod.meta.namespace, pod.meta.name),
            Behind::Container(container) => format!("docker restart {}", container.name),
        }
    }
}

impl<'a> EndpointView<'a> {
    /// What runs behind the endpoint, where it is known.
    pub fn behind(&self) -> Option<Behind<'a>> {
        Behind::of(self.endpoint)
    }
}

impl Case<'_> {
    /// What a backend consists of, for messages: pods, or the servers of an upstream, which need not be containers.
    pub fn members(&self) -> &'static str {
        if self.path.container.is_some() { "servers" } else { "pods" }
    }

    /// The same with whose they are: `pods of Service shop/web`, `servers of upstream app:3000`.
    pub fn members_name(&self) -> String {
        format!("{} of {}", self.members(), self.backend_name())
    }

    /// The gateway within a sentence: `gateway Service infra/traefik`, `gateway shop-gateway-1`.
    pub fn gateway_name(&self) -> String {
        match (&self.path.container, self.path.gateway.known()) {
            (Some(route), _) => format!("gateway {}", route.gateway.name),
            (None, Some(gateway)) => format!("gateway Service {}", gateway.service.meta.key()),
            (None, None) => "gateway".into(),
        }
    }
}
