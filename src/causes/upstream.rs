//! What a gateway sends to a backend beside the request itself, and what it checks of it: Host, server name, certificate.
//!
//! Sources: Go `crypto/tls` (Traefik and Caddy send no server name for an address, and check the address then); nginx
//! `proxy_ssl_server_name`, `proxy_ssl_verify` (both off) and the ingress-nginx annotations of the same names; HAProxy `sni`, `verify`
//! (no server name, no check); Apache `SSLProxyCheckPeerExpire`, `SSLProxyCheckPeerName` (on) and `SSLProxyVerify` (none).

mod certificate;

use std::net::SocketAddr;

use crate::causes::Case;
use crate::path::Implementation;
use crate::snapshot::objects::{Kind, ObjectRef};
pub use certificate::{Shown, at_fault, shown};

/// The server name that a gateway sends in the TLS handshake with a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// None.
    Nothing,
    /// This one.
    Name(String),
    /// Its own configuration decides, which is not read.
    Unknown,
}

/// Whether something is so, as far as objects and flags say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// It checks.
    Yes,
    /// It does not.
    No,
    /// Its own configuration decides, which is not read.
    Unknown,
}

const TRAEFIK_TRANSPORT: &str = "traefik.ingress.kubernetes.io/service.serverstransport";

/// The server name that the gateway sends.
pub fn server_name(case: &Case<'_>) -> ServerName {
    if let Some(route) = &case.path.container {
        return match (route.server_name(), implementation(case)) {
            (Some(name), _) => ServerName::Name(name),
            (None, Implementation::Envoy | Implementation::Apache | Implementation::Other) => ServerName::Unknown,
            (None, _) => ServerName::Nothing,
        };
    }
    let external = external_name(case);
    match (implementation(case), external) {
        (Implementation::Traefik, _) if of_service(case, TRAEFIK_TRANSPORT).is_some() => ServerName::Unknown,
        (Implementation::Traefik | Implementation::Caddy, Some(name)) => ServerName::Name(name),
        (Implementation::Traefik | Implementation::Caddy, None) => ServerName::Nothing,
        (Implementation::Nginx, _) => match nginx(case, "proxy-ssl-server-name").as_deref() {
            Some("on") => nginx(case, "proxy-ssl-name").map_or(ServerName::Unknown, ServerName::Name),
            _ => ServerName::Nothing,
        },
        (Implementation::Haproxy, _) if of_any(case, "haproxy-ingress.github.io/secure-sni").is_some() => ServerName::Unknown,
        (Implementation::Haproxy, _) => ServerName::Nothing,
        (Implementation::Envoy | Implementation::Apache | Implementation::Other, _) => ServerName::Unknown,
    }
}

/// Whether the gateway checks the backends' certificates.
pub fn verifies(case: &Case<'_>) -> Checks {
    if let Some(route) = &case.path.container {
        return if route.upstream.verifies { Checks::Yes } else { Checks::No };
    }
    let any = |names: &[&str]| names.iter().any(|n| of_any(case, n).is_some());
    match implementation(case) {
        Implementation::Traefik if of_service(case, TRAEFIK_TRANSPORT).is_some() => Checks::Unknown,
        Implementation::Traefik if has_flag(case, "serverstransport.insecureskipverify") => Checks::No,
        Implementation::Traefik | Implementation::Caddy => Checks::Yes,
        Implementation::Nginx if nginx(case, "proxy-ssl-verify").as_deref() == Some("on") => Checks::Yes,
        Implementation::Haproxy if any(&["haproxy.org/server-ca", "haproxy-ingress.github.io/secure-verify-ca-secret"]) => Checks::Yes,
        Implementation::Nginx | Implementation::Haproxy => Checks::No,
        Implementation::Envoy | Implementation::Apache | Implementation::Other => Checks::Unknown,
    }
}

/// Whether the gateway is given certificate authorities of its own for backends, so that a private one may be trusted.
fn has_own_authorities(case: &Case<'_>) -> bool {
    if case.path.container.is_some() {
        return true;
    }
    match implementation(case) {
        Implementation::Traefik => has_flag(case, "serverstransport.rootcas") || of_service(case, TRAEFIK_TRANSPORT).is_some(),
        _ => true,
    }
}

