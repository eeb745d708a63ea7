use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, Missing, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Kind, ObjectRef, SLICE_CONTROLLER};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "eps-orphan-slice",
    summary: "a left-over EndpointSlice mixes dead addresses among the Service's own",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach, Signature::Refused],
    explains: &["eps-manual-stale", "node-firewall-blocks"],
    since: "0.1.0",
    docs: r"
## What it means
Kubernetes keeps the Service's endpoints by its selector, and beside them stands another EndpointSlice with the Service's name in its label, which nobody keeps. Gateways take both.

## What you see
A constant share of requests fails or times out, whatever happens to the pods.

## How we know
The Service has a selector and slices that Kubernetes keeps; the addresses that fail are all from a slice that it does not keep, and belong to no pod.

## How to fix
Delete the left-over slice.

## Looks like
`eps-manual-stale` has no slices but those made by hand.

## Limits
Who made the slice is not known beyond its label `endpointslice.kubernetes.io/managed-by`.
",
    check,
};

const DEAD: &[Signature] = &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach, Signature::Refused];

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = case.service()? else { return Ok(None) };
    let Some(slices) = case.path.backend.slices.known() else { return case.ready_endpoints().map(|_| None) };
    let kept = |key: &crate::snapshot::objects::Key| {
        slices.iter().any(|s| s.meta.key() == *key && s.managed_by.as_deref() == Some(SLICE_CONTROLLER))
    };
    let all_kept = slices.iter().all(|s| kept(&s.meta.key()));
    if service.selector.is_none() || all_kept || !slices.iter().any(|s| kept(&s.meta.key())) {
        return Ok(None);
    }
    let dead = case.walked_with(DEAD)?;
    let orphaned: Vec<&EndpointView<'_>> = dead.iter().filter(|v| !kept(&v.endpoint.slice)).collect();
    for view in &orphaned {
        if let Some(why) = view.endpoint.pod.why_unknown() {
            return Err(Missing::Fact(format!("whose address {} is: {why}", view.endpoint.address)));
        }
    }
    let Some(first) = orphaned.iter().find(|v| v.endpoint.pod.is_absent()) else { return Ok(None) };
    let slice = ObjectRef { kind: Kind::EndpointSlice, key: first.endpoint.slice.clone() };
    let working = case.walked()?.into_iter().find(|v| v.seen.response().is_some());
    let says = format!("{slice} is not managed by {SLICE_CONTROLLER}, and {} belongs to no pod", first.endpoint.address);
    Ok(CAUSE
        .finding(
            Confidence::Proven,
            format!(
                "{slice} is left over: it adds {} to Service {}, where nobody is ({}).",
                first.endpoint.address,
                case.service_name(),
                case.share(orphaned.len())
            ),
        )
        .object(&slice, "endpoints[].addresses")
        .saw(first.seen)
        .states(says.clone())
        .proof(first.seen.to_string(), working.map_or(says, |v| v.seen.to_string()))
        .fix("Delete the left-over slice.")
        .command(format!("kubectl -n {} delete endpointslice {}", slice.key.namespace, slice.key.name))
        .into())
}
