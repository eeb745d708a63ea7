use std::net::SocketAddr;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::network::policies::gets_no_answer;
use crate::causes::{Behind, Case, Cause, EndToEnd, EndpointView, FindingBuilder, Judgement, Look, Missing, Platform, When, ports};
use crate::evidence::inside::{Inside, Listener};
use crate::path::policy;
use crate::probe::{Observation, Outcome, Probe, Signature};
use crate::snapshot::objects::Pod;
use crate::snapshot::objects::docker::NetworkMode;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "listen-backlog-full",
    summary: "the application does not accept connections as fast as they come, and its queue is full",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::ConnTimeout],
    explains: &["eps-all-not-ready", "node-firewall-blocks", "readiness-probe-misconfigured"],
    since: "0.1.0",
    docs: r"
## What it means
A connection waits in the listening socket's queue until the program accepts it. The queue is full, and the kernel drops what comes: too many connections, too few workers, a
program that has stopped accepting, or a queue that is very short.

## What you see
Connections that time out under load, or succeed after one or three seconds, when the client's kernel has tried again. 504 on nginx, 503 on HAProxy and Envoy.

## How we know
One port of a ready pod is tried several times at once: some connections succeed and some do not. A policy or a firewall never succeeds by turns. A port of the same pod where
nobody listens refuses at once, so packets are not lost on the way. Where no connection succeeds, it is named if the pod's own node does not get through either, or
never asks; else `node-firewall-blocks` is. Where an agent reads the queue inside the pod, that decides: a full one proves it, and where it is empty and none was ever turned away,
this is not it.

## How to fix
More workers or replicas, a longer queue (the program's backlog and `net.core.somaxconn`), or a restart of a program that is stuck.

## Looks like
`netpol-ingress-deny` and `node-firewall-blocks` drop everything, always. `accept-without-service`: the queue is not full yet. `hpa-at-max`: why there are no more replicas.

## Limits
From outside the queue is not seen, so it is Likely, and the finding has the command that shows it; a firewall that drops a single port looks like a queue that never moves. A queue
that is full by turns only may be empty in the moment of the look; it is then judged as from outside.
Pods that a NetworkPolicy selects are not judged.
",
    check,
};

/// Connections tried at once, beside the walk's; with the closed port they are as many as are sent to one address at a time.
const TRIES: u8 = 3;
/// Endpoints tried at most.
const ENDPOINTS: usize = 2;

fn check(case: &Case<'_>) -> Judgement {
    for view in suspects(case)?.iter().take(ENDPOINTS) {
        let (Some(behind), Some(to)) = (view.behind(), view.endpoint.socket()) else { continue };
        match case.look_behind(behind)?.map(|look| (look, Queue::of(look.inside, to))) {
            Some((look, Queue::Full(listener))) => return Ok(proven(case, behind, view, look, listener).into()),
            Some((_, Queue::Idle)) => continue,
            Some((_, Queue::Unclear)) | None => {}
        }
        if let Some(drops) = tried(case, behind, to)? {
            return Ok(finding(case, behind, to, &drops).into());
        }
    }
    Ok(None)
}

/// Endpoints that do not take a connection, or took one while the gateway gets no answer by turns. Where none is ready, those that the kubelet
/// does not get through to either.
fn suspects<'a>(case: &Case<'a>) -> Result<Vec<EndpointView<'a>>, Missing> {
    let by_turns = matches!(case.end_to_end, EndToEnd::Partly { .. }) && gets_no_answer(case);
    let (ready, mut views) = ports::walked(case)?;
    views.retain(|v| match v.seen.signature() {
        Some(Signature::ConnTimeout) => true,
        Some(Signature::ReadTimeout) | None => by_turns,
        Some(_) => false,
    });
    // On the host's network the closed port is the node's, whose firewall may drop it.
    let judged = |p: &Pod, port| if ready { p.is_ready() } else { p.runs() && ports::readiness_asks(p, port) };
    views.retain(|v| match v.behind() {
        Some(Behind::Pod(p)) => !p.host_network && judged(p, v.endpoint.port) && !is_selected(case, p),
        Some(Behind::Container(c)) => c.network_mode != NetworkMode::Host && c.runs(),
        None => false,
    });
    views.sort_by_key(|v| v.seen.signature() != Some(Signature::ConnTimeout));
    Ok(views)
}

/// Whether a policy selects a pod: it drops or admits the closed port as it pleases, which then shows nothing.
fn is_selected(case: &Case<'_>, pod: &Pod) -> bool {
    policy::may_keep_out(case.snapshot, &case.path.backend.policies, pod).known().copied().unwrap_or_default()
}

/// The queue of a port, seen from inside.
enum Queue<'a> {
    /// This socket's is full.
    Full(&'a Listener),
    /// It is empty, and no connection of the pod was ever turned away.
    Idle,
    /// Neither, or not known.
    Unclear,
}

