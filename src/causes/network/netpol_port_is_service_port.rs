use std::sync::Arc;

use super::policies::{self, Denied};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::fact::Fact;
use crate::path::policy::{self, Decision, Direction, Peer};
use crate::probe::Signature;
use crate::snapshot::objects::{NetworkPolicy, PolicyPort, PortRef, ServicePort, Transport};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-port-is-service-port",
    summary: "a NetworkPolicy admits the gateway on the Service's port instead of the pod's",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach],
    explains: &["netpol-ingress-deny", "netpol-egress-deny-gateway"],
    since: "0.1.0",
    docs: r"
## What it means
A policy names the gateway and means to let it through, but on the port of the Service, or on its node port. Policies are applied after address translation, where only the
port of the pod is left.

## What you see
A time-out, as where no rule names the gateway at all. It begins with the first Service whose `port` and `targetPort` differ.

## How we know
The policies deny the gateway on the pod's port, and with the same peers they would admit it on the Service's port, its node port or its name. With
an agent the connection is tried from inside the gateway's own pod: one that comes about shows that nobody enforces the policies.

## How to fix
Write the port that the container listens on, by its number or by the name that the container gives it.

## Looks like
`netpol-ingress-deny`: no rule names the gateway on any port of the Service.

## Limits
That the port was meant is an inference; the policy denies the gateway in any case. Some networks judge outgoing traffic before address translation; for those both ports belong
into an egress rule.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(port) = case.service_port()? else { return Ok(None) };
    for direction in [Direction::Ingress, Direction::Egress] {
        for denied in policies::denied(case, direction)? {
            if let Some(found) = meant(case, &denied, direction, port) {
                return Ok(finding(case, &denied, direction, &found, port).into());
            }
        }
    }
    Ok(None)
}

/// Where a policy admits the gateway on a port that is not the pod's.
struct Meant {
    policy: Arc<NetworkPolicy>,
    rule: usize,
    port: usize,
    written: PolicyPort,
}

fn meant(case: &Case<'_>, denied: &Denied<'_>, direction: Direction, port: &ServicePort) -> Option<Meant> {
    let numbers: Vec<u16> = [Some(port.port), port.node_port].into_iter().flatten().filter(|n| *n != denied.port).collect();
    let named = |p: &PolicyPort| matches!(&p.port, Some(PortRef::Name(n)) if port.name.as_ref() == Some(n));
    let wrong = |p: &PolicyPort| {
        let by_number = |n: &u16| policy::admits_port(p, Transport::Tcp, None, *n);
        p.transport == Transport::Tcp && p.port.is_some() && (named(p) || numbers.iter().any(by_number))
    };
    if denied.decide(case, Peer::of(denied.gateway), &wrong) != Some(Decision::Admitted) {
        return None;
    }
    let peer = denied.peer();
    denied.policies.iter().find_map(|policy| {
        let rules = direction.rules(policy)?.iter().enumerate();
        rules.into_iter().find_map(|(rule, r)| {
            let admits = policy::admits_peer(case.snapshot, r, &policy.meta.namespace, &peer) == Fact::Known(true);
            let port = r.ports.iter().position(|p| admits && wrong(p))?;
            Some(Meant { policy: policy.clone(), rule, port, written: r.ports[port].clone() })
        })
    })
}

fn finding(case: &Case<'_>, denied: &Denied<'_>, direction: Direction, found: &Meant, port: &ServicePort) -> crate::causes::FindingBuilder {
    let reference = policies::reference(&found.policy);
    let (service, right) = (case.service_name(), denied.port);
    let written = match (&found.written.port, found.written.end_port) {
        (Some(port), Some(end)) => format!("{port} to {end}"),
        (Some(port), None) => port.to_string(),
        (None, _) => "any".to_owned(),
    };
    let what = match &found.written.port {
        Some(PortRef::Number(n)) if port.node_port == Some(*n) => "a node port",
        _ => "a port",
    };
    let admits = match direction {
        Direction::Ingress => "admits the gateway",
        Direction::Egress => "lets the gateway out",
    };
    let field = format!("spec.{}[{}].ports[{}].port", direction.field(), found.rule, found.port);
    let message = format!(
        "{reference} {admits} on port {written}, {what} of Service {service}, but its pods listen on {right}, which is what policies look at."
    );
    let states = format!("{reference}: {field} is {written}, and no rule has {right}");
    let (namespace, name) = (&reference.key.namespace, &reference.key.name);
    let path = field.replace(['.', '['], "/").replace(']', "");
    let patch = serde_json::json!([{"op": "replace", "path": format!("/{path}"), "value": right}]);
    let confidence: Confidence = denied.confidence(case);
    CAUSE
        .finding(confidence, message)
        .object(&reference, &field)
        .saw(denied.view.seen)
        .states(states.clone())
        .proof(case.failing_line(), states)
        .fix(format!("Write {right}, the port of the pods, into the policy."))
        .command(match found.written.end_port {
            None => format!("kubectl -n {namespace} patch networkpolicy {name} --type=json -p '{patch}'"),
            Some(_) => format!("kubectl -n {namespace} edit networkpolicy {name}"),
        })
}
