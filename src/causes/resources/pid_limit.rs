use crate::api::{Confidence, Hop, Severity};
use crate::causes::look::FailingInside;
use crate::causes::{Behind, Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "pid-limit",
    summary: "the pod has used up its processes and threads",
    hop: Hop::Node,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: SIGNATURES,
    explains: &["accept-without-service", "app-closes-connection", "app-never-answers", "app-returns-5xx"],
    since: "0.1.0",
    docs: r"
## What it means
The control group of the pod, or of one of its containers, may have so many processes and threads (the kubelet's `podPidsLimit`, `pids.max`). It has as many: no further one can be made.

## What you see
Errors of the application, connections that it closes, or silence, as soon as it needs a process or a thread for a request. `Resource temporarily unavailable` or
`unable to create new native thread` in the log.

## How we know
The pod fails, and an agent looks into it: its control group has as many processes as it may. Where a few are left, it is Likely.

## How to fix
Bound the program's workers or threads, collect children that have ended, or raise `podPidsLimit` of the kubelet.

## Looks like
`app-returns-5xx`, `app-closes-connection`, `app-never-answers`: the same answers, and processes are left.

## Limits
Without an agent nobody looks into the pod, and it is not known; `kubectl exec` cannot look either, since it needs a process. Limits of a user (`ulimit -u`) and of the node (`kernel.pid_max`) are not looked at.
",
    check,
};

const SIGNATURES: &[Signature] = &[Signature::EofEarly, Signature::RstEarly, Signature::ReadTimeout, Signature::Relayed];

fn check(case: &Case<'_>) -> Judgement {
    let failing = case.look_into_failing(SIGNATURES)?;
    let exhausted = failing.iter().find_map(|f| Some((f, f.look.inside.pids.filter(|p| p.is_exhausted())?)));
    let Some((FailingInside { view, behind, look }, pids)) = exhausted else { return Ok(None) };
    let limit = pids.limit.unwrap_or_default();
    let none_left = pids.used >= limit;
    let confidence = if none_left { Confidence::Proven } else { Confidence::Likely };
    let share = if none_left { "all" } else { "nearly all" };
    let message = format!("{} has {share} of the {limit} processes and threads that it may have.", behind.reference());
    let line = look.line(format_args!("the control group has {share} of its {limit} processes and threads"));
    let setting = match behind {
        Behind::Pod(_) => "podPidsLimit of the kubelet",
        Behind::Container(_) => "the container's limit (`docker update --pids-limit`, in Compose `pids_limit`)",
    };
    Ok(CAUSE
        .finding(confidence, message)
        .object(&behind.reference(), behind.field("spec.containers"))
        .saw(view.seen)
        .looked(*look, line.clone())
        .proof(view.seen.to_string(), line)
        .fix(format!("Bound the program's workers or threads, or raise {setting}."))
        .command(format!("{}   # until they are used up again", behind.restart()))
        .into())
}
