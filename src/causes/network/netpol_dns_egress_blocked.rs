use super::{gateway_pod, names, policies};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::path::policy::Direction;
use crate::probe::{Observation, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-dns-egress-blocked",
    summary: "a NetworkPolicy on the gateway does not let it out to the cluster's DNS",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail, Signature::ReadTimeout],
    explains: &["netpol-egress-deny-gateway", "svc-externalname-unresolvable"],
    since: "0.1.0",
    docs: r"
## What it means
The route leads to a name, or the gateway finds the Service by its name; policies select the gateway's pods for outgoing traffic, and no rule leads to the cluster's DNS on port 53 over UDP. The gateway's questions are dropped.

## What you see
Silence or 502 and 504 after the resolver's time-out, never at once: `i/o timeout` on port 53 in the gateway's log. Routes whose endpoints the gateway knows by address go on working.

## How we know
The policies are evaluated from the gateway's pods to each DNS server, to the address of the DNS Service and to that of a node's cache; none is admitted. With an agent, the name
is looked up from inside the gateway's pod, and no answer comes; without one, it resolves where these policies do not apply.

## How to fix
Let the gateway out to port 53, UDP and TCP, of the cluster's DNS.

## Looks like
`coredns-down`: nobody gets an answer. `dns-nxdomain-typo`: the answer comes at once, and says that the name does not exist.

## Limits
Without an agent, where the addresses behind the name cannot be asked from here as well, and wherever the gateway may have the Service's name in a configuration of its own, the finding is Likely. Policies beyond `networking.k8s.io` are not read.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(wanted) = names::looked_up(case)? else { return Ok(None) };
    let name = &wanted.name;
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let Some(policies::Kept { pod, policies: denying }) = policies::kept_from_dns(case, gateway)? else { return Ok(None) };
    // A gateway that is not let out to the endpoints fails whether it looks them up or not.
    if !wanted.sure && !policies::denied(case, Direction::Egress)?.is_empty() {
        return Ok(None);
    }
    let seen = case.ask(case.resolve(name))?;
    let stopped = match (gateway_pod(case, seen).is_some(), names::is_found(seen)) {
        // Nobody enforces the policies: the gateway's own pod finds the name.
        (true, true) => return Ok(None),
        (true, false) if names::is_silent(seen) => true,
        (_, false) => return Err(Missing::Fact(format!("{name} does not resolve here either"))),
        (false, true) => answers(case)? && policies::gets_no_answer(case),
    };
    let confidence = if wanted.sure && stopped { Confidence::Proven } else { Confidence::Likely };
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
        .states(says.clone())
        .proof(case.failing_line(), deciding(seen, says))
        .fix("Let the gateway out to the cluster's DNS, UDP and TCP.")
        .command(format!("kubectl -n {} patch networkpolicy {} --type=json -p '{rule}'", policy.key.namespace, policy.key.name));
    for policy in &denying {
        finding = finding.object(policy, "spec.egress");
    }
    Ok(finding.into())
}

/// Whether what stands behind the name answers the route's request.
fn answers(case: &Case<'_>) -> Result<bool, Missing> {
    let requests = case.external()?.into_iter().take(2).map(|to| case.request_to(to, case.path.backend.scheme));
    match case.ask_all(requests.collect()) {
        Err(missing @ Missing::Probes(_)) => Err(missing),
        Err(Missing::Fact(_)) => Ok(false),
        Ok(seen) => Ok(seen.iter().any(|o| o.signature().is_none())),
    }
}

/// What stands beside the failing request: the name as others find it, or else what the policies say.
fn deciding(seen: &Observation, says: String) -> String {
    if names::is_found(seen) { seen.to_string() } else { says }
}
