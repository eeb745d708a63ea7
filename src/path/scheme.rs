//! What a gateway speaks to the endpoints of a Service.
//!
//! Sources: Traefik `pkg/provider/kubernetes/ingress` (port 443 or a port name that begins with `https` means https; the Service
//! annotation `service.serversscheme` overrides); ingress-nginx user guide (`backend-protocol`); HAProxy ingress
//! (`haproxy.org/server-ssl`); Contour (`projectcontour.io/upstream-protocol.*`); KEP-3726 for `appProtocol`.

use super::Implementation;
use crate::probe::Scheme;
use crate::snapshot::objects::{Ingress, Kind, Meta, ObjectRef, Service, ServicePort};

/// The scheme, and the object and field that ask for it where it is not plain HTTP/1.1.
pub fn spoken(
    gateway: Implementation,
    ingress: Option<&Ingress>,
    service: Option<&Service>,
    port: Option<&ServicePort>,
) -> (Scheme, Option<(ObjectRef, String)>) {
    let by_annotation = match gateway {
        Implementation::Traefik => {
            service.and_then(|s| annotation(Kind::Service, &s.meta, "traefik.ingress.kubernetes.io/service.serversscheme"))
        }
        Implementation::Nginx => ingress.and_then(|i| annotation(Kind::Ingress, &i.meta, "nginx.ingress.kubernetes.io/backend-protocol")),
        Implementation::Haproxy => haproxy(ingress, service),
        Implementation::Envoy => service.zip(port).and_then(|(s, p)| contour(s, p)),
        Implementation::Apache | Implementation::Caddy | Implementation::Other => None,
    };
    if let Some((scheme, from)) = by_annotation {
        return (scheme, Some(from));
    }
    let by_port = service.zip(port).and_then(|(s, p)| by_port(gateway, s, p));
    by_port.map_or((Scheme::Http, None), |(scheme, from)| (scheme, Some(from)))
}

fn by_port(gateway: Implementation, service: &Service, port: &ServicePort) -> Option<(Scheme, (ObjectRef, String))> {
    let index = service.ports.iter().position(|p| p == port).unwrap_or(0);
    let from = |field: &str| (ObjectRef { kind: Kind::Service, key: service.meta.key() }, format!("spec.ports[{index}].{field}"));
    let app_protocol = port.app_protocol.as_deref().and_then(parse);
    match gateway {
        Implementation::Traefik if port.name.as_deref().is_some_and(|n| n.starts_with("https")) => Some((Scheme::Https, from("name"))),
        Implementation::Traefik if port.port == 443 => Some((Scheme::Https, from("port"))),
        Implementation::Traefik | Implementation::Nginx => None,
        // Nobody stands between for a Service that is asked directly: its own declaration counts.
        Implementation::Other
            if app_protocol.is_none() && (port.port == 443 || port.name.as_deref().is_some_and(|n| n.starts_with("https"))) =>
        {
            Some((Scheme::Https, from("port")))
        }
        Implementation::Envoy | Implementation::Haproxy | Implementation::Apache | Implementation::Caddy | Implementation::Other => {
            app_protocol.filter(|s| *s != Scheme::Http).map(|scheme| (scheme, from("appProtocol")))
        }
    }
}

fn annotation(kind: Kind, meta: &Meta, name: &str) -> Option<(Scheme, (ObjectRef, String))> {
    let scheme = parse(meta.annotations.get(name)?)?;
    Some((scheme, (ObjectRef { kind, key: meta.key() }, format!("metadata.annotations[{name}]"))))
}

fn haproxy(ingress: Option<&Ingress>, service: Option<&Service>) -> Option<(Scheme, (ObjectRef, String))> {
    let metas = service.map(|s| (Kind::Service, &s.meta)).into_iter().chain(ingress.map(|i| (Kind::Ingress, &i.meta)));
    for (kind, meta) in metas {
        let from = |name: &str| (ObjectRef { kind, key: meta.key() }, format!("metadata.annotations[{name}]"));
        for name in ["haproxy.org/server-ssl", "haproxy-ingress.github.io/secure-backends"] {
            if meta.annotations.get(name).is_some_and(|v| v == "true") {
                return Some((Scheme::Https, from(name)));
            }
        }
        if let Some(found) = annotation(kind, meta, "haproxy-ingress.github.io/backend-protocol") {
            return Some(found);
        }
    }
    None
}

fn contour(service: &Service, port: &ServicePort) -> Option<(Scheme, (ObjectRef, String))> {
    let names = [("tls", Scheme::Https), ("h2", Scheme::H2), ("h2c", Scheme::H2c)];
    names.into_iter().find_map(|(suffix, scheme)| {
        let name = format!("projectcontour.io/upstream-protocol.{suffix}");
        let listed = service.meta.annotations.get(&name)?;
        let number = port.port.to_string();
        let hit = listed.split(',').map(str::trim).any(|p| p == number || Some(p) == port.name.as_deref());
        hit.then(|| (scheme, (ObjectRef { kind: Kind::Service, key: service.meta.key() }, format!("metadata.annotations[{name}]"))))
    })
}

fn parse(value: &str) -> Option<Scheme> {
    match value.to_ascii_lowercase().as_str() {
        "http" | "kubernetes.io/ws" | "h1" => Some(Scheme::Http),
        "https" | "kubernetes.io/wss" | "h1-ssl" => Some(Scheme::Https),
        "grpc" | "h2c" | "kubernetes.io/h2c" => Some(Scheme::H2c),
        "grpcs" | "h2" | "h2-ssl" | "kubernetes.io/h2" => Some(Scheme::H2),
        _ => None,
    }
}
