use std::sync::Arc;

use super::names::{self, LookedUp};
use super::{gateway_pod, policies};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, FindingBuilder, Judgement, Missing, Platform, When, known};
use crate::path::dns;
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::{Kind, ObjectRef, Service, is_subset};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "coredns-down",
    summary: "the cluster's DNS has nobody who answers",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail],
    explains: &[
        "svc-externalname-unresolvable",
        "dns-nxdomain-typo",
        "svc-wrong-namespace",
        "coredns-upstream-broken",
        "netpol-dns-egress-blocked",
    ],
    since: "0.1.0",
    docs: r"
## What it means
The route leads to a name, or the gateway finds the Service by its name, and the cluster's DNS Service has no ready endpoint, or none of its servers answers. Nobody in the cluster can look a name up.

## What you see
502 on most gateways, 500 on Apache, 503 on HAProxy and Envoy, or silence until a time-out: `no such host`, `host not found`, `i/o timeout` on port 53 in the gateway's log. Routes
to plain Services go on working where the gateway dials their endpoints.

## How we know
The EndpointSlices of the DNS Service list no ready address. Where they do, each server is asked for the route's name and for one that every cluster has, and none answers; or some
do not, while others find the name.

## How to fix
Bring the DNS pods back: scale them up, or mend what their state says.

## Looks like
`netpol-dns-egress-blocked`: only the gateway cannot ask. `dns-nxdomain-typo`: DNS answers at once that the name does not exist. `coredns-upstream-broken`: names of the cluster
resolve, others do not.

## Limits
A gateway that may have the Service's name in a configuration of its own is judged where it fails while the endpoints answer, and is Likely. Servers that are silent here may
answer elsewhere, so that is Likely. A gateway on the host's network may use the node's servers.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(wanted) = names::looked_up(case)? else { return Ok(None) };
    // A gateway that was not seen to fail may not even know the route.
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    let Some(service) = dns::services(case.snapshot).next() else {
        let all = case.snapshot.holds_all(Kind::Service);
        return known(&all, "the cluster's DNS Service").map(|_| None);
    };
    for service in dns::services(case.snapshot) {
        known(&case.snapshot.slices_of(&service.meta.key()), "the EndpointSlices of the cluster's DNS")?;
    }
    if dns::servers(case.snapshot).is_empty() {
        return Ok(without_endpoints(case, service, &wanted).into());
    }
    silent(case, service, &wanted)
}

fn reference(service: &Service) -> ObjectRef {
    ObjectRef { kind: Kind::Service, key: service.meta.key() }
}

fn without_endpoints(case: &Case<'_>, service: &Arc<Service>, wanted: &LookedUp) -> FindingBuilder {
    let reference = reference(service);
    let (namespace, selector) = (&service.meta.namespace, service.selector.clone().unwrap_or_default());
    let confidence = if names::may_ask_elsewhere(case) || !wanted.sure { Confidence::Likely } else { Confidence::Proven };
    let says = format!("the EndpointSlices of {reference} list no ready address");
    let labels = selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let workload = case.snapshot.workloads_in(namespace).find(|w| !selector.is_empty() && is_subset(&selector, &w.template_labels));
    let scaled = workload.filter(|w| w.desired == 0 && w.kind == Kind::Deployment);
    let why = scaled.map_or_else(String::new, |w| format!(": {} wants no pods", w.reference()));
    let mut finding = CAUSE
        .finding(
            confidence,
            format!("The cluster's DNS, {reference}, has no ready endpoint{why}, so the gateway cannot look up {}.", wanted.name),
        )
        .object(&reference, "")
        .states(says.clone())
        .proof(case.failing_line(), says)
        .fix("Bring the DNS pods back.");
    if let Some(workload) = scaled {
        finding = finding
            .object(&workload.reference(), "spec.replicas")
            .command(format!("kubectl -n {namespace} scale deployment {} --replicas=2", workload.meta.name));
    }
    finding.command(format!("kubectl -n {namespace} get pods -l {labels} -o wide"))
}

/// Servers that are listed as ready, and do not answer: all of them, or some that the gateway meets by turns.
fn silent(case: &Case<'_>, service: &Arc<Service>, wanted: &LookedUp) -> Judgement {
    let asked = names::at_each(case, &wanted.name)?;
    let quiet: Vec<&Observation> = asked.iter().copied().filter(|o| names::is_silent(o)).collect();
    let Some(first) = quiet.first() else { return Ok(None) };
    // A server that knows the cluster's own names is alive.
    let known = names::at_each(case, dns::KNOWN_NAME)?;
    let is_dead = |o: &&Observation| names::of_server(&known, o).is_some_and(names::is_silent);
    let dead: Vec<&Observation> = quiet.iter().copied().filter(is_dead).collect();
    if dead.is_empty() {
        return Ok(None);
    }
    if gateway_pod(case, first).is_some()
        && let Some(gateway) = case.gateway()?
        && policies::kept_from_dns(case, gateway)?.is_some()
    {
        return Ok(None);
    }
    let passing = if dead.len() == asked.len() {
        reached(case).ok_or_else(|| Missing::Fact("nothing shows that the cluster's pods can be reached from here".into()))?
    } else {
        // Where others do not find the name either, the name is what fails.
        match asked.iter().find(|o| names::is_found(o)) {
            Some(found) if policies::gets_no_answer(case) => found.to_string(),
            _ => return Ok(None),
        }
    };
    let reference = reference(service);
    let message = if dead.len() == asked.len() {
        format!("None of the servers of the cluster's DNS, {reference}, answers, so the gateway cannot look up {}.", wanted.name)
    } else {
        let share = names::share(&dead, asked.len(), &reference);
        format!("No answer comes from {share}, so the gateway cannot always look up {}.", wanted.name)
    };
    let mut finding = CAUSE.finding(Confidence::Likely, message).object(&reference, "");
    for seen in dead.iter().copied().chain(known) {
        finding = finding.saw(seen);
    }
    Ok(finding
        .proof(dead[0].to_string(), passing)
        .fix("Look at the DNS pods, and at what keeps packets from their port 53.")
        .command(format!("kubectl -n {} logs -l k8s-app=kube-dns --tail=50", service.meta.namespace))
        .into())
}

/// An answer of one of the gateway's pods: it shows that this vantage reaches the pods' network.
fn reached(case: &Case<'_>) -> Option<String> {
    let gateway = case.path.gateway.known()?;
    let of_gateway = |to| gateway.entrances.iter().any(|e| Some(e.address) == to);
    case.seen.values().find(|o| o.response().is_some() && of_gateway(o.probe.address())).map(ToString::to_string)
}
