//! How a pod, or a container, is named to whoever can enter it.

use serde::{Deserialize, Serialize};

use crate::snapshot::objects::docker::Container;
use crate::snapshot::objects::{Key, Pod};

/// Where a kubelet writes the uid of a pod that it made of a file; the API knows such a pod by another one.
const STATIC_UID: &str = "kubernetes.io/config.hash";

/// A pod, by what the API says of it; or a container of a Docker engine, which has no namespace and goes by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodRef {
    /// Its namespace; empty for a container.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid as the kubelet knows it (of a static pod, the annotation `kubernetes.io/config.hash`); the id of a container; empty for the
    /// host of a Docker engine.
    pub uid: String,
}

impl PodRef {
    /// A pod as its node knows it.
    pub fn of(pod: &Pod) -> Self {
        let Key { namespace, name } = pod.meta.key();
        let uid = pod.meta.annotations.get(STATIC_UID).unwrap_or(&pod.meta.uid);
        PodRef { namespace: namespace.to_string(), name: name.to_string(), uid: uid.to_string() }
    }

    /// A container of a Docker engine.
    pub fn of_container(container: &Container) -> Self {
        PodRef { namespace: String::new(), name: container.name.to_string(), uid: container.id.to_string() }
    }

    /// The host of a Docker engine, in the network that the engine itself lives in.
    pub fn docker_host() -> Self {
        PodRef { namespace: String::new(), name: String::new(), uid: String::new() }
    }
}

impl std::fmt::Display for PodRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => f.write_str("the engine's host"),
            ("", name) => write!(f, "container {name}"),
            (namespace, name) => write!(f, "pod {namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_made_of_a_file_goes_by_the_hash_that_its_kubelet_uses() {
        let mut pod = Pod::default();
        pod.meta.uid = "b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab".into();
        assert_eq!(PodRef::of(&pod).uid, "b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab");
        pod.meta.annotations = [(STATIC_UID.to_owned(), "3f1b9c0a8d7e6f5a4b3c2d1e0f9a8b7c".to_owned())].into_iter().collect();
        assert_eq!(PodRef::of(&pod).uid, "3f1b9c0a8d7e6f5a4b3c2d1e0f9a8b7c");
    }
}
