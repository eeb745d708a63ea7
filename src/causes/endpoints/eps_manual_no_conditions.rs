use crate::api::{Confidence, Hop, Severity};
use crate::causes::service::misfit;
use crate::causes::{Case, Cause, Judgement, Platform, When, known};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::{Kind, ObjectRef, SLICE_CONTROLLER};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "eps-manual-no-conditions",
    summary: "a hand-made EndpointSlice leaves out the port's name or the conditions that the gateway asks for",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The slice has addresses, but not all that gateways go by: the name of its port, which has to equal the Service port's, or `conditions.ready`, which some take for false where it is
missing.

## What you see
503 or 404 from the gateway, as if there were no endpoints, while another gateway or the Service's own address works.

## How we know
The Service has one port, with a name that no port of the slice has. Or the slice states no conditions, its endpoint answers, and the gateway says that it has nobody to call.

## How to fix
Write `ports[].name` as in the Service, and `conditions: {ready: true}`.

## Looks like
`svc-port-unnamed-multi` is the same for a Service with several ports; `eps-manual-stale` has an address that does not answer.

## Limits
Which gateways ask for the conditions depends on their version; where only the conditions are missing the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if let Some(misfit) = misfit(case)? {
        return if misfit.service.ports.len() == 1 { misfit.finding(case, &CAUSE) } else { Ok(None) };
    }
    let Some(slices) = known(&case.path.backend.slices, "the Service's EndpointSlices")? else { return Ok(None) };
    let bare = slices.iter().find(|s| {
        s.managed_by.as_deref() != Some(SLICE_CONTROLLER) && !s.endpoints.is_empty() && s.endpoints.iter().all(|e| e.ready.is_none())
    });
    let Some(bare) = bare else { return Ok(None) };
    let nobody = |o: &&&Observation| o.response().is_some_and(|r| matches!(r.status, 404 | 500 | 502 | 503));
    let Some(failure) = case.failures.iter().find(nobody) else { return Ok(None) };
    let walked = case.walked()?;
    let answers =
        walked.iter().find(|v| v.seen.response().is_some_and(|r| r.status < 500 && Some(r.status) != failure.response().map(|f| f.status)));
    let Some(answers) = answers.filter(|_| walked.iter().all(|v| v.seen.response().is_some())) else { return Ok(None) };
    let slice = ObjectRef { kind: Kind::EndpointSlice, key: bare.meta.key() };
    Ok(CAUSE
        .finding(Confidence::Likely, format!("{slice} states no conditions, and the gateway takes its endpoints as not ready."))
        .object(&slice, "endpoints[].conditions")
        .saw(failure)
        .saw(answers.seen)
        .states(format!("{slice} has endpoints without conditions.ready"))
        .proof(failure.to_string(), answers.seen.to_string())
        .fix("Write conditions: {ready: true} for each endpoint.")
        .command(format!("kubectl -n {} edit endpointslice {}", slice.key.namespace, slice.key.name))
        .into())
}
