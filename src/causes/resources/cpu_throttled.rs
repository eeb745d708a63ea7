use crate::api::{Confidence, Hop, Severity};
use crate::causes::look::FailingInside;
use crate::causes::{Behind, Case, Cause, Judgement, Platform, When};
use crate::evidence::inside::Inside;
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "cpu-throttled",
    summary: "the limit of its CPU keeps the application from answering in time",
    hop: Hop::Node,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: SIGNATURES,
    explains: &["accept-without-service", "app-never-answers"],
    since: "0.1.0",
    docs: r"
## What it means
A container with a CPU limit may run for a part of each period of 100 ms, and then has to wait for the next. It uses up its part in most periods, and so waits most of the time,
however idle the node is.

## What you see
Answers that come in steps of 100 ms, too late, or not at all; probes of the kubelet that fail under load.

## How we know
The pod stays silent, and an agent looks into it: its control group had to wait in more than half of the periods in which it wanted to run, since it exists. Where the kernel counts
stalled time (PSI) and some task waited for CPU half of the last ten seconds, it is proven; where it hardly waited, this is not it.

## How to fix
Raise or remove the CPU limit, or add replicas. The request, not the limit, is what a pod is sure to get.

## Looks like
`app-never-answers`: the process runs, and waits for something else. `accept-without-service`: it does not run at all.

## Limits
Without an agent nobody looks into the pod, and it is not known. Without PSI the counters cover the whole life of the container, so it is Likely.
",
    check,
};

const SIGNATURES: &[Signature] = &[Signature::ReadTimeout];

/// Periods below which a container has hardly run.
const PERIODS: u64 = 100;
/// Share of the last ten seconds, in hundredths of a percent, above which tasks wait for CPU most of the time, and below which hardly.
const WAITS: u32 = 50_00;
const HARDLY_WAITS: u32 = 10_00;

fn check(case: &Case<'_>) -> Judgement {
    let failing = case.look_into_failing(SIGNATURES)?;
    let throttled = failing.iter().find_map(|f| Some((f, confidence(f.look.inside)?)));
    let Some((FailingInside { view, behind, look }, confidence)) = throttled else { return Ok(None) };
    let message = format!("{} uses up its CPU limit in most periods, and has to wait for the rest of each.", behind.reference());
    let now = if confidence == Confidence::Proven { ", and tasks wait for CPU now" } else { "" };
    let line = look.line(format_args!("the control group is throttled in more than half of its periods{now}"));
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&behind.reference(), behind.field("spec.containers[].resources.limits.cpu"))
        .saw(view.seen)
        .looked(*look, line.clone())
        .proof(view.seen.to_string(), line)
        .fix("Raise or remove the CPU limit, or add replicas.");
    if let Some(workload) = case.path.backend.workloads.first() {
        finding = finding.command(workload.reference().kubectl("edit"));
    }
    if let Behind::Container(container) = behind {
        finding = finding.command(format!("docker update --cpus NUMBER {}", container.name));
    }
    Ok(finding.command(behind.exec("cat /sys/fs/cgroup/cpu.stat")).into())
}

fn confidence(inside: &Inside) -> Option<Confidence> {
    let cpu = inside.cpu.filter(|cpu| cpu.periods >= PERIODS && cpu.throttled * 2 > cpu.periods);
    match (cpu, inside.pressure.and_then(|p| p.cpu)) {
        (None, _) => None,
        (Some(_), Some(share)) if share < HARDLY_WAITS => None,
        (Some(_), Some(share)) if share >= WAITS => Some(Confidence::Proven),
        (Some(_), _) => Some(Confidence::Likely),
    }
}
