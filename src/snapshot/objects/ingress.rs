//! Ingresses and their classes.

use super::{Meta, PortRef, Text};

/// networking.k8s.io/v1 Ingress
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingress {
    /// Metadata.
    pub meta: Meta,
    /// spec.ingressClassName, or the older annotation `kubernetes.io/ingress.class`.
    pub class: Option<Text>,
    /// spec.defaultBackend
    pub default_backend: Option<IngressBackend>,
    /// spec.rules
    pub rules: Vec<IngressRule>,
    /// spec.tls
    pub tls: Vec<IngressTls>,
    /// Addresses and host names in status.loadBalancer.ingress.
    pub addresses: Vec<String>,
}

/// One rule of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressRule {
    /// Host, possibly with a leading `*.`; none means any host.
    pub host: Option<String>,
    /// Its paths.
    pub paths: Vec<IngressPath>,
}

/// One path of an Ingress rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPath {
    /// The path, `/` where none is given.
    pub path: String,
    /// How the path is matched.
    pub path_type: PathType,
    /// Where requests go.
    pub backend: IngressBackend,
}

/// How an Ingress path is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display)]
pub enum PathType {
    /// The whole path, case-sensitive.
    Exact,
    /// By path elements.
    #[default]
    Prefix,
    /// As the gateway pleases: often a prefix, sometimes a regular expression.
    ImplementationSpecific,
}

/// Where an Ingress sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressBackend {
    /// A Service of the same namespace, and a port of it.
    Service {
        /// Name of the Service.
        name: Text,
        /// A port of the Service: its number or name, never the container's.
        port: PortRef,
    },
    /// Another resource, as `Kind/name`.
    Resource(String),
}

/// One entry of spec.tls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressTls {
    /// Hosts that the certificate is meant for; empty means the gateway decides.
    pub hosts: Vec<String>,
    /// Name of the Secret; its data is never read.
    pub secret: Option<String>,
}

impl IngressTls {
    /// Whether one of its hosts is this host of a rule, or a wildcard over it.
    pub fn names(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.hosts.iter().any(|h| h == host || (h.starts_with("*.") && h.strip_prefix("*.") == parent))
    }
}

/// networking.k8s.io/v1 IngressClass
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressClass {
    /// Metadata.
    pub meta: Meta,
    /// spec.controller, e.g. `traefik.io/ingress-controller`.
    pub controller: String,
    /// Whether `ingressclass.kubernetes.io/is-default-class` is `true`.
    pub is_default: bool,
}
