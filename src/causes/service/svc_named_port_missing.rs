use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{PortRef, Transport};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-named-port-missing",
    summary: "the Service's targetPort is a name that no container port has",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready"],
    since: "0.1.0",
    docs: r"
## What it means
The Service sends to a port by name, and no container of its pods declares a port of that name, so its endpoints have no port at all.

## What you see
503 on most gateways, 404 on Traefik, although the pods are ready.

## How we know
`targetPort` is a name, pods exist under the selector, and none of their containers declares it.

## How to fix
Write the declared name or the number into the Service, or name the container's port.

## Looks like
`eps-all-not-ready` has endpoints with a port that are not ready; `route-backend-port-missing` is the same slip one step earlier.

## Limits
None known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let (Some(service), Some(port)) = (case.service()?, case.service_port()?) else { return Ok(None) };
    let PortRef::Name(name) = &port.target else { return Ok(None) };
    let pods = case.pods()?;
    let declared = || pods.iter().flat_map(|p| &p.containers).flat_map(|c| &c.ports).filter(|p| p.transport == Transport::Tcp);
    let Some(first) = pods.first() else { return Ok(None) };
    if declared().any(|p| p.name.as_ref() == Some(name)) {
        return Ok(None);
    }
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let index = service.ports.iter().position(|p| p == port).unwrap_or_default();
    let mut names: Vec<String> =
        declared().map(|p| p.name.as_ref().map_or_else(|| p.port.to_string(), |n| format!("{n} ({})", p.port))).collect();
    names.sort();
    names.dedup();
    let has = if names.is_empty() { "declare no port".to_owned() } else { format!("declare {}", names.join(", ")) };
    let numbers: std::collections::BTreeSet<u16> = declared().map(|p| p.port).collect();
    let patch = |value: String| {
        let json = format!(r#"[{{"op":"replace","path":"/spec/ports/{index}/targetPort","value":{value}}}]"#);
        format!("kubectl -n {} patch service {} --type=json -p '{json}'", service.meta.namespace, service.meta.name)
    };
    let mut finding = CAUSE
        .finding(Confidence::Proven, format!("{reference} sends to the port named {name}, but its pods {has}."))
        .object(&reference, &format!("spec.ports[{index}].targetPort"))
        .object(&first.reference(), "spec.containers[].ports")
        .states(format!("{} and the pods beside it {has}", first.reference()))
        .proof(case.failing_line(), format!("the pods {has}, not {name}"))
        .fix("Write a declared port into the Service, or name the container's port.");
    if let Some(number) = numbers.first().filter(|_| numbers.len() == 1) {
        finding = finding.command(patch(number.to_string()));
    }
    Ok(finding.command(format!("kubectl -n {} edit service {}", service.meta.namespace, service.meta.name)).into())
}
