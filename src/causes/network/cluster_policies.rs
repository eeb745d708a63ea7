//! Findings about policies of the whole cluster, which not every pod network enforces.

use super::policies::Denied;
use crate::causes::{Case, Cause, FindingBuilder};
use crate::path::policy::Direction;
use crate::snapshot::objects::ClusterPolicy;

/// A connection that such a policy denies.
pub fn finding(case: &Case<'_>, cause: &Cause, denied: &Denied<'_>, by: &ClusterPolicy, direction: Direction) -> FindingBuilder {
    let (policy, gateway, port, service) = (by.reference(), denied.gateway.reference(), denied.port, case.service_name());
    let message = match direction {
        Direction::Ingress => format!("{policy} denies the gateway {gateway} the way to the pods of Service {service} on port {port}."),
        Direction::Egress => format!("{policy} denies the gateway {gateway} the way out to the pods of Service {service} on port {port}."),
    };
    let says = format!("{policy}: the first rule that matches this connection on port {port} denies it");
    cause
        .finding(denied.confidence(case), message)
        .object(&policy, &format!("spec.{}", direction.field()))
        .saw(denied.view.seen)
        .states(says.clone())
        .states("whether the pod network enforces policies of this kind is not known")
        .proof(case.failing_line(), says)
        .fix("Admit the gateway by a rule that stands before the one that denies it.")
        .command(format!("kubectl edit {}", policy.argument()))
}

/// Adds what such a policy has to say against a finding about NetworkPolicies.
pub fn contested(finding: FindingBuilder, denied: &Denied<'_>) -> FindingBuilder {
    let Some(by) = &denied.contested_by else { return finding };
    let policy = by.reference();
    finding.states(format!("{policy} admits the connection before these are asked, where the pod network enforces it")).object(&policy, "")
}
