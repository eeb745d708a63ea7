//! What a gateway dials for a Service: its endpoints, or the Service's own address, which the nodes translate.
//!
//! Sources: Traefik, Kubernetes Ingress provider (Service annotation `service.nativelb`, option `nativeLBByDefault`); ingress-nginx user guide
//! (`service-upstream`); NGINX Ingress Controller (`nginx.org/use-cluster-ip`); HAProxy Ingress (`service-upstream`); Caddy's Ingress controller
//! writes Service names. Other controllers, and these by default, dial endpoints. What a gateway without a controller dials stands in its own
//! configuration.

use super::{Gateway, Implementation};
use crate::snapshot::objects::{Ingress, IngressClass, Kind, Meta, ObjectRef, Service, ServiceType};

/// What is dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dials {
    /// The addresses in the EndpointSlices, or what an ExternalName stands for.
    #[default]
    Endpoints,
    /// The Service's address, with the object and field that make the gateway do so, where it is not its habit.
    ServiceAddress(Option<(ObjectRef, String)>),
    /// What its own configuration says: addresses, or the Service's name, which it looks up.
    Unknown,
}

/// What a gateway dials for a Service. Somebody who calls the Service itself dials its address.
pub fn of(gateway: Option<&Gateway>, class: Option<&IngressClass>, ingress: Option<&Ingress>, service: Option<&Service>) -> Dials {
    let Some(service) = service.filter(|s| !s.headless && !s.cluster_ips.is_empty() && s.service_type != ServiceType::ExternalName) else {
        return Dials::Endpoints;
    };
    let Some(ingress) = ingress else { return Dials::ServiceAddress(None) };
    let Some(gateway) = gateway else { return Dials::Endpoints };
    if gateway.implementation == Implementation::Traefik {
        return traefik(gateway, service);
    }
    let is_controller = |c: &IngressClass| CONTROLLERS.iter().any(|known| c.controller.starts_with(known));
    if !class.is_some_and(is_controller) {
        return Dials::Unknown;
    }
    let on_ingress = |name: &str| annotated(Kind::Ingress, &ingress.meta, name);
    let named = match gateway.implementation {
        Implementation::Nginx => {
            on_ingress("nginx.ingress.kubernetes.io/service-upstream").or_else(|| on_ingress("nginx.org/use-cluster-ip"))
        }
        Implementation::Haproxy => {
            let name = "haproxy-ingress.github.io/service-upstream";
            annotated(Kind::Service, &service.meta, name).or_else(|| on_ingress(name))
        }
        Implementation::Caddy => return Dials::ServiceAddress(None),
        Implementation::Traefik | Implementation::Envoy | Implementation::Apache | Implementation::Other => None,
    };
    named.map_or(Dials::Endpoints, |(from, yes)| if yes { Dials::ServiceAddress(Some(from)) } else { Dials::Endpoints })
}

/// Beginnings of the names of controllers that program a gateway from Services and EndpointSlices.
const CONTROLLERS: &[&str] =
    &["caddy.io/", "haproxy-ingress.github.io/", "haproxy.org/", "istio.io/", "k8s.io/ingress-nginx", "nginx.org/", "projectcontour.io/"];

fn traefik(gateway: &Gateway, service: &Service) -> Dials {
    const BY_DEFAULT: &str = "--providers.kubernetesingress.nativelbbydefault";
    if let Some((from, yes)) = annotated(Kind::Service, &service.meta, "traefik.ingress.kubernetes.io/service.nativelb") {
        return if yes { Dials::ServiceAddress(Some(from)) } else { Dials::Endpoints };
    }
    let told = |arg: &String| {
        let arg = arg.to_ascii_lowercase();
        arg == BY_DEFAULT || arg.strip_prefix(BY_DEFAULT) == Some("=true")
    };
    let pod = gateway.pods.iter().find(|p| p.containers.iter().flat_map(|c| &c.args).any(told));
    pod.map_or(Dials::Endpoints, |p| Dials::ServiceAddress(Some((p.reference(), "spec.containers[].args".into()))))
}

/// Whether an annotation says yes or no, and where it stands.
fn annotated(kind: Kind, meta: &Meta, name: &str) -> Option<((ObjectRef, String), bool)> {
    let value = meta.annotations.get(name)?;
    Some(((ObjectRef { kind, key: meta.key() }, format!("metadata.annotations[{name}]")), value.eq_ignore_ascii_case("true")))
}
