use crate::api::{Confidence, Hop, Severity};
use crate::causes::ports::{self, Fault};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Pod, ProbeAction};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-binds-loopback",
    summary: "the application listens on 127.0.0.1 only",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &["eps-all-not-ready", "readiness-probe-misconfigured"],
    since: "0.1.0",
    docs: r"
## What it means
The program opened its port on a loopback address. Inside the pod it answers; at the pod's address, where gateways call, nobody listens.

## What you see
502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache, at once. `kubectl exec` with curl and `kubectl port-forward` both
work, because they enter the pod and ask its loopback; probes of kind exec pass for the same reason.

## How we know
Every running pod refuses the port that spec and Service agree on, and no other port of it answers. Arguments or environment that bind
`127.0.0.1`, `localhost` or `::1` strengthen it. The list of listening sockets inside the pod decides: where an agent reads it, the
finding is proven by it, or not made at all; else the finding has the command that shows it.

## How to fix
Bind every address: `--host 0.0.0.0`, `HOST=0.0.0.0`, `server.address=0.0.0.0`, or `[::]` for both families.

## Looks like
`app-wrong-port` and `svc-targetport-wrong`: another port answers. A firewall that rejects gives the same refusal; `/proc/net/tcp` inside
the pod then shows the port as open on every address.

## Limits
Without a look into the pod it is never more than Likely. Images without `cat` need `kubectl debug` for that look. Without it,
containers that run for less than ten seconds are not judged, since they may still be starting. A port that is open on another single
address than the pod's is named as well, by that address.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refusal) = ports::refusal(case)? else { return Ok(None) };
    let port = refusal.port;
    let bound = refusal.hints.loopback_at(port).map(str::to_owned);
    let confidence = match (refusal.fault(), &bound) {
        (Fault::Unclear, Some(_)) => Confidence::Likely,
        // Another pod of the same template listens, so the setting is right; and a pod that is not ready may still be starting.
        (Fault::Unclear, None) if refusal.sibling_listens || !refusal.ready => return Ok(None),
        (Fault::Unclear, None) if refusal.hints.everywhere_at(port).is_some() || refusal.told_elsewhere().is_some() => Confidence::Possible,
        (Fault::Unclear, None) => Confidence::Likely,
        // Only the Service was found wrong, and the program is told to keep to loopback on that very port.
        (Fault::Service(Confidence::Likely), Some(_)) if refusal.elsewhere.is_none() => Confidence::Likely,
        (Fault::Address, _) => Confidence::Proven,
        (Fault::Service(_) | Fault::Application(_) | Fault::Family | Fault::NotListening | Fault::Open, _) => return Ok(None),
    };
    let share = refusal.share(case);
    let service = case.service_name();
    let table = refusal.table.as_ref().and_then(|table| Some((table, table.at.listener()?)));
    let why = match (&bound, &table) {
        (Some(text), _) => format!("is told to listen on loopback only ({text})"),
        (None, Some((_, listener))) => format!("listens on {} only", listener.address),
        (None, None) => "seems to listen on 127.0.0.1 only".to_owned(),
    };
    let mut finding = CAUSE
        .finding(confidence, format!("Service {service} sends to port {port}, where {share} refuses; the application {why}."))
        .object(&refusal.pod.reference(), "spec.containers");
    for endpoint in refusal.endpoints.iter().take(3) {
        finding = finding.saw(endpoint.seen);
    }
    if let Some(text) = &bound {
        finding = finding.states(format!("{} has {text}", refusal.pod.reference()));
    }
    if exec_passes(refusal.pod) {
        finding = finding.states(format!("{} passes a probe of kind exec, which asks from inside", refusal.pod.reference()));
    }
    let failing = refusal.first().map_or_else(|| case.failing_line(), ToString::to_string);
    finding = match table {
        Some((table, listener)) => finding.looked(table.look, table.bound_line(listener)).proof(failing, table.bound_line(listener)),
        None => finding.proof(failing, refusal.deciding_line()).command(refusal.deciding_command()),
    };
    finding = finding.fix("Let the application bind every address: 0.0.0.0, or [::] for both IP families.");
    let variable = bound.as_ref().and_then(|t| t.split_once('=')).filter(|(name, _)| !name.starts_with('-'));
    if let Some(workload) = case.path.backend.workloads.first().map(|w| w.reference()) {
        finding = finding.command(match variable {
            Some((variable, value)) if !value.contains(':') => {
                format!("kubectl -n {} set env {} {variable}=0.0.0.0", workload.key.namespace, workload.argument())
            }
            _ => workload.kubectl("edit"),
        });
    }
    Ok(finding.into())
}

fn exec_passes(pod: &Pod) -> bool {
    pod.containers.iter().any(|c| c.ready && c.readiness.as_ref().is_some_and(|p| p.action == ProbeAction::Exec))
}
