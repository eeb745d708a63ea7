use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::{names, policies};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, When, known};
use crate::path::dns;
use crate::path::policy::{self, Decision, Direction, Peer};
use crate::probe::Signature;
use crate::snapshot::objects::{ObjectRef, Pod, Transport};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-dns-egress-blocked",
    summary: "a NetworkPolicy on the gateway does not let it out to the cluster's DNS",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    signatures: &[Signature::DnsFail, Signature::ReadTimeout],
    explains: &["netpol-egress-deny-gateway"],
    since: "0.1.0",
    docs: r"
## What it means
The route leads to a name, or the gateway finds the Service by its name; policies select the gateway's pods for outgoing traffic, and no rule leads to the cluster's DNS on port 53 over UDP. The gateway's questions are dropped.

## What you see
Silence or 502 and 504 after the resolver's time-out, never at once: `i/o timeout` on port 53 in the gateway's log. Routes whose endpoints the gateway knows by address go on working.

## How we know
The policies are evaluated from the gateway's pods to each DNS server, to the address of the DNS Service and to that of a node's cache; none is admitted. The name resolves where
these policies do not apply.

## How to fix
Let the gateway out to port 53, UDP and TCP, of the cluster's DNS.

## Looks like
`coredns-down`: nobody gets an answer. `dns-nxdomain-typo`: the answer comes at once, and says that the name does not exist.

## Limits
Where the addresses behind the name cannot be asked from here as well, or the gateway may have the Service's name in a configuration of its own, the finding is Likely. Policies beyond `networking.k8s.io` are not read.
",
    check,
};

/// Where a node's DNS cache listens (Kubernetes documentation, NodeLocal DNSCache).
const NODE_CACHE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 20, 10));

fn check(case: &Case<'_>) -> Judgement {
    let Some(wanted) = names::looked_up(case)? else { return Ok(None) };
    let name = &wanted.name;
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let mut denied = None;
    for pod in policies::egress_selects(case, gateway)? {
        if let Some(policies) = keeps_from_dns(case, pod)? {
            denied = Some((pod, policies));
        }
    }
    let Some((pod, denying)) = denied else { return Ok(None) };
    // A gateway that is not let out to the endpoints fails whether it looks them up or not.
    if !wanted.sure && !policies::denied(case, Direction::Egress)?.is_empty() {
        return Ok(None);
    }
    let seen = case.ask(case.resolve(name))?;
    if !names::is_found(seen) {
        return Err(Missing::Fact(format!("{name} does not resolve here either")));
    }
    let requests = case.external()?.into_iter().take(2).map(|to| case.request_to(to, case.path.backend.scheme));
    let answered = match case.ask_all(requests.collect()) {
        Err(missing @ Missing::Probes(_)) => return Err(missing),
        Err(Missing::Fact(_)) => false,
        Ok(seen) => seen.iter().any(|o| o.signature().is_none()),
    };
    let confidence = if wanted.sure && answered && policies::gets_no_answer(case) { Confidence::Proven } else { Confidence::Likely };
    let names = policies::listed(&denying);
    let Some(policy) = denying.first() else { return Ok(None) };
    let rule = serde_json::json!([{"op": "add", "path": "/spec/egress/-", "value": {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    }}]);
    let says = format!("{names}: no egress rule leads to the cluster's DNS on port 53 over UDP");
    let mut finding = CAUSE
        .finding(
            confidence,
            format!(
                "{names} selects the gateway {} and does not let it ask the cluster's DNS, so it cannot look up {name}.",
                pod.reference()
            ),
        )
        .saw(seen)
        .states(says)
        .proof(case.failing_line(), seen.to_string())
        .fix("Let the gateway out to the cluster's DNS, UDP and TCP.")
        .command(format!("kubectl -n {} patch networkpolicy {} --type=json -p '{rule}'", policy.key.namespace, policy.key.name));
    for policy in &denying {
        finding = finding.object(policy, "spec.egress");
    }
    Ok(finding.into())
}

/// The policies that keep a pod from every DNS server, wherever it may ask; nothing where a rule leads to one.
fn keeps_from_dns(case: &Case<'_>, pod: &Arc<Pod>) -> Result<Option<BTreeSet<ObjectRef>>, Missing> {
    let all = case.snapshot.policies_in(&pod.meta.namespace);
    let mut denying = BTreeSet::new();
    let mut decide = |peer: &Peer<'_>, to: Option<&Pod>, port: u16| -> Result<bool, Missing> {
        let decision = policy::egress(case.snapshot, &all, pod, (peer, to), (Transport::Udp, port));
        match known(&decision, "what NetworkPolicies say")? {
            Some(Decision::Denied(policies)) => denying.extend(policies.iter().map(|p| policies::reference(p))),
            Some(Decision::Admitted | Decision::NotSelected) | None => return Ok(false),
        }
        Ok(true)
    };
    let servers = dns::servers(case.snapshot);
    if servers.is_empty() {
        return Ok(None);
    }
    for server in servers {
        let pods = case.snapshot.pods_at(server.ip());
        let Some(pods) = known(&pods, "the pods of the cluster's DNS")? else { continue };
        let address = [server.ip()];
        let to = pods.first();
        if !decide(&to.map_or(Peer::outside(&address), |p| Peer::of(p)), to.map(AsRef::as_ref), server.port())? {
            return Ok(None);
        }
    }
    let own = dns::services(case.snapshot).flat_map(|s| s.cluster_ips.iter().copied()).chain([NODE_CACHE]);
    for address in own {
        if !decide(&Peer::outside(&[address]), None, 53)? {
            return Ok(None);
        }
    }
    Ok(Some(denying))
}
