use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, known};
use crate::path::Gateway;
use crate::probe::Signature;
use crate::snapshot::Coverage;
use crate::snapshot::objects::{Key, Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "etp-local-no-local-endpoint",
    summary: "clients are sent to a node that has no ready pod of the gateway, and the gateway's Service lets it pass nothing on",
    hop: Hop::Gateway,
    severity: Severity::Warning,
    when: When::Always,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway's Service has `externalTrafficPolicy: Local`, so a node passes what comes from outside to its own pods alone, and drops it where it has none. One of the addresses that clients are
told is that of such a node.

## What you see
Time-outs from outside, by the share of such nodes among the addresses, although everything works inside the cluster.

## How we know
The policy is Local. An address in the Service's `status.loadBalancer.ingress` or `spec.externalIPs`, or in the Ingress' status, is a node's, and no ready endpoint of the gateway's Service is on that node.

## How to fix
Run the gateway on each of these nodes (a DaemonSet), take their addresses away, or set `externalTrafficPolicy: Cluster`, which hides clients' addresses from the gateway.

## Looks like
A load balancer that asks the Service's `healthCheckNodePort` leaves such nodes out by itself; its own address is no node's, and nothing is said then. Without any ready endpoint at all
`gateway-pod-down` says why.

## Limits
It is never more than a warning, since nobody outside was asked. Node ports that clients are told by other means are in no object.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(gateway) = case.gateway()?.filter(|g| g.service.external_local && !g.service.meta.deleting) else { return Ok(None) };
    let slices = case.snapshot.slices_of(&gateway.service.meta.key());
    let slices = known(&slices, "the gateway's EndpointSlices")?.cloned().unwrap_or_default();
    let ready: Vec<_> = slices.iter().flat_map(|s| &s.endpoints).filter(|e| e.ready.unwrap_or(true)).collect();
    if ready.is_empty() {
        return Ok(None);
    }
    let told = told(case, gateway)?;
    if !told.is_empty() && *case.snapshot.coverage(Kind::Node) != Coverage::Complete {
        return Err(Missing::Fact("the nodes' addresses are not known".into()));
    }
    let nodes: BTreeMap<&str, IpAddr> = told.iter().filter_map(|ip| Some((case.snapshot.node_at(*ip)?.meta.name.as_str(), *ip))).collect();
    if let Some(endpoint) = ready.iter().find(|e| e.node.is_none()).filter(|_| !nodes.is_empty()) {
        return Err(Missing::Fact(format!("the node of the gateway's endpoint {} is not known", endpoint.addresses.join(", "))));
    }
    let have: BTreeSet<&str> = ready.iter().filter_map(|e| e.node.as_deref()).collect();
    let lack: BTreeMap<&str, IpAddr> = nodes.into_iter().filter(|(n, _)| !have.contains(n)).collect();
    if lack.is_empty() {
        return Ok(None);
    }
    let key = gateway.service.meta.key();
    let service = ObjectRef { kind: Kind::Service, key: key.clone() };
    let at = lack.iter().map(|(node, ip)| format!("{ip} ({node})")).collect::<Vec<_>>().join(", ");
    let on = have.iter().copied().collect::<Vec<_>>().join(", ");
    let message = format!(
        "Gateway {service} has externalTrafficPolicy: Local, and clients are sent to {at}, where no ready pod of it is; its pods are on {on}."
    );
    let mut finding = CAUSE.finding(Confidence::Likely, message).object(&service, "spec.externalTrafficPolicy");
    for node in lack.keys() {
        finding = finding.object(&ObjectRef::new(Kind::Node, "", node), "");
    }
    let local = format!("{service}: spec.externalTrafficPolicy: Local");
    let Key { namespace, name } = &key;
    let patch = r#"{"spec":{"externalTrafficPolicy":"Cluster"}}"#;
    Ok(finding
        .states(local.clone())
        .states(format!("its ready endpoints are on {on}"))
        .proof(format!("{local}, and clients are sent to {at}"), format!("its ready endpoints are on {on}"))
        .fix("Run the gateway on these nodes too, or let every node pass requests on; then the gateway no longer sees clients' addresses.")
        .command(format!("kubectl -n {namespace} patch service {name} --type=merge -p '{patch}'"))
        .into())
}

/// The addresses that clients are told.
fn told(case: &Case<'_>, gateway: &Gateway) -> Result<BTreeSet<IpAddr>, Missing> {
    let ingress = case.snapshot.ingress(&case.target().key);
    let of_ingress = known(&ingress, "the Ingress")?.map(|i| i.addresses.clone()).unwrap_or_default();
    let texts = gateway.service.addresses.iter().chain(&of_ingress);
    Ok(texts.filter_map(|a| a.parse().ok()).chain(gateway.service.external_ips.iter().copied()).collect())
}