impl<'a> Queue<'a> {
    fn of(inside: &'a Inside, to: SocketAddr) -> Self {
        if let Some(full) = inside.serving(to.ip(), to.port()).find(|l| l.is_full() == Some(true)) {
            return Queue::Full(full);
        }
        let is_idle = inside.serving(to.ip(), to.port()).all(|l| l.queue == 0) && inside.listens_at(to.ip(), to.port()).is_served();
        let never_full = inside.turned_away.is_some_and(|t| t.overflows == 0);
        if is_idle && never_full { Queue::Idle } else { Queue::Unclear }
    }
}

fn proven(case: &Case<'_>, behind: Behind<'_>, view: &EndpointView<'_>, look: Look<'_>, listener: &Listener) -> FindingBuilder {
    let at = SocketAddr::new(listener.address, listener.port);
    let limit = listener.backlog.unwrap_or_default();
    // Its length changes all the time, and is not said.
    let line = look.line(format_args!("the queue of {at}, listened on by {}, is full (limit {limit})", listener.owner()));
    let message = format!(
        "{} drops connections to port {} of {}: its queue of connections is full, which holds {limit}.",
        behind.reference(),
        listener.port,
        case.backend_name()
    );
    let failing = case.failures.first().filter(|_| view.seen.signature().is_none()).map_or(view.seen, |failure| failure);
    let finding = CAUSE
        .finding(Confidence::Proven, message)
        .object(&behind.reference(), behind.field("spec.containers"))
        .saw(view.seen)
        .looked(look, line.clone())
        .proof(failing.to_string(), line);
    mend(case, behind, finding)
}

/// What trying a port several times showed.
struct Drops<'a> {
    dropped: &'a Observation,
    taken: Option<&'a Observation>,
    closed: &'a Observation,
}

/// Tries a port and a closed one of the same pod. Nothing where connections are not lost, or the network may be what loses them.
fn tried<'a>(case: &Case<'a>, behind: Behind<'_>, to: SocketAddr) -> Result<Option<Drops<'a>>, Missing> {
    let brief = |to: SocketAddr, attempt| Probe { timeout: ports::AT_ONCE, ..case.connect_to(to).again(attempt) };
    let tries: Vec<Probe> = (1..=TRIES).map(|n| brief(to, n)).collect();
    let closed = ports::closed_port(case, to.ip());
    case.ask_all(tries.iter().chain([&closed]).cloned().collect())?;
    let closed = case.ask(closed)?;
    if closed.signature() != Some(Signature::Refused) {
        return Ok(None);
    }
    let tries: Vec<&Observation> = tries.iter().filter_map(|p| case.seen.get(p)).collect();
    let is_lost = |o: &Observation| o.signature() == Some(Signature::ConnTimeout);
    let taken = tries.iter().copied().find(|o| o.outcome == Outcome::Connected);
    let Some(dropped) = tries.iter().copied().find(|o| is_lost(o)) else { return Ok(None) };
    // Where the kubelet gets through to the port, something on the way may drop it as well as its socket.
    let gets_through = behind.pod().is_some_and(|pod| ports::kubelet_gets_through(pod, to.port()));
    if taken.is_none() && (gets_through || !tries.iter().all(|o| is_lost(o))) {
        return Ok(None);
    }
    Ok(Some(Drops { dropped, taken, closed }))
}

fn finding(case: &Case<'_>, behind: Behind<'_>, to: SocketAddr, drops: &Drops<'_>) -> FindingBuilder {
    let (backend, port) = (case.backend_name(), to.port());
    let share = if drops.taken.is_some() { "some of the connections" } else { "all connections" };
    let message = format!(
        "{} drops {share} to port {port} of {backend}, though packets reach it: its queue of connections is full.",
        behind.reference()
    );
    let mut finding = CAUSE.finding(Confidence::Likely, message).object(&behind.reference(), behind.field("spec.containers"));
    for seen in [Some(drops.dropped), drops.taken, Some(drops.closed)].into_iter().flatten() {
        finding = finding.saw(seen);
    }
    let look = |command: &str, about: &str| format!("{}   # {about}", behind.exec(command));
    let queue = format!("{port:04X} in state 0A: the second number of tx:rx is the queue");
    finding = finding
        .proof(drops.dropped.to_string(), drops.taken.unwrap_or(drops.closed).to_string())
        .command(look("cat /proc/net/tcp /proc/net/tcp6", &queue))
        .command(look("grep TcpExt /proc/net/netstat", "ListenOverflows and ListenDrops grow"));
    mend(case, behind, finding)
}

fn mend(case: &Case<'_>, behind: Behind<'_>, finding: FindingBuilder) -> FindingBuilder {
    let mut finding =
        finding.fix("Give the application more workers or replicas and a longer queue; restart it where it has stopped accepting.");
    if let Some(workload) = case.path.backend.workloads.first() {
        finding = finding.command(workload.reference().kubectl("rollout restart"));
    }
    if let Behind::Container(_) = behind {
        finding = finding.command(behind.restart());
    }
    finding
}