/// The name that the gateway looks for in a backend's certificate, where that is known.
fn expected_name(case: &Case<'_>, to: SocketAddr) -> Option<String> {
    if let Some(route) = &case.path.container {
        return route.expected_name();
    }
    match implementation(case) {
        Implementation::Traefik if of_service(case, TRAEFIK_TRANSPORT).is_some() => None,
        Implementation::Traefik => Some(external_name(case).unwrap_or_else(|| to.ip().to_string())),
        Implementation::Nginx => nginx(case, "proxy-ssl-name"),
        _ => None,
    }
}

/// A Host that the gateway sends in place of the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The Host.
    pub host: String,
    /// The object that makes it.
    pub by: ObjectRef,
    /// The annotation, or the place in the gateway's configuration.
    pub setting: String,
}

impl Rewritten {
    /// The field of the object.
    pub fn field(&self) -> String {
        if self.by.kind == Kind::Container { self.setting.clone() } else { format!("metadata.annotations[{}]", self.setting) }
    }
}

/// The Host that the gateway sends in place of the client's.
pub fn rewritten_host(case: &Case<'_>, to: SocketAddr) -> Option<Rewritten> {
    const PASS: &str = "traefik.ingress.kubernetes.io/service.passhostheader";
    let by_ingress = |host: String, annotation: &str| Rewritten { host, by: case.target().clone(), setting: annotation.to_owned() };
    if let Some(route) = &case.path.container {
        let setting = case.path.route.field.clone();
        return Some(Rewritten { host: route.host_header()?, by: route.gateway.reference(), setting });
    }
    match implementation(case) {
        Implementation::Traefik if of_service(case, PASS).as_deref() == Some("false") => {
            let host = external_name(case).map_or_else(|| to.to_string(), |name| format!("{name}:{}", to.port()));
            Some(Rewritten { host, by: case.service_ref()?, setting: PASS.to_owned() })
        }
        Implementation::Nginx => nginx(case, "upstream-vhost").map(|host| by_ingress(host, "nginx.ingress.kubernetes.io/upstream-vhost")),
        Implementation::Haproxy => of_ingress(case, "haproxy.org/set-host").map(|host| by_ingress(host, "haproxy.org/set-host")),
        _ => None,
    }
}

/// The software that the gateway is.
pub fn implementation(case: &Case<'_>) -> Implementation {
    case.path.gateway.known().map_or(Implementation::Other, |g| g.implementation)
}

/// The value of an ingress-nginx annotation, by its short name.
pub fn nginx(case: &Case<'_>, name: &str) -> Option<String> {
    of_ingress(case, &format!("nginx.ingress.kubernetes.io/{name}"))
}

/// The value of an annotation of the route's Ingress.
pub fn of_ingress(case: &Case<'_>, annotation: &str) -> Option<String> {
    let target = case.target();
    if target.kind != Kind::Ingress {
        return None;
    }
    case.snapshot.ingress(&target.key).known()?.meta.annotations.get(annotation).map(ToString::to_string)
}

fn of_service(case: &Case<'_>, annotation: &str) -> Option<String> {
    case.path.backend.service.known()?.meta.annotations.get(annotation).map(ToString::to_string)
}

fn of_any(case: &Case<'_>, annotation: &str) -> Option<String> {
    of_service(case, annotation).or_else(|| of_ingress(case, annotation))
}

/// The name that an ExternalName Service stands for.
pub fn external_name(case: &Case<'_>) -> Option<String> {
    case.path.backend.service.known()?.external_name.clone().filter(|n| !n.is_empty())
}

/// Whether the gateway's pods are started with a flag that is not set to false.
fn has_flag(case: &Case<'_>, flag: &str) -> bool {
    let pods = case.path.gateway.known().into_iter().flat_map(|g| &g.pods);
    let arguments = pods.flat_map(|p| &p.containers).flat_map(|c| &c.args);
    let is_set = |argument: &String| {
        let argument = argument.to_ascii_lowercase();
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        name.trim_start_matches('-') == flag && value != "false"
    };
    arguments.into_iter().any(is_set)
}
