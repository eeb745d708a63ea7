use super::kube_proxy_down::{Proxy, proxy_of};
use super::translation::{self, AtNode, Leads};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, line_from};
use crate::probe::Signature;
use crate::snapshot::objects::{Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "kube-proxy-rules-stale",
    summary: "one node's rules for the Service's address do not follow its endpoints",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &["kube-proxy-down"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway dials the Service's address. On one node the rules behind that address lead to where pods were some time ago: kube-proxy hangs or waits for a lock, another tool has
flushed its rules, or two sorts of iptables are mixed.

## What you see
Requests through the gateway's pod of that node fail with a time-out, `No route to host` or a refused connection, and work through its others. It begins when pods are replaced,
and a gateway that dials endpoints sees nothing of it.

## How we know
From inside the gateway's pod of that node, every endpoint answers the route's request and other Services' addresses connect, while the Service's own address leads to nobody, or to somebody
who answers as no endpoint does. From another node it leads to the endpoints; or the node's kube-proxy is ready, so that it is not down.

## How to fix
Restart kube-proxy on that node, and read its log for what kept it; let one tool alone write the rules.

## Looks like
`kube-proxy-down`: kube-proxy is not ready there, or no Service's address works. `svc-itp-local-no-endpoint`: the Service keeps to the endpoints of the caller's node.
`hairpin-broken`: the gateway's pod is itself the endpoint that it does not reach.

## Limits
The rules are not read: what they do is what is known. Agents have to run on the gateway's nodes. A network that does the work of kube-proxy itself fails in the same way.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let nodes = translation::of(case)?;
    let is_stale =
        |n: &&AtNode<'_>| n.leads != Leads::Home && n.other.is_some() && !matches!(proxy_of(case, n.source.pod), Proxy::Down(..));
    let Some(stale) = nodes.iter().filter(is_stale).min_by_key(|n| n.leads != Leads::Nowhere) else { return Ok(None) };
    let works = nodes.iter().find(|n| n.leads == Leads::Home);
    let ready = matches!(proxy_of(case, stale.source.pod), Proxy::Ready);
    let known = translation::dials_address(case) == Some(true);
    let confidence = match (works, stale.leads) {
        (Some(_), Leads::Nowhere) if known => Confidence::Proven,
        (Some(_), _) => Confidence::Likely,
        (None, Leads::Nowhere) if ready && known => Confidence::Likely,
        (None, _) => return Ok(None),
    };
    let Some(service) = case.service_ref() else { return Ok(None) };
    let (node, to) = (stale.source.node, translation::address(case)?.map(|a| a.to_string()).unwrap_or_default());
    let what = match stale.leads {
        Leads::Astray => "to somebody who is no endpoint of it",
        Leads::Nowhere | Leads::Home => "to nobody",
    };
    let contrast =
        works.map_or_else(|| "though its endpoints answer there".to_owned(), |w| format!("and on {} to its endpoints", w.source.node));
    let message = format!("On node {node} the address {to} of {service} leads {what}, {contrast}: the rules on {node} are stale.");
    let seen = [Some(stale.through), Some(stale.direct), stale.other].into_iter().flatten();
    let finding = CAUSE.finding(confidence, message).object(&ObjectRef::new(Kind::Node, "", node), "").object(&service, "spec.clusterIP");
    let mut finding = seen.fold(finding, |f, seen| f.saw_from(seen, node));
    if let Some(works) = works {
        finding = finding.saw_from(works.through, works.source.node);
    }
    let passing = works.map_or_else(|| line_from(stale.direct, node), |w| line_from(w.through, w.source.node));
    Ok(finding
        .proof(line_from(stale.through, node), passing)
        .fix("Restart kube-proxy on that node, and find what kept its rules from following.")
        .command(format!("kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector spec.nodeName={node}"))
        .command(format!(
            "iptables-save -t nat | grep {}   # on {node}; or nft list ruleset, ipvsadm -Ln",
            to.rsplit_once(':').map_or(&*to, |(ip, _)| ip)
        ))
        .into())
}
