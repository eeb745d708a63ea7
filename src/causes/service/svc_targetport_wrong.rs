use crate::api::{Confidence, Hop, Severity};
use crate::causes::ports::{self, Fault, Grade, Refusal, Source};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::Service;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-targetport-wrong",
    summary: "the Service sends to a port that its pods do not listen on",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Service's `targetPort` is not a port that its pods listen on. A number there is taken as it is: Kubernetes does not compare it
with what the containers declare.

## What you see
502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache, at once. The pods are ready and their logs show no request.

## How we know
The endpoints refuse connections to the `targetPort`, and the same request to another port of a pod is answered. That port is one
that the pod declares, that the kubelet probes, or that is found among those that servers commonly use, and the refused one is not
declared. Where nothing else answers, the declared ports alone make it Likely. Where an agent reads the listen table inside the pod,
that decides: nobody listens on the `targetPort`, and somebody does on another port.

## How to fix
Write the listening port into `targetPort`, or the name of the container's port, which then follows the container.

## Looks like
`app-wrong-port`: Service and pod agree on a port, and the program listens on another. `app-binds-loopback`: the port is right, and
open to the pod itself only.

## Limits
A pod whose program is still starting refuses too; containers that run for less than ten seconds are not judged. Where only some
pods refuse, they may be those of another version or another application under the same labels.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refusal) = ports::refusal(case)? else { return Ok(None) };
    let (Fault::Service(confidence), true) = (refusal.fault(), refusal.ready) else { return Ok(None) };
    let Some(service) = case.service()? else { return Ok(None) };
    // Where other pods do listen on the port, it is right for them: only pods that answer elsewhere show otherwise.
    if !refusal.all && refusal.elsewhere.is_none() {
        return Ok(None);
    }
    let Some(service_ref) = case.service_ref() else { return Ok(None) };
    let index = case.service_port()?.and_then(|port| service.ports.iter().position(|p| p == port)).unwrap_or_default();
    let declared: Vec<String> = ports::declared(refusal.pod).map(|(port, _)| port.to_string()).collect();
    let confidence = if refusal.all { confidence } else { confidence.max(Confidence::Likely) };
    let mut finding = CAUSE
        .finding(confidence, message(case, &refusal, &declared))
        .object(&service_ref, &format!("spec.ports[{index}].targetPort"))
        .object(&refusal.pod.reference(), "spec.containers");
    for endpoint in refusal.endpoints.iter().take(3) {
        finding = finding.saw(endpoint.seen);
    }
    let states = if declared.is_empty() { "no port".to_owned() } else { format!("port {}", declared.join(", ")) };
    finding = finding.states(format!("{} declares {states}", refusal.pod.reference()));
    let failing = refusal.first().map_or_else(|| case.failing_line(), ToString::to_string);
    let line = refusal.table.map(|t| (t.look, t.closed_line(refusal.elsewhere.as_ref().map(|e| e.port))));
    if let Some((look, line)) = &line {
        finding = finding.looked(*look, line.clone());
    }
    let decides = |seen: &Observation| line.as_ref().map_or_else(|| seen.to_string(), |(_, line)| line.clone());
    Ok(match &refusal.elsewhere {
        Some(found) if !refusal.all => finding.saw(found.seen).proof(failing, decides(found.seen)).fix(
            "Give the container's port the same name in every version, and that name to targetPort: each pod then keeps its own number.",
        ),
        Some(found) => finding.saw(found.seen).proof(failing, decides(found.seen)).fix(format!(
            "Set targetPort to {}{}.",
            found.port,
            if found.source == Source::Declared { "" } else { ", and declare it in the pod's template" }
        )),
        None => finding
            .proof(failing, format!("{} declares {states}", refusal.pod.reference()))
            .fix("Set targetPort to the port that the application listens on; what it declares is the first to try."),
    }
    .command(patch(service, index, &refusal, &declared))
    .into())
}

fn message(case: &Case<'_>, refusal: &Refusal<'_>, declared: &[String]) -> String {
    let service = case.service_name();
    let port = refusal.port;
    match &refusal.elsewhere {
        Some(found) if refusal.all && found.grade > Grade::Accepts => {
            format!("Service {service} sends to port {port}, but its pods listen on {}.", found.port)
        }
        Some(found) if refusal.all => {
            format!("Service {service} sends to port {port}, which its pods refuse; they accept on {}.", found.port)
        }
        Some(found) => format!("Service {service} sends to port {port}, but {} listens on {}.", refusal.share(case), found.port),
        None => {
            format!(
                "Service {service} sends to port {port}, which {} refuses; its pods declare {}.",
                refusal.share(case),
                declared.join(", ")
            )
        }
    }
}

/// The patch that mends it, or the look at what to write where that is not known.
fn patch(service: &Service, index: usize, refusal: &Refusal<'_>, declared: &[String]) -> String {
    let (namespace, name) = (&service.meta.namespace, &service.meta.name);
    let port = match (&refusal.elsewhere, declared) {
        (Some(found), _) if refusal.all => found.port.to_string(),
        (None, [only]) => only.clone(),
        (_, _) => return format!("kubectl -n {namespace} edit service {name}"),
    };
    let operation = format!(r#"[{{"op":"replace","path":"/spec/ports/{index}/targetPort","value":{port}}}]"#);
    format!("kubectl -n {namespace} patch service {name} --type json -p '{operation}'")
}
