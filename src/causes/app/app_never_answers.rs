use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

use super::silence::{self, Taken};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-never-answers",
    summary: "the application accepts requests and never answers",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::ReadTimeout],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The application's port accepts the request, and no byte comes back, whatever is asked.

## What you see
504 on nginx, HAProxy and Envoy, 502 on Apache; Traefik and Caddy wait until the client gives up.

## How we know
The pod itself, asked directly, stays silent on the route's path and on another one, in plain text and in a TLS handshake. Where an agent looks into the pod, the queue of the
listening socket is empty: the process took the connections.

## How to fix
Look at what it waits for: a thread dump, a dependency, a lock. A liveness probe would have restarted it.

## Looks like
`backend-tls-on-gateway-plain-pod` is silent only in TLS; a slow application answers some paths, or later; a paused process accepts by its kernel alone (`accept-without-service`).

## Limits
Whether the process or only its kernel accepts is not seen from outside; without a look into the pod the finding is Likely for that.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(silence) = silence::of(case)? else { return Ok(None) };
    let first = silence.first;
    let confidence = match silence.queue.map(|q| q.taken) {
        Some(Taken::ByKernel) => return Ok(None),
        Some(Taken::ByProcess) => Confidence::Proven,
        Some(Taken::Unclear) | None => Confidence::Likely,
    };
    let message = format!(
        "The {} accept requests on port {} and never answer ({}).",
        case.members_name(),
        silence.to.port(),
        case.share(silence.silent)
    );
    let mut finding = CAUSE.finding(confidence, message).saw(first.seen).proof(case.failing_line(), first.seen.to_string());
    for other in silence.others {
        finding = finding.saw(other);
    }
    if let Some(queue) = silence.queue.filter(|q| q.taken == Taken::ByProcess) {
        let line = queue.look.line(format_args!("the process takes connections to port {}: none waits in the queue", silence.to.port()));
        finding = finding.looked(queue.look, line.clone()).proof(first.seen.to_string(), line);
    }
    if let Some(behind) = first.behind() {
        finding = finding.read_log_of(&first).command(behind.exec("cat /proc/1/wchan /proc/net/tcp"));
    }
    let watch = if case.path.container.is_some() { "health check would show it" } else { "liveness probe would restart it" };
    Ok(finding.fix(format!("Find what the application waits for; a {watch}.")).into())
}
