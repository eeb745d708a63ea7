use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::SLICE_CONTROLLER;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "eps-manual-stale",
    summary: "a hand-made EndpointSlice points at an address where nobody is",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach, Signature::Refused],
    explains: &["node-firewall-blocks"],
    since: "0.1.0",
    docs: r"
## What it means
The Service's endpoints are written by hand or by a tool, and the address in them is not, or no longer, where the application runs.

## What you see
502 or 504: no answer, no route to host, or connection refused, always for that address.

## How we know
The slice is not managed by the slice controller, its address belongs to no pod and no node, and a connection to it fails.

## How to fix
Write the address that serves now into the slice, or give the Service a selector and let Kubernetes keep its endpoints.

## Looks like
`node-firewall-blocks` and `netpol-ingress-deny` fail in the same way, but at the address of a live pod.

## Limits
Addresses outside the cluster cannot be looked up; that such a one fails to answer is what is known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    const DEAD: &[Signature] = &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach, Signature::Refused];
    let Some(slices) = case.path.backend.slices.known() else { return case.ready_endpoints().map(|_| None) };
    let by_hand = |key: &crate::snapshot::objects::Key| {
        slices.iter().any(|s| s.meta.key() == *key && s.managed_by.as_deref() != Some(SLICE_CONTROLLER))
    };
    if !case.path.backend.ready_endpoints().any(|e| by_hand(&e.slice) && e.pod.known().is_none()) {
        return Ok(None);
    }
    let dead = case.walked_with(DEAD)?;
    let mut stale = dead.iter().filter(|v| by_hand(&v.endpoint.slice)).collect::<Vec<_>>();
    for view in &stale {
        if let Some(why) = view.endpoint.pod.why_unknown() {
            return Err(crate::causes::Missing::Fact(format!("whose address {} is: {why}", view.endpoint.address)));
        }
    }
    stale.retain(|v| v.endpoint.pod.is_absent() && !case.snapshot.nodes().any(|n| n.addresses.contains(&v.endpoint.address)));
    let Some(first) = stale.first() else { return Ok(None) };
    let slice =
        crate::snapshot::objects::ObjectRef { kind: crate::snapshot::objects::Kind::EndpointSlice, key: first.endpoint.slice.clone() };
    let owned = format!("{} belongs to no pod and no node", first.endpoint.address);
    let message = format!(
        "{slice}, made by hand, sends {} to {}, where nobody is: {}.",
        case.path.route.title(),
        first.endpoint.address,
        first.seen.outcome_text()
    );
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&slice, "endpoints[].addresses")
        .saw(first.seen)
        .states(format!("{slice} is not managed by {SLICE_CONTROLLER}"))
        .states(&owned)
        .proof(first.seen.to_string(), owned.clone())
        .fix("Write the address that serves now into the slice, or give the Service a selector.")
        .command(format!("kubectl -n {} edit endpointslice {}", slice.key.namespace, slice.key.name))
        .into())
}
