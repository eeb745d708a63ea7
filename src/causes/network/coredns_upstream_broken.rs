use super::{names, policies};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, NO_SUCH_HOST, Platform, When};
use crate::path::dns;
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::{Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "coredns-upstream-broken",
    summary: "the cluster's DNS knows its own names and cannot look up any other",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail],
    explains: &["svc-externalname-unresolvable"],
    since: "0.1.0",
    docs: r"
## What it means
The route leads to a name outside of the cluster. The cluster's DNS hands such names on to other servers, and these do not answer it.

## What you see
502 on most gateways after a while; CoreDNS logs `read udp … i/o timeout` for its forwarder. Names of Services resolve as ever.

## How we know
Each server of the cluster's DNS is asked. The same one finds a name of the cluster, fails for the route's name, and fails in the same way for a name under `.invalid`, which every working resolver knows not to exist.

## How to fix
Mend what CoreDNS forwards to: the `forward` line of its Corefile, or the `resolv.conf` of the nodes that it reads, and the way to these servers.

## Looks like
`svc-externalname-unresolvable`: only this name fails, and another is answered. `coredns-down`: names of the cluster fail as well.

## Limits
Placeholder names such as those under `.example` and `.invalid` are left to `svc-externalname-unresolvable`. A cluster that is meant to have no names of the outside looks the same.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let name = names::external(case)?.filter(|n| n.trim_end_matches('.').contains('.') && !dns::is_inside(n) && !dns::is_placeholder(n));
    let Some(name) = name.filter(|_| !names::is_not_found(case)) else { return Ok(None) };
    if dns::servers(case.snapshot).is_empty() {
        return Ok(None);
    }
    let asked = names::at_each(case, name)?;
    if !asked.iter().any(|o| names::is_failing(o)) {
        return Ok(None);
    }
    let (inside, nobody) = (names::probes(case, dns::KNOWN_NAME), names::probes(case, NO_SUCH_HOST));
    case.ask_all(inside.into_iter().chain(nobody).collect())?;
    let (inside, nobody) = (names::at_each(case, dns::KNOWN_NAME)?, names::at_each(case, NO_SUCH_HOST)?);
    let is_cut_off = |o: &&Observation| {
        let knows_its_own = names::of_server(&inside, o).is_some_and(names::is_found);
        names::is_failing(o) && knows_its_own && names::of_server(&nobody, o).is_some_and(names::is_failing)
    };
    let cut_off: Vec<&Observation> = asked.iter().copied().filter(is_cut_off).collect();
    let Some(failing) = cut_off.first().copied() else { return Ok(None) };
    let Some(passing) = names::of_server(&inside, failing) else { return Ok(None) };
    let Some(service) = dns::services(case.snapshot).next() else { return Ok(None) };
    let reference = ObjectRef { kind: Kind::Service, key: service.meta.key() };
    let all = cut_off.len() == asked.len();
    // Others that find the name serve the gateway too, by turns.
    if !all && !policies::gets_no_answer(case) {
        return Ok(None);
    }
    let confidence = if names::may_ask_elsewhere(case) || !all { Confidence::Likely } else { Confidence::Proven };
    let message = if all {
        format!("The cluster's DNS, {reference}, finds names of the cluster and no other, so {name} does not resolve.")
    } else {
        let share = names::share(&cut_off, asked.len(), &reference);
        format!("No name but those of the cluster resolves at {share}, so {name} does not always resolve.")
    };
    let mut finding = CAUSE.finding(confidence, message).object(&reference, "");
    for seen in cut_off.iter().copied().chain(nobody).chain(inside) {
        finding = finding.saw(seen);
    }
    let namespace = &service.meta.namespace;
    Ok(finding
        .proof(failing.to_string(), passing.to_string())
        .fix("Mend the servers that the cluster's DNS forwards to, or the way to them.")
        .command(format!("kubectl -n {namespace} get configmap coredns -o yaml   # its forward line; /etc/resolv.conf is the node's"))
        .command(format!("kubectl -n {namespace} logs -l k8s-app=kube-dns --tail=50"))
        .into())
}
