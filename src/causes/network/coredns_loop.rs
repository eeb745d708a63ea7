use std::net::IpAddr;
use std::sync::Arc;

use super::names;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, Platform, When, known};
use crate::path::dns;
use crate::probe::Signature;
use crate::snapshot::objects::{ContainerState, Kind, ObjectRef, Pod, Service, Termination};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "coredns-loop",
    summary: "the cluster's DNS forwards to itself, notices, and ends",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail],
    explains: &["coredns-down"],
    since: "0.1.0",
    docs: r"
## What it means
CoreDNS hands names that are not the cluster's to the servers of its `resolv.conf`, which is its node's, and that names a server on loopback (systemd-resolved's 127.0.0.53) or the
cluster's own DNS. Inside the pod this is CoreDNS itself. Its `loop` plugin sees its own question come back and ends the process, again and again.

## What you see
CoreDNS pods in `CrashLoopBackOff`, with `Loop (127.0.0.1:… -> :53) detected for zone` as their last words; no name resolves in the cluster.

## How we know
No server of the DNS Service is ready, and its pods end by themselves. Where the pods keep the end of their log (`terminationMessagePolicy: FallbackToLogsOnError`), it says so. Else an
agent reads the pod's `resolv.conf`, and its server is the pod itself.

## How to fix
Let the kubelet give pods a `resolv.conf` with real servers (`resolvConf: /run/systemd/resolve/resolv.conf`), or name them in the Corefile's `forward` line.

## Looks like
`coredns-down`: there are no pods, or they end for another reason. `coredns-upstream-broken`: they run, and those that they forward to do not answer.

## Limits
Logs are not read. With a `resolv.conf` that leads back to the pod the finding is Likely: the Corefile may forward elsewhere, and the pod end for another reason. Where one of
several servers still runs, names resolve, and nothing is said.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(wanted) = names::looked_up(case)? else { return Ok(None) };
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    let Some(service) = dns::services(case.snapshot).next() else { return Ok(None) };
    known(&case.snapshot.slices_of(&service.meta.key()), "the EndpointSlices of the cluster's DNS")?;
    let Some(selector) = service.selector.as_ref().filter(|_| dns::servers(case.snapshot).is_empty()) else { return Ok(None) };
    let pods = case.snapshot.pods_labelled(&service.meta.namespace, selector);
    let pods = known(&pods, "the pods of the cluster's DNS")?.cloned().unwrap_or_default();
    let Some((pod, ended)) = pods.iter().find_map(|pod| Some((pod, ending(pod)?))) else { return Ok(None) };
    let (confidence, says) = if says_loop(ended) {
        (Confidence::Proven, format!("{} ended with: Loop (… -> …) detected", pod.reference()))
    } else {
        let Some(server) = itself(case, service, pod)? else { return Ok(None) };
        (Confidence::Likely, format!("inside {}: /etc/resolv.conf names {server}, which is the pod itself", pod.reference()))
    };
    let sure = wanted.sure && !names::may_ask_elsewhere(case);
    let reference = ObjectRef { kind: Kind::Service, key: service.meta.key() };
    let message = format!(
        "The cluster's DNS, {reference}, forwards to itself and ends for that ({}), so the gateway cannot look up {}.",
        pod.reference(),
        wanted.name
    );
    let namespace = &service.meta.namespace;
    Ok(CAUSE
        .finding(if sure { confidence } else { Confidence::Likely }, message)
        .object(&reference, "")
        .object(&pod.reference(), "status.containerStatuses")
        .states(format!("the container of {} ended with exit code {}", pod.reference(), ended.exit_code))
        .states(says.clone())
        .proof(case.failing_line(), says)
        .fix("Give CoreDNS servers to forward to that are not itself: in its Corefile, or by the kubelet's resolvConf (/run/systemd/resolve/resolv.conf).")
        .command(format!("kubectl -n {namespace} logs {} --previous   # Loop (… -> …) detected", pod.meta.name))
        .command(format!("kubectl -n {namespace} edit configmap coredns   # forward . SERVER, in place of /etc/resolv.conf"))
        .into())
}

/// How a pod's container ended by itself, and failed.
fn ending(pod: &Arc<Pod>) -> Option<&Termination> {
    let mut ends = pod.containers.iter().filter_map(|c| match &c.state {
        ContainerState::Terminated(ended) => Some(ended),
        _ => c.last_termination.as_ref(),
    });
    ends.find(|ended| ended.exit_code != 0 && ended.signal == 0 && ended.reason != "OOMKilled")
}

/// Whether the last words were the loop plugin's (CoreDNS, plugin/loop), where the end of the log was kept. They hold a port of chance.
fn says_loop(ended: &Termination) -> bool {
    ended.message.lines().any(|line| line.contains("Loop (") && line.contains("detected for zone"))
}

/// The server of a DNS pod that leads back to it.
fn itself(case: &Case<'_>, service: &Service, pod: &Pod) -> Result<Option<IpAddr>, Missing> {
    let servers = &names::resolver_of(case, pod)?.servers;
    let leads_back = |ip: &&IpAddr| ip.is_loopback() || service.cluster_ips.contains(ip) || pod.ips.contains(ip);
    Ok(servers.iter().find(leads_back).copied())
}
