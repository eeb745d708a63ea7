use crate::api::{Confidence, Hop, Severity};
use crate::causes::ports::{self, Fault};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-listens-one-family",
    summary: "the application listens on one IP family, and the gateway calls it on the other",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &["app-binds-loopback", "app-wrong-port", "eps-all-not-ready", "readiness-probe-misconfigured", "svc-targetport-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
The program opened its port for IPv4 alone, or for IPv6 alone, and the endpoint's address is of the other family. `0.0.0.0` is IPv4 alone; `[::]` takes both, unless the program or
its system sets IPV6_V6ONLY, as nginx does for `listen [::]:80`.

## What you see
502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache, at once. It begins when a cluster or a Service becomes dual-stack, or changes its first family.

## How we know
The endpoint's address refuses, and the same port of the same pod accepts at its address of the other family. Where the pod has no other address, a setting that names all
addresses of the other family, while no other port answers, makes it Likely.

## How to fix
Bind both families: `[::]` without IPV6_V6ONLY, or one listener for each.

## Looks like
`svc-ip-family-mismatch`: the gateway itself lacks the family. `app-binds-loopback` and `app-wrong-port`: the port refuses on both.

## Limits
Without a look into the pod, a firewall that rejects one family alone looks the same, and on a cluster of one family nothing but the setting can be seen.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refusal) = ports::refused(case)? else { return Ok(None) };
    let Some(to) = refusal.endpoints.first().and_then(|v| v.endpoint.socket()) else { return Ok(None) };
    let family = |v6: bool| if v6 { "IPv6" } else { "IPv4" };
    let (port, theirs, own) = (refusal.port, family(to.is_ipv6()), family(!to.is_ipv6()));
    let told = refusal.hints.family_at(port).filter(|(_, v6)| *v6 != to.is_ipv6()).map(|(text, _)| text.to_owned());
    let table = refusal.table.as_ref();
    let confidence = match (refusal.twin, &told) {
        _ if table.is_some() && refusal.fault() != Fault::Family => return Ok(None),
        _ if table.is_some() => Confidence::Proven,
        (Some(twin), _) if twin.signature().is_none() => Confidence::Proven,
        (Some(_), _) => Confidence::Likely,
        // A pod of the same template listens, so the setting is right.
        (None, Some(_)) if refusal.elsewhere.is_none() && !refusal.sibling_listens => Confidence::Likely,
        (None, _) => return Ok(None),
    };
    let how = told.as_ref().map_or_else(String::new, |text| format!(", being told {text}"));
    let message = format!(
        "Service {} sends to port {port} over {theirs}, where {} refuses; the application listens on {own} alone{how}.",
        case.service_name(),
        refusal.share(case)
    );
    let mut finding = CAUSE.finding(confidence, message).object(&refusal.pod.reference(), "spec.containers");
    for endpoint in refusal.endpoints.iter().take(3) {
        finding = finding.saw(endpoint.seen);
    }
    if let Some(text) = &told {
        finding = finding.states(format!("{} has {text}", refusal.pod.reference()));
    }
    let failing = refusal.first().map_or_else(|| case.failing_line(), ToString::to_string);
    let looks = format!("{}: {port:04X} in state 0A stands in the table of {own} alone", refusal.deciding_command());
    finding = match (refusal.twin, table.and_then(|table| Some((table, table.at.listener()?)))) {
        (twin, Some((table, listener))) => {
            let line = table.bound_line(listener);
            twin.into_iter().fold(finding, |f, twin| f.saw(twin)).looked(table.look, line.clone()).proof(failing, line)
        }
        (Some(twin), None) => finding.saw(twin).proof(failing, twin.to_string()).command(refusal.deciding_command()),
        (None, None) => finding.proof(failing, looks).command(refusal.deciding_command()),
    };
    finding = finding.fix("Let the application bind both IP families: [::] without IPV6_V6ONLY, or a listener for each.");
    if let Some(workload) = case.path.backend.workloads.first() {
        finding = finding.command(workload.reference().kubectl("edit"));
    }
    Ok(finding.into())
}
