use crate::api::{Confidence, Hop, Severity};
use crate::causes::app::silence;
use crate::causes::{Case, Cause, Judgement, When, ports};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "accept-without-service",
    summary: "the kernel accepts connections for a process that is stopped or stuck",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    signatures: &[Signature::ReadTimeout],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The listening socket is open, so the kernel completes connections on its own. The process that should take them is stopped (SIGSTOP, a paused container), or stuck (a deadlock, a
long collection of garbage), and takes none.

## What you see
Connections succeed, and no byte ever comes. Probes of kind `tcpSocket` stay green, since the kernel answers them.

## How we know
The pod accepts and stays silent on the route's path, on another one, and in a TLS handshake, and no probe of its own asks for an answer. Where pods of the same template answer the
same request it is Likely; else it looks like `app-never-answers`, and is Possible beside it.

## How to fix
Continue or restart the process, and give the pod a liveness probe that asks for an answer.

## Looks like
`app-never-answers`: the process reads the request and waits for something. The queue of the listening socket tells them apart: here it grows with each connection. The finding has
the command. `listen-backlog-full` is what this becomes once the queue is full.

## Limits
The queue and the state of the process are not seen from outside.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(silence) = silence::of(case)? else { return Ok(None) };
    let Some(pod) = silence.first.endpoint.pod.known() else { return Ok(None) };
    // What answers its kubelet is not stopped.
    if pod.is_ready() && ports::answers_kubelet(pod, silence.to.port()) {
        return Ok(None);
    }
    let walked = case.walked()?;
    let sibling =
        walked.iter().find(|v| v.seen.response().is_some() && v.endpoint.pod.known().is_some_and(|p| ports::same_template(p, pod)));
    let confidence = if sibling.is_some() { Confidence::Likely } else { Confidence::Possible };
    let (port, share) = (silence.to.port(), case.share(silence.silent));
    let what = if sibling.is_some() { "seems to be stopped or stuck: others of its kind answer" } else { "may be stopped or stuck" };
    let message = format!("{} accepts on port {port} and never answers ({share}); its process {what}.", pod.reference());
    let inside = format!("kubectl -n {} exec {}", pod.meta.namespace, pod.meta.name);
    let look = format!("{inside} -- cat /proc/net/tcp /proc/net/tcp6");
    let mut finding = CAUSE.finding(confidence, message).object(&pod.reference(), "spec.containers").saw(silence.first.seen);
    for other in silence.others {
        finding = finding.saw(other);
    }
    let passing = match sibling {
        Some(sibling) => {
            finding = finding.saw(sibling.seen);
            sibling.seen.to_string()
        }
        None => {
            format!("{look}: {port:04X} in state 0A with a queue (the second number of tx:rx) that grows is a process that accepts nothing")
        }
    };
    Ok(finding
        .proof(silence.first.seen.to_string(), passing)
        .fix("Continue or restart the process; a liveness probe that asks for an answer would have done it.")
        .command(look)
        .command(format!("{inside} -- grep State /proc/1/status   # T is stopped, D waits in the kernel"))
        .command(format!("kubectl -n {} delete pod {}", pod.meta.namespace, pod.meta.name))
        .into())
}
