use crate::api::{Confidence, Hop, Severity};
use crate::causes::network::names;
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::Signature;
use crate::probe::{DnsFailure, Outcome};
use crate::snapshot::objects::ServiceType;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-externalname-unresolvable",
    summary: "the name that an ExternalName Service points at does not resolve",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Service stands for a DNS name, and that name does not resolve where the gateway stands.

## What you see
502, 503 or 500, by gateway; the gateway's log says that a host was not found.

## How we know
The name is asked of the cluster's DNS servers as the gateway asks it. NXDOMAIN, no data and text that is no name at all are the name's fault.

## How to fix
Correct the name: only a host name, without scheme, port or path. For a private zone, let the cluster's DNS forward it.

## Looks like
`externalname-not-allowed`: the name resolves, but the gateway refuses such Services. `dns-nxdomain-typo`: a name that is nearly the same exists. `coredns-down`: no name
resolves. `coredns-upstream-broken`: no name outside of the cluster does.

## Limits
Where the DNS servers fail or stay silent the name may be right; the finding is Likely then. Names of other networks are asked through the cluster's DNS only.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = case.service()?.filter(|s| s.service_type == ServiceType::ExternalName) else { return Ok(None) };
    let name = service.external_name.clone().unwrap_or_default();
    let seen = case.ask(case.resolve(&name))?;
    let Outcome::NotResolved(failure) = seen.outcome else { return Ok(None) };
    // A name that one of the servers finds is right.
    if names::at_each(case, &name)?.into_iter().any(names::is_found) {
        return Ok(None);
    }
    if !names::asks_the_cluster(case, &name)? {
        return Err(Missing::Fact("the cluster's DNS could not be asked".into()));
    }
    if failure == DnsFailure::NxDomain && names::is_completed(case, &name)? {
        return Ok(None);
    }
    let confidence = match failure {
        DnsFailure::NxDomain | DnsFailure::NoData | DnsFailure::InvalidName => Confidence::Proven,
        DnsFailure::ServFail | DnsFailure::Refused | DnsFailure::Timeout | DnsFailure::Unreachable => Confidence::Likely,
    };
    let Some(reference) = case.service_ref() else { return Ok(None) };
    Ok(CAUSE
        .finding(confidence, format!("{reference} stands for {name}, which does not resolve: {failure}."))
        .object(&reference, "spec.externalName")
        .saw(seen)
        .proof(case.failing_line(), seen.to_string())
        .fix("Correct spec.externalName (a host name alone, without scheme, port or path), or let the cluster's DNS know the zone.")
        .command(format!("kubectl -n {} edit service {}", service.meta.namespace, service.meta.name))
        .into())
}
