use std::net::IpAddr;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-ip-family-mismatch",
    summary: "the endpoints have addresses of an IP family that the gateway does not have",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NetUnreach, Signature::NoEndpoint, Signature::Refused, Signature::HostUnreach],
    explains: &["eps-manual-stale", "node-firewall-blocks", "app-binds-loopback"],
    since: "0.1.0",
    docs: r"
## What it means
Every ready endpoint has an IPv6 address and the gateway's pods have IPv4 alone, or the other way round. There is no way from one to the other.

## What you see
502 or 503 at once: `Network is unreachable` in the gateway's log.

## How we know
The families of the endpoints' addresses and of the gateway pods' addresses have nothing in common, and requests fail.

## How to fix
Let the Service have both families (`ipFamilyPolicy: PreferDualStack`) on pods that have both, or give the gateway the other family.

## Looks like
`app-listens-one-family` has an address of the right family where nobody listens.

## Limits
Which families the cluster's network has is not known; the pods' addresses are what is compared.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let ours: Vec<IpAddr> = gateway.pods.iter().flat_map(|p| p.ips.iter().copied()).collect();
    let endpoints = case.ready_endpoints()?;
    let reachable = |ip: &IpAddr| ours.iter().any(|our| our.is_ipv6() == ip.is_ipv6());
    if ours.is_empty() || endpoints.is_empty() || endpoints.iter().any(|e| reachable(&e.address)) {
        return Ok(None);
    }
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let family = |v6: bool| if v6 { "IPv6" } else { "IPv4" };
    let (theirs, own) = (family(endpoints[0].address.is_ipv6()), family(ours[0].is_ipv6()));
    let says = format!("the endpoints of {reference} have {theirs} addresses alone, the gateway's pods {own} alone");
    Ok(CAUSE
        .finding(Confidence::Proven, format!("The endpoints of {reference} have {theirs} addresses, and the gateway has {own} alone."))
        .object(&reference, "spec.ipFamilies")
        .states(says.clone())
        .proof(case.failing_line(), says)
        .fix("Let Service and gateway have a family in common.")
        .command(format!(
            "kubectl -n {} patch service {} -p '{{\"spec\":{{\"ipFamilyPolicy\":\"PreferDualStack\"}}}}'",
            reference.key.namespace, reference.key.name
        ))
        .into())
}
