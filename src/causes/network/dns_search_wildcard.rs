use std::net::{IpAddr, SocketAddr};

use super::names;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::{Observation, Outcome, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "dns-search-wildcard",
    summary: "a search domain with a wildcard record answers for a name that is meant as it is written",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::TlsName, Signature::Relayed],
    explains: &["svc-externalname-host-sni"],
    since: "0.1.0",
    docs: r"
## What it means
A resolver in a pod completes a name that has fewer than five dots (`ndots:5`) with each domain of its search list before it tries the name itself. One of these domains, mostly the
nodes' own, has a wildcard record: `partner.dev` becomes `partner.dev.corp.example`, which exists like everything below `corp.example`, and leads somewhere else.

## What you see
The name resolves, and connections time out, meet a certificate for another name, or a 404 of somebody else.

## How we know
An agent reads the search list of the gateway's pod. The name as it is written, with a dot at its end, has other addresses than what the list makes of it, and a name that nobody
can have resolves in the same domain.

## How to fix
Lower `ndots` in the gateway's `dnsConfig`, take the domain out of the search list, or remove the wildcard record.

## Looks like
`dns-nxdomain-typo` and `svc-externalname-unresolvable`: the name itself does not exist. `svc-externalname-host-sni`: the right server is reached and knows another host.

## Limits
Needs an agent on the gateway's node. Gateways with a resolver of their own (nginx' `resolver`, Envoy) may not complete names, so where the right addresses do not answer the route's
request the finding is Likely.
",
    check,
};

/// A label that no name has.
const NOBODY: &str = "no-such-name-culprit";

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = names::external(case)?.filter(|n| !n.ends_with('.') && !names::is_not_found(case)) else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let right = case.ask(case.resolve(name))?;
    let Outcome::Resolved(addresses) = &right.outcome else { return Ok(None) };
    let Some(pod) = gateway.pods.first() else { return Ok(None) };
    let completed = names::resolver_of(case, pod)?.tried_before(name);
    let Some((taken, domain)) = taken(case, name, &completed, addresses)? else { return Ok(None) };
    let nobody = case.ask(case.resolve(&format!("{NOBODY}.{domain}")))?;
    if !names::is_found(nobody) {
        return Ok(None);
    }
    let served = answer(case, addresses)?;
    let confidence = if served.is_some() { Confidence::Proven } else { Confidence::Likely };
    let service = case.service_ref().ok_or_else(|| Missing::Fact("the Service".into()))?;
    let message = format!(
        "{service} stands for {name}, which the gateway's resolver completes to {name}.{domain}: a wildcard record of {domain} answers that, and leads elsewhere."
    );
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&service, "spec.externalName")
        .object(&pod.reference(), "spec.dnsConfig")
        .states(format!("inside {}: /etc/resolv.conf has {domain} in its search list", pod.reference()));
    finding = [Some(taken), Some(nobody), Some(right), served].into_iter().flatten().fold(finding, |f, seen| f.saw(seen));
    Ok(finding
        .proof(taken.to_string(), right.to_string())
        .fix(format!("Keep the gateway's resolver from completing {name}: ndots:1, or {domain} taken out of its search list."))
        .command(names::dns_option(case, gateway, &serde_json::json!({"name": "ndots", "value": "1"})))
        .into())
}

/// The first completed name that exists, and the domain that completes it, where it leads to none of the right addresses.
fn taken<'a>(case: &Case<'a>, name: &str, completed: &[String], right: &[IpAddr]) -> Result<Option<(&'a Observation, String)>, Missing> {
    if completed.is_empty() {
        return Ok(None);
    }
    let answers = case.ask_all(completed.iter().map(|n| case.resolve(n)).collect())?;
    let first = completed.iter().find_map(|whole| {
        let seen = answers.iter().copied().find(|o| o.probe == case.resolve(whole))?;
        let Outcome::Resolved(addresses) = &seen.outcome else { return None };
        Some((seen, whole, addresses))
    });
    let elsewhere = first.filter(|(_, _, addresses)| !addresses.iter().any(|ip| right.contains(ip)));
    Ok(elsewhere.map(|(seen, whole, _)| (seen, whole[name.len() + 1..].to_owned())))
}

/// The route's request to the right addresses, where one answers it.
fn answer<'a>(case: &Case<'a>, addresses: &[IpAddr]) -> Result<Option<&'a Observation>, Missing> {
    let Some(port) = case.service_port()? else { return Ok(None) };
    let requests = addresses.iter().take(2).map(|ip| case.request_to(SocketAddr::new(*ip, port.port), case.path.backend.scheme));
    match case.ask_all(requests.collect()) {
        Err(missing @ Missing::Probes(_)) => Err(missing),
        Err(Missing::Fact(_)) => Ok(None),
        Ok(seen) => Ok(seen.into_iter().find(|o| o.signature().is_none())),
    }
}
