use super::names;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When};
use crate::path::dns;
use crate::probe::{DnsFailure, Observation, Outcome, Signature};
use crate::snapshot::objects::{Key, Kind, ObjectRef, Service};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "dns-nxdomain-typo",
    summary: "a name in the cluster is written wrong: its Service, its namespace, or the cluster's domain",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail],
    explains: &["svc-externalname-unresolvable"],
    since: "0.1.0",
    docs: r"
## What it means
The route leads to the name of a Service, and one part of that name is not as it is: a letter in the Service's name or its namespace, a missing `svc`, another domain than the
cluster's.

## What you see
502 on most gateways, 500 on Apache, at once: `no such host`, `could not be resolved (3: Host not found)`.

## How we know
Every server of the cluster's DNS that answers says that the name does not exist (NXDOMAIN), which says that DNS works. One Service of the cluster has a name that is nearly the same, part by part, and its
whole name resolves.

## How to fix
Write the name that is meant: `service.namespace.svc.cluster.local`, with the cluster's own domain at its end.

## Looks like
`svc-externalname-unresolvable`: nothing near exists. `coredns-down` and `netpol-dns-egress-blocked`: no answer comes, which says nothing of the name.
`svc-wrong-namespace`: a name without a namespace, looked up where the gateway stands.

## Limits
That the near name is meant is an inference from how it is written. Two Services that are equally near are not named.
",
    check,
};

/// The end of every whole name.
const DOMAIN: &str = "svc.cluster.local";

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = names::external(case)? else { return Ok(None) };
    let Some(written) = Written::parse(name) else { return Ok(None) };
    let failing = case.ask(case.resolve(name))?;
    if failing.outcome != Outcome::NotResolved(DnsFailure::NxDomain) || names::is_completed(case, name)? {
        return Ok(None);
    }
    // A server that finds it makes the others stale, and the name right.
    if names::at_each(case, name)?.into_iter().any(names::is_found) {
        return Ok(None);
    }
    if !names::asks_the_cluster(case, name)? {
        return Err(Missing::Fact("the cluster's DNS could not be asked".into()));
    }
    if case.snapshot.holds_all(Kind::Service).known().is_none() {
        return Err(Missing::Fact("the Services of the cluster could not be looked up".into()));
    }
    let Some((meant, near)) = meant(case, &written) else { return Ok(None) };
    // A domain of the cluster's own may be right, and only a word before it wrong.
    let own = Some(written.domain).filter(|d| d.starts_with("svc.") && *d != DOMAIN);
    let mut whole: Vec<String> = own.map(|d| format!("{}.{}.{d}", meant.name, meant.namespace)).into_iter().collect();
    whole.push(dns::name_of(&meant));
    let answers = case.ask_all(whole.iter().map(|n| case.resolve(n)).collect())?;
    let found = answers.into_iter().zip(whole).find(|(seen, _)| names::is_found(seen));
    let Some((passing, full)) = found else { return other_domain(case, name, failing) };
    let domain = if full.ends_with(written.domain) { "" } else { &format!(", and a whole name ends in {DOMAIN}") };
    let what = if near { "its nearest Service is" } else { "the only Service of that name is" };
    let confidence = if near { Confidence::Proven } else { Confidence::Likely };
    let Some(finding) = finding(case, confidence, failing, format!("which does not exist: {what} {meant}{domain}"), &full) else {
        return Ok(None);
    };
    Ok(finding
        .object(&ObjectRef { kind: Kind::Service, key: meant }, "")
        .saw(passing)
        .proof(failing.to_string(), passing.to_string())
        .into())
}

/// A name of this cluster that the cluster does not know, because its domain is another.
fn other_domain(case: &Case<'_>, name: &str, failing: &Observation) -> Judgement {
    let known = case.ask(case.resolve(dns::KNOWN_NAME))?;
    let claims = name.trim_end_matches('.').ends_with(".cluster.local");
    if known.outcome != Outcome::NotResolved(DnsFailure::NxDomain) || !claims {
        return Ok(None);
    }
    let short = name.trim_end_matches('.').trim_end_matches("cluster.local").trim_end_matches('.').to_owned();
    let full = format!("{short}.DOMAIN");
    let Some(finding) = finding(case, Confidence::Likely, failing, "and cluster.local is not this cluster's domain".into(), &full) else {
        return Ok(None);
    };
    Ok(finding
        .saw(known)
        .proof(failing.to_string(), known.to_string())
        .command("kubectl -n kube-system get configmap coredns -o yaml   # the domain stands after `kubernetes`")
        .into())
}

fn finding(case: &Case<'_>, confidence: Confidence, failing: &Observation, what: String, full: &str) -> Option<FindingBuilder> {
    let (service, reference) = (case.path.backend.service.known()?, case.service_ref()?);
    let name = service.external_name.as_deref().unwrap_or_default();
    let patch = serde_json::json!({"spec": {"externalName": full}});
    let builder = CAUSE
        .finding(confidence, format!("{reference} stands for {name}, {what}."))
        .object(&reference, "spec.externalName")
        .saw(failing)
        .fix(format!("Write {full}."))
        .command(format!("kubectl -n {} patch service {} -p '{patch}'", service.meta.namespace, service.meta.name));
    Some(builder)
}

/// A name as it is written, where it looks like that of a Service.
struct Written<'n> {
    service: &'n str,
    namespace: &'n str,
    domain: &'n str,
}

impl<'n> Written<'n> {
    fn parse(name: &'n str) -> Option<Self> {
        let name = name.trim_end_matches('.');
        let (service, rest) = name.split_once('.')?;
        let (namespace, domain) = rest.split_once('.').unwrap_or((rest, ""));
        let whole = ["svc", "cluster.local", "svc.cluster", "svc.local"].contains(&domain) || domain.starts_with("svc.");
        let alike = whole || domain.is_empty() || distance(domain, DOMAIN).is_some();
        (alike && !service.is_empty() && !namespace.is_empty()).then_some(Written { service, namespace, domain })
    }
}

/// The one Service that is nearest to what is written, and whether it is near in all parts; else the only one of that name, where the namespace
/// does not exist.
fn meant(case: &Case<'_>, written: &Written<'_>) -> Option<(Key, bool)> {
    let own = case.path.route.service.clone();
    let others: Vec<&Service> = case.snapshot.services().map(AsRef::as_ref).filter(|s| Some(s.meta.key()) != own).collect();
    let score = |s: &&Service| {
        let namespace = distance(written.namespace, &s.meta.namespace)?;
        // Two words alone are a name of the cluster only if the second is a namespace.
        let sure = !written.domain.is_empty() || namespace == 0;
        sure.then_some((distance(written.service, &s.meta.name)? + namespace, s.meta.key()))
    };
    let mut near: Vec<(usize, Key)> = others.iter().filter_map(score).collect();
    near.sort();
    match near.as_slice() {
        [only] => return Some((only.1.clone(), true)),
        [first, second, ..] if first.0 < second.0 => return Some((first.1.clone(), true)),
        [_, _, ..] => return None,
        [] => {}
    }
    let nowhere = case.snapshot.namespace(written.namespace).is_absent() && !written.domain.is_empty();
    let mut named = others.iter().filter(|s| nowhere && s.meta.name == written.service);
    let only = named.next().filter(|_| named.next().is_none())?;
    Some((only.meta.key(), false))
}

/// How far two words are from each other, where that may be a slip of the hand. Short words have to be nearer.
fn distance(written: &str, is: &str) -> Option<usize> {
    let distance = strsim::osa_distance(written, is);
    let allowed = match written.len().min(is.len()) {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    (distance <= allowed).then_some(distance)
}
