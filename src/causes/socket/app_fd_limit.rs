use crate::api::{Confidence, Hop, Severity};
use crate::causes::look::FailingInside;
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::evidence::inside::Descriptors;
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-fd-limit",
    summary: "the application has used up its open files, and can take no connection",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: SIGNATURES,
    explains: &["accept-without-service", "app-closes-connection", "app-never-answers", "listen-backlog-full"],
    since: "0.1.0",
    docs: r"
## What it means
Each connection, file and pipe of a process is a descriptor, and a process may have so many (`ulimit -n`). It has as many as it may: what it is asked to open next fails, first of all
new connections.

## What you see
Connections that the kernel completes and nobody takes: silence, then lost connections once the queue is full; or connections that are closed at once. `too many open files` in the log.

## How we know
The pod fails, and an agent looks into it: a process has used its limit of descriptors but for one part in fifty. It is proven where none is left to the process that listens on the port.

## How to fix
Find what is not closed (connections to a database, files, sockets in CLOSE_WAIT), and raise the limit where the load needs it. A restart helps until it is used up again.

## Looks like
`accept-without-service`: the process takes no connection because it is stopped. `listen-backlog-full`: it takes them, too slowly. `app-never-answers`.

## Limits
Without an agent nobody looks into the pod, and it is not known. A limit of the whole node (`fs.file-max`) is not looked at.
",
    check,
};

const SIGNATURES: &[Signature] = &[Signature::ReadTimeout, Signature::ConnTimeout, Signature::EofEarly, Signature::RstEarly];

fn check(case: &Case<'_>) -> Judgement {
    let failing = case.look_into_failing(SIGNATURES)?;
    let exhausted = failing.iter().find_map(|f| Some((f, f.look.inside.descriptors.as_ref().filter(|d| d.usage.is_exhausted())?)));
    let Some((failing, descriptors)) = exhausted else { return Ok(None) };
    let FailingInside { view, behind, look } = failing;
    let (name, limit) = (&descriptors.process.name, descriptors.usage.limit.unwrap_or_default());
    let none_left = descriptors.usage.used >= limit;
    let confidence = if none_left && listens(failing, descriptors) { Confidence::Proven } else { Confidence::Likely };
    let share = if none_left { "all" } else { "nearly all" };
    let message = format!("{name} in {} has opened {share} of the {limit} files and connections that it may.", behind.reference());
    let line = look.line(format_args!("{name} has opened {share} of the {limit} files that it may"));
    let pid = descriptors.process.pid;
    Ok(CAUSE
        .finding(confidence, message)
        .object(&behind.reference(), behind.field("spec.containers"))
        .saw(view.seen)
        .looked(*look, line.clone())
        .proof(view.seen.to_string(), line)
        .fix("Find what the program does not close, and raise its limit of open files where the load needs it.")
        .command(behind.exec(&format!("ls -l /proc/{pid}/fd")))
        .command(format!("{}   # until it is used up again", behind.restart()))
        .into())
}

/// Whether it is the process that listens on the endpoint's port.
fn listens(failing: &FailingInside<'_>, descriptors: &Descriptors) -> bool {
    let Some(to) = failing.view.endpoint.socket() else { return false };
    failing.look.inside.serving(to.ip(), to.port()).any(|l| l.process.as_ref() == Some(&descriptors.process))
}
