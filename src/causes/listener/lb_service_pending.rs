use jiff::SignedDuration;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When};
use crate::path::Gateway;
use crate::probe::Signature;
use crate::snapshot::objects::{Event, Kind, ObjectRef, ServiceType};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "lb-service-pending",
    summary: "the gateway's Service waits for a load balancer that does not come",
    hop: Hop::Gateway,
    severity: Severity::Warning,
    when: When::Always,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Service in front of the gateway is of type LoadBalancer, and nobody has given it an address: there is no controller for load
balancers, or it fails. Inside the cluster everything works; from outside nothing leads to the gateway.

## What you see
`EXTERNAL-IP <pending>`, an empty ADDRESS at every Ingress, DNS records that are never written, clients that find nobody.

## How we know
`status.loadBalancer.ingress` is empty, and either an Event of the Service says why no load balancer was made, or the Service has no other
way in: no node ports, no external address, no host port of a gateway pod, for five minutes since it was made.

## How to fix
Mend what the Event says (quota, subnets, an empty address pool), install a controller (a cloud's, MetalLB, kube-vip), or make the Service
one of type NodePort.

## Looks like
A test cluster without load balancers: the Service is pending for good, and its node ports are used on purpose; nothing is said then. A
gateway whose pods are down (`gateway-pod-down`) fails inside the cluster, too.

## Limits
It is never more than a warning, since nobody outside was asked. Events are kept for about an hour.
",
    check,
};

/// A load balancer may take so long to be made.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// Words of Events about a load balancer that was not made: the cloud controllers', MetalLB's and AWS' own.
const WORDS: &[&str] = &["loadbalancer", "load balancer", "allocationfailed", "failedbuildmodel", "faileddeploymodel", "ipam"];

fn check(case: &Case<'_>) -> Judgement {
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let service = &gateway.service;
    if service.service_type != ServiceType::LoadBalancer || !service.addresses.is_empty() || service.meta.deleting {
        return Ok(None);
    }
    let reference = ObjectRef { kind: Kind::Service, key: service.meta.key() };
    let about = |e: &Event| {
        let text = format!("{} {}", e.reason, e.message).to_ascii_lowercase();
        WORDS.iter().any(|w| text.contains(w))
    };
    let warnings = case.warnings(&reference, &service.meta.uid)?;
    if let Some(event) = warnings.iter().find(|e| about(e)) {
        let message = format!("Gateway Service {} gets no load balancer: its Event {} says why.", reference.key, event.reason);
        return Ok(begin(gateway, &reference, Confidence::Proven, message)
            .happened(format!("{}: {}", event.reason, event.message))
            .proof(
                format!("Service {} has no address in status.loadBalancer.ingress", reference.key),
                format!("Event {} of the Service", event.reason),
            )
            .into());
    }
    if has_another_way(gateway) {
        return Ok(None);
    }
    let age = case.now().zip(service.meta.created).map(|(now, created)| now.duration_since(created));
    if age.is_none_or(|age| age < PATIENCE) {
        return Err(Missing::Fact("how long the Service waits for its load balancer is not known, or not long yet".into()));
    }
    let way = "it has no node port, no external address, and its pods no host port";
    let message = format!("Gateway Service {} has no load balancer, and there is no other way in from outside.", reference.key);
    Ok(begin(gateway, &reference, Confidence::Likely, message)
        .states(way)
        .proof(format!("Service {} has no address in status.loadBalancer.ingress", reference.key), way)
        .into())
}

fn begin(gateway: &Gateway, service: &ObjectRef, confidence: Confidence, message: String) -> FindingBuilder {
    let class = gateway.service.load_balancer_class.as_deref();
    let wanted = class.map_or_else(|| "no loadBalancerClass".to_owned(), |c| format!("loadBalancerClass {c}"));
    CAUSE
        .finding(confidence, message)
        .object(service, "status.loadBalancer.ingress")
        .states(format!("Service {} is of type LoadBalancer with {wanted} and has no address", service.key))
        .fix("Mend or install what makes load balancers, or make the Service one of type NodePort.")
        .command(format!("kubectl -n {} describe service {}", service.key.namespace, service.key.name))
}

/// Whether clients can come in without the load balancer.
fn has_another_way(gateway: &Gateway) -> bool {
    let service = &gateway.service;
    let host_port = |p: &std::sync::Arc<crate::snapshot::objects::Pod>| {
        p.host_network || p.containers.iter().flat_map(|c| &c.ports).any(|port| port.host_port.is_some())
    };
    service.ports.iter().any(|p| p.node_port.is_some()) || !service.external_ips.is_empty() || gateway.pods.iter().any(host_port)
}
