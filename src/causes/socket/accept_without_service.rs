use crate::api::{Confidence, Hop, Severity};
use crate::causes::app::silence::{self, Taken};
use crate::causes::{Behind, Case, Cause, Judgement, Platform, When, ports};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "accept-without-service",
    summary: "the kernel accepts connections for a process that is stopped or stuck",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
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
same request it is Likely; else it looks like `app-never-answers`, and is Possible beside it. Where an agent looks into the pod, the queue of the listening socket decides: the
connections that were just opened all still wait in it.

## How to fix
Continue or restart the process, and give the pod a liveness probe that asks for an answer.

## Looks like
`app-never-answers`: the process reads the request and waits for something. The queue of the listening socket tells them apart: here it grows with each connection. The finding has
the command. `listen-backlog-full` is what this becomes once the queue is full.

## Limits
From outside the queue and the state of the process are not seen. A process that takes connections far more slowly than they come looks the same.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(silence) = silence::of(case)? else { return Ok(None) };
    let Some(behind) = silence.first.behind() else { return Ok(None) };
    if is_known_to_answer(behind, silence.to.port(), silence.queue.is_some()) {
        return Ok(None);
    }
    let walked = case.walked()?;
    let sibling = walked.iter().find(|v| v.seen.response().is_some() && v.behind().is_some_and(|other| other.is_alike(behind)));
    let confidence = match (silence.queue.map(|q| q.taken), sibling) {
        (Some(Taken::ByProcess), _) => return Ok(None),
        (Some(Taken::ByKernel), _) => Confidence::Proven,
        (Some(Taken::Unclear) | None, Some(_)) => Confidence::Likely,
        (Some(Taken::Unclear) | None, None) => Confidence::Possible,
    };
    let (port, share) = (silence.to.port(), case.share(silence.silent));
    let queue = silence.queue.filter(|q| q.taken == Taken::ByKernel);
    let stopped = queue.is_some_and(|q| q.look.inside.processes.is_some_and(|p| p.count > 0 && p.stopped == p.count));
    let what = match (&queue, sibling) {
        (Some(_), _) if stopped => "is stopped",
        (Some(_), _) => "is stuck: connections wait, and it takes none",
        (None, Some(_)) => "seems to be stopped or stuck: others of its kind answer",
        (None, None) => "may be stopped or stuck",
    };
    let message = format!("{} accepts on port {port} and never answers ({share}); its process {what}.", behind.reference());
    let look = behind.exec("cat /proc/net/tcp /proc/net/tcp6");
    let mut finding =
        CAUSE.finding(confidence, message).object(&behind.reference(), behind.field("spec.containers")).saw(silence.first.seen);
    for other in silence.others {
        finding = finding.saw(other);
    }
    let passing = match (queue, sibling) {
        (Some(queue), _) => {
            let states = if stopped { "; all its processes are stopped" } else { "" };
            let line = queue.look.line(format_args!("the process takes no connection to port {port}: they wait in the queue{states}"));
            finding = finding.looked(queue.look, line.clone());
            line
        }
        (None, Some(sibling)) => {
            finding = finding.saw(sibling.seen);
            sibling.seen.to_string()
        }
        (None, None) => {
            format!("{look}: {port:04X} in state 0A with a queue (the second number of tx:rx) that grows is a process that accepts nothing")
        }
    };
    Ok(finding
        .proof(silence.first.seen.to_string(), passing)
        .fix(match behind {
            Behind::Pod(_) => "Continue or restart the process; a liveness probe that asks for an answer would have done it.",
            Behind::Container(_) => "Continue or restart the process; a health check that asks for an answer would have shown it.",
        })
        .command(look)
        .command(behind.exec("grep State /proc/1/status   # T is stopped, D waits in the kernel"))
        .command(behind.restart())
        .into())
}

/// Whether somebody else gets answers: a kubelet from this port, or the engine's own health check, which does not say whom it asks and counts
/// where nobody could look.
fn is_known_to_answer(behind: Behind<'_>, port: u16, looked: bool) -> bool {
    match behind {
        Behind::Pod(pod) => pod.is_ready() && ports::answers_kubelet(pod, port),
        Behind::Container(container) => !looked && container.state.health.as_ref().is_some_and(|h| h.status == "healthy"),
    }
}
