use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::{EndpointSlice, Kind, ObjectRef, SLICE_CONTROLLER, Service, ServicePort, Transport};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-port-unnamed-multi",
    summary: "no port of the EndpointSlice has the name of the Service's port",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready"],
    since: "0.1.0",
    docs: r"
## What it means
A Service with several ports is joined with its endpoints by the ports' names. The EndpointSlice, written by hand or by a tool, has no port of that name, so for this port
there are no endpoints.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services, while the slice is full of addresses.

## How we know
The Service has more than one port, its slices hold addresses, and none of them has a TCP port with the name of the port that the route uses.

## How to fix
Write the Service port's name into `ports[].name` of the slice, exactly.

## Looks like
`eps-manual-no-conditions` is the same for a Service with one port; `svc-named-port-missing` comes from a name that the pods do not have.

## Limits
Slices that Kubernetes keeps itself are left to `svc-named-port-missing`.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(misfit) = misfit(case)?.filter(|m| m.service.ports.len() > 1) else { return Ok(None) };
    misfit.finding(case, &CAUSE)
}

/// A hand-made slice that holds addresses and has no port of the name that is looked for.
pub(in crate::causes) struct Misfit<'a> {
    /// The Service.
    pub service: &'a Service,
    /// The Service's port.
    pub port: &'a ServicePort,
    /// The slice.
    pub slice: &'a EndpointSlice,
}

/// Looks for one; nothing where any slice has the port.
pub(in crate::causes) fn misfit<'a>(case: &Case<'a>) -> Result<Option<Misfit<'a>>, Missing> {
    let (Some(service), Some(port)) = (case.service()?, case.service_port()?) else { return Ok(None) };
    let Some(slices) = known(&case.path.backend.slices, "the Service's EndpointSlices")? else { return Ok(None) };
    let has = |s: &EndpointSlice| s.ports.iter().any(|p| p.name == port.name && p.transport == Transport::Tcp);
    let by_hand = |s: &&std::sync::Arc<EndpointSlice>| s.managed_by.as_deref() != Some(SLICE_CONTROLLER) && !s.endpoints.is_empty();
    if port.transport != Transport::Tcp || slices.iter().any(|s| has(s)) {
        return Ok(None);
    }
    Ok(slices.iter().find(by_hand).map(|slice| Misfit { service, port, slice }))
}

impl Misfit<'_> {
    /// The finding of a cause that this shows.
    pub fn finding(&self, case: &Case<'_>, cause: &Cause) -> Judgement {
        let Some(reference) = case.service_ref() else { return Ok(None) };
        let slice = ObjectRef { kind: Kind::EndpointSlice, key: self.slice.meta.key() };
        let shown = |name: &Option<String>| name.as_ref().map_or_else(|| "no name".to_owned(), |n| format!("the name {n}"));
        let held: Vec<String> =
            self.slice.ports.iter().map(|p| format!("{} with {}", p.port.unwrap_or_default(), shown(&p.name))).collect();
        let held = if held.is_empty() { "no port".into() } else { format!("port {}", held.join(", port ")) };
        let wanted = shown(&self.port.name);
        let says = format!("{slice} has {held}; port {} of {reference} has {wanted}", self.port.port);
        let name = self.port.name.clone().unwrap_or_default();
        let patch = format!(r#"[{{"op":"add","path":"/ports/0/name","value":"{name}"}}]"#);
        Ok(cause
            .finding(
                Confidence::Proven,
                format!("{reference} has no endpoint for port {}: {slice} has {held}, and gateways look for {wanted}.", self.port.port),
            )
            .object(&slice, "ports[].name")
            .object(&reference, "spec.ports[].name")
            .states(says.clone())
            .proof(case.failing_line(), says)
            .fix("Give the slice's port the name of the Service's port.")
            .command(format!("kubectl -n {} patch endpointslice {} --type=json -p '{patch}'", slice.key.namespace, slice.key.name))
            .into())
    }
}
