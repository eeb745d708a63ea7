use std::collections::BTreeSet;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::network::{node_of, policies, translation};
use crate::causes::nodes::{self, Source, is_lost};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, line_from};
use crate::path::{Dials, Endpoint};
use crate::probe::{Observation, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-itp-local-no-endpoint",
    summary: "the Service keeps to the endpoints of the caller's node, and the gateway's node has none",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout],
    explains: &["kube-proxy-down", "kube-proxy-rules-stale"],
    since: "0.1.0",
    docs: r"
## What it means
The Service has `internalTrafficPolicy: Local`, so each node sends to its own endpoints alone, and the gateway dials the Service's address from a node that has no ready one. The node drops
such packets.

## What you see
A time-out through the gateway's pods on those nodes, although the Service has ready endpoints and its pods answer. It comes and goes as pods and the gateway are moved.

## How we know
The policy is Local, the gateway dials the Service's address, and no ready endpoint is on the node of one of its pods. Where an agent runs there, the Service's address is asked from inside
that pod: it leads to nobody, while an endpoint answers it directly.

## How to fix
Set `internalTrafficPolicy: Cluster`, or run a pod of the Service on each node that callers are on (a DaemonSet).

## Looks like
`kube-proxy-down` and `kube-proxy-rules-stale`: the node's rules are wrong. Without any ready endpoint the connection is refused at once, and `eps-all-not-ready` or `scaled-to-zero` says why.

## Limits
A gateway that dials endpoints passes the policy by, and only callers inside the cluster feel it; what they see is not asked. Without an agent on the node it is Likely, and no more than
Possible where it is not known what the gateway dials.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let known = match case.path.backend.dials {
        Dials::ServiceAddress(_) => true,
        Dials::Unknown => false,
        Dials::Endpoints => return Ok(None),
    };
    if case.service()?.is_none_or(|s| !s.internal_local) || !policies::gets_no_answer(case) {
        return Ok(None);
    }
    let (Some(gateway), Some(service), Some(address)) = (case.gateway()?, case.service_ref(), translation::address(case)?) else {
        return Ok(None);
    };
    let ready = case.ready_endpoints()?;
    let unplaced = |e: &&&Endpoint| node_of(e).is_none();
    if let Some(endpoint) = ready.iter().find(unplaced) {
        return Err(Missing::Fact(format!("the node of endpoint {} is not known", endpoint.address)));
    }
    let have: BTreeSet<&str> = ready.iter().filter_map(|e| node_of(e)).collect();
    let of_gateway = gateway.pods.iter().filter(|p| p.runs() && !p.meta.deleting).filter_map(|p| p.node.as_deref());
    let lack: BTreeSet<&str> = of_gateway.filter(|n| !have.contains(n)).collect();
    let views = case.walked()?;
    let Some(direct) = views.iter().find(|v| v.seen.response().is_some()).filter(|_| !lack.is_empty()) else { return Ok(None) };
    let asked = asked_there(case, address, &lack)?;
    let seen = asked.iter().find(|(_, o)| is_lost(o)).copied();
    let confidence = match (seen, known) {
        // Some networks take another endpoint all the same.
        (None, _) if !asked.is_empty() => return Ok(None),
        (Some(_), true) => Confidence::Proven,
        (Some(_), false) | (None, true) => Confidence::Likely,
        (None, false) => Confidence::Possible,
    };
    let list = |nodes: &BTreeSet<&str>| nodes.iter().copied().collect::<Vec<_>>().join(", ");
    let message = format!(
        "{service} has internalTrafficPolicy: Local and no endpoint on {}, where the gateway dials its address {address}; its endpoints are on {}.",
        list(&lack),
        list(&have)
    );
    let finding = CAUSE
        .finding(confidence, message)
        .object(&service, "spec.internalTrafficPolicy")
        .states(format!("{service}: spec.internalTrafficPolicy: Local"))
        .states(format!("its ready endpoints are on {}; pods of the gateway are also on {}", list(&have), list(&lack)))
        .saw(direct.seen);
    let finding = match seen {
        Some((source, lost)) => finding.saw_from(lost, source.node).proof(line_from(lost, source.node), direct.seen.to_string()),
        None => finding.proof(case.failing_line(), direct.seen.to_string()),
    };
    let key = &service.key;
    let patch = r#"{"spec":{"internalTrafficPolicy":"Cluster"}}"#;
    Ok(finding
        .fix("Let every node send to all endpoints.")
        .command(format!("kubectl -n {} patch service {} --type=merge -p '{patch}'", key.namespace, key.name))
        .into())
}

/// The Service's address, asked from the gateway's pods on these nodes.
fn asked_there<'a>(
    case: &Case<'a>,
    address: std::net::SocketAddr,
    on: &BTreeSet<&str>,
) -> Result<Vec<(Source<'a>, &'a Observation)>, Missing> {
    let sources = nodes::sources(case)?.into_iter().filter(|s| on.contains(s.node));
    let probes: Vec<_> = sources.map(|s| (s, s.probe(case.connect_to(address)))).collect();
    let unasked: Vec<_> = probes.iter().map(|(_, p)| p).filter(|p| !case.seen.contains_key(p)).cloned().collect();
    if !unasked.is_empty() {
        return Err(Missing::Probes(unasked));
    }
    let seen = probes.into_iter().filter_map(|(s, p)| Some((s, case.seen.get(&p)?)));
    Ok(seen.filter(|(source, answer)| source.has_seen(answer)).collect())
}
