use crate::api::{Confidence, Hop, Severity};
use crate::causes::ports::{self, Fault, Refusal};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-wrong-port",
    summary: "the application listens on another port than its pod and its Service say",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &["eps-all-not-ready", "readiness-probe-misconfigured"],
    since: "0.1.0",
    docs: r"
## What it means
Service and pod spec agree on a port, and the program inside listens on another: a default of its framework, or a setting such as
`PORT` that was not changed with the spec. Declaring a port in a pod opens nothing.

## What you see
502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache, at once. Where a readiness probe asks the declared port, the pods
never become ready and there is no endpoint at all.

## How we know
The agreed port refuses, and the same request to another port of the same pod is answered: one that arguments or environment name, or
a common one; a common one may belong to something beside the application, so that it is Likely then. Where none answers it is no more than Likely,
and `app-binds-loopback` is named beside it. Where an agent reads the
listen table inside the pod, that shows which port is open instead, and proves it.

## How to fix
Tell the application the port, or write its real port into both the pod's template and the Service.

## Looks like
`svc-targetport-wrong`: the pod declares the port that answers, and only the Service is wrong. `app-binds-loopback`: the port is right,
but open on 127.0.0.1 only. `/proc/net/tcp` inside the pod shows which.

## Limits
Arguments are read as written; ports from configuration files and Secrets are not seen. Containers that run for less than ten
seconds are not judged, since they may still be starting. In a pod of several containers another one may own the port that answers.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refusal) = ports::refusal(case)? else { return Ok(None) };
    let told = refusal.told_elsewhere().map(str::to_owned);
    let confidence = match refusal.fault() {
        Fault::Service(_) | Fault::Address | Fault::Family | Fault::NotListening | Fault::Open => return Ok(None),
        Fault::Application(confidence) => confidence,
        // A pod of the same template listens on it, so the setting is right.
        Fault::Unclear if refusal.sibling_listens => return Ok(None),
        Fault::Unclear if told.is_none() && !refusal.ready => return Ok(None),
        Fault::Unclear if refusal.hints.loopback_at(refusal.port).is_some() => Confidence::Possible,
        Fault::Unclear => Confidence::Likely,
    };
    let found = refusal.elsewhere.as_ref().filter(|_| matches!(refusal.fault(), Fault::Application(_)));
    let (service, port) = (case.service_name(), refusal.port);
    let share = refusal.share(case);
    let message = match (&found, &told) {
        (Some(found), _) if refusal.all => {
            format!("The pods of Service {service} listen on port {}, but their spec and the Service say {port}.", found.port)
        }
        (Some(found), _) => format!("Service {service} and its pods say port {port}, but {share} listens on {}.", found.port),
        (None, Some(told)) => format!("Service {service} sends to port {port}, where {share} refuses; the application is told {told}."),
        (None, None) => {
            format!("Service {service} sends to port {port}, where {share} refuses; the application may listen on another port.")
        }
    };
    let mut finding = CAUSE.finding(confidence, message).object(&refusal.pod.reference(), "spec.containers");
    if let Some(service) = case.service_ref() {
        finding = finding.object(&service, "spec.ports");
    }
    for endpoint in refusal.endpoints.iter().take(3) {
        finding = finding.saw(endpoint.seen);
    }
    if let Some(told) = &told {
        finding = finding.states(format!("{} is told {told}", refusal.pod.reference()));
    }
    let failing = refusal.first().map_or_else(|| case.failing_line(), ToString::to_string);
    let open = refusal.table.map(|t| (t, t.closed_line(found.map(|f| f.port).or_else(|| t.users_ports(refusal.pod).first().copied()))));
    let finding = match (found, open) {
        (found, Some((table, line))) => {
            found.iter().fold(finding, |f, found| f.saw(found.seen)).looked(table.look, line.clone()).proof(failing, line)
        }
        (Some(found), None) => finding.saw(found.seen).proof(failing, found.seen.to_string()),
        (None, None) => finding.proof(failing, refusal.deciding_line()).command(refusal.deciding_command()),
    };
    Ok(fix(case, finding, &refusal, found.map(|f| f.port), told.as_deref()).into())
}

fn fix(
    case: &Case<'_>,
    finding: crate::causes::FindingBuilder,
    refusal: &Refusal<'_>,
    found: Option<u16>,
    told: Option<&str>,
) -> crate::causes::FindingBuilder {
    let port = refusal.port;
    let finding = finding.fix(match found {
        Some(found) if refusal.named => {
            format!("Let the application listen on {port}, or write {found} into the containerPort that the Service names.")
        }
        Some(found) => format!("Let the application listen on {port}, or write {found} into containerPort and targetPort."),
        None => format!("Let the application listen on {port} on every address."),
    });
    let variable = told.and_then(|t| t.split_once('=')).map(|(name, _)| name).filter(|n| !n.starts_with('-'));
    let Some(workload) = case.path.backend.workloads.first().map(|w| w.reference()) else { return finding };
    finding.command(match variable {
        Some(variable) => format!("kubectl -n {} set env {} {variable}={port}", workload.key.namespace, workload.argument()),
        None => workload.kubectl("edit"),
    })
}
