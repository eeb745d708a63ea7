use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, Look, Missing, Platform, When};
use crate::evidence::inside::Usage;
use crate::probe::{PodRef, Signature};
use crate::snapshot::objects::{Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "conntrack-full",
    summary: "the table of tracked connections of a node is full, and new ones are dropped",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: SIGNATURES,
    explains: &["listen-backlog-full", "node-firewall-blocks"],
    since: "0.1.0",
    docs: r"
## What it means
A node that filters or translates addresses keeps a table of connections, which holds so many (`net.netfilter.nf_conntrack_max`). It is full: packets of new connections are dropped,
those of known ones pass.

## What you see
New connections that time out at random, for every route of the node; what is connected goes on. `nf_conntrack: table full, dropping packet` in the kernel's log.

## How we know
A connection to a pod times out, and an agent looks at the nodes of the gateway and of the pod: the table of one of them is full. Where hardly anything is left, it is Likely.

## How to fix
Raise `net.netfilter.nf_conntrack_max` (kube-proxy sets it by `conntrack.maxPerCore`), and find who opens so many connections, or keeps so many that have ended.

## Looks like
`node-firewall-blocks` and `netpol-ingress-deny` drop everything, always. `listen-backlog-full`: one pod alone drops.

## Limits
Without an agent nobody looks at the node, and it is not known. Kernels and pod networks that track no connections have no table.
",
    check,
};

const SIGNATURES: &[Signature] = &[Signature::ConnTimeout];

/// Endpoints that are looked at.
const ENDPOINTS: usize = 3;

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(SIGNATURES)?;
    let Some(first) = views.first().copied() else { return Ok(None) };
    let mut blind = None;
    for (inside, node) in places(case, &views) {
        match case.look_into(&inside) {
            Ok(look) => {
                if let Some(table) = look.inside.conntrack.filter(Usage::is_exhausted) {
                    return Ok(Some(found(case, first, node, look, table)));
                }
            }
            Err(Missing::Fact(why)) => blind = Some(why),
            Err(probes) => return Err(probes),
        }
    }
    blind.map_or(Ok(None), |why| Err(Missing::Fact(why)))
}

/// Where the table can be seen, and of which node it is; containers share the one of their engine's host.
fn places<'a>(case: &Case<'a>, views: &[EndpointView<'a>]) -> Vec<(PodRef, Option<&'a str>)> {
    if case.path.container.is_some() {
        return vec![(PodRef::docker_host(), None)];
    }
    let gateways = case.path.gateway.known().into_iter().flat_map(|g| &g.pods).take(1);
    let pods = gateways.chain(views.iter().take(ENDPOINTS).filter_map(|v| v.endpoint.pod.known()));
    pods.map(|pod| (PodRef::of(pod), pod.node.as_deref())).collect()
}

fn found(case: &Case<'_>, view: EndpointView<'_>, of_node: Option<&str>, look: Look<'_>, table: Usage) -> crate::api::Finding {
    let limit = table.limit.unwrap_or_default();
    let is_full = table.used >= limit;
    let confidence = if is_full { Confidence::Proven } else { Confidence::Likely };
    let node = of_node.unwrap_or(if case.path.container.is_some() { "the engine's host" } else { "its node" });
    let owner = if case.path.container.is_some() { "host" } else { "node" };
    let how = if is_full { "is full" } else { "is nearly full" };
    let message = format!(
        "The table of tracked connections of {node} {how} (limit {limit}), so that new connections to the {} are dropped.",
        case.members_name()
    );
    let line = look.line(format_args!("the table of tracked connections of {node} {how} (limit {limit})"));
    let mut finding = CAUSE.finding(confidence, message);
    if let Some(node) = of_node {
        finding = finding.object(&ObjectRef::new(Kind::Node, "", node), "");
    }
    finding
        .saw(view.seen)
        .looked(look, line.clone())
        .proof(view.seen.to_string(), line)
        .fix(format!("Raise the limit of the {owner}'s table, and find who opens or keeps so many connections."))
        .command(
            format!("sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max   # on that {owner}; conntrack -S shows what was dropped"),
        )
        .build()
}
