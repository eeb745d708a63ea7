//! What each of the gateway's nodes makes of the Service's address, which its kube-proxy translates.

use std::net::SocketAddr;

use super::policies;
use crate::causes::nodes::{self, Source};
use crate::causes::{Case, Missing, sample};
use crate::path::{Dials, dns};
use crate::probe::{Observation, Outcome, Probe, Signature};
use crate::snapshot::objects::{Service, Transport};

/// Where a Service's address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To one of its endpoints.
    Home,
    /// To somebody who answers as no endpoint does.
    Astray,
    /// To nobody.
    Nowhere,
}

/// One node's translation.
#[derive(Clone, Debug)]
pub struct AtNode<'a> {
    /// Who asked there.
    pub source: Source<'a>,
    /// The route's request to the Service's address.
    pub through: &'a Observation,
    /// Where it leads.
    pub leads: Leads,
    /// The route's request to an endpoint, which answers.
    pub direct: &'a Observation,
    /// The address of another Service, where one connects there.
    pub other: Option<&'a Observation>,
    /// Whether no other Service's address connects there, all of them asked.
    pub translates_nothing: bool,
}

/// What a gateway dials, by its own word or as it seems.
pub fn dials_address(case: &Case<'_>) -> Option<bool> {
    match case.path.backend.dials {
        Dials::ServiceAddress(_) => Some(true),
        Dials::Unknown => Some(false),
        Dials::Endpoints => None,
    }
}

/// The Service's address, as a gateway dials it.
pub fn address(case: &Case<'_>) -> Result<Option<SocketAddr>, Missing> {
    let (Some(service), Some(port)) = (case.service()?, case.service_port()?) else { return Ok(None) };
    Ok(service.cluster_ips.first().map(|ip| SocketAddr::new(*ip, port.port)))
}

/// The nodes on which all endpoints answer, where the gateway gets no answer from the Service's address. Empty where no agent is.
pub fn of<'a>(case: &Case<'a>) -> Result<Vec<AtNode<'a>>, Missing> {
    if dials_address(case).is_none() || !policies::gets_no_answer(case) || case.service()?.is_none_or(|s| s.internal_local) {
        return Ok(Vec::new());
    }
    let Some(address) = address(case)? else { return Ok(Vec::new()) };
    if case.walked()?.iter().any(|v| v.seen.signature().is_some()) {
        return Ok(Vec::new());
    }
    // A pod that is itself an endpoint may fail to reach itself, whatever the rules say.
    let is_endpoint = |s: &Source<'_>| case.path.backend.endpoints.iter().any(|e| s.pod.ips.contains(&e.address));
    let sources: Vec<Source<'a>> = nodes::sources(case)?.into_iter().filter(|s| !is_endpoint(s)).collect();
    let endpoints: Vec<SocketAddr> =
        sample(&case.path.backend.endpoints).filter(|e| e.ready).filter_map(crate::path::Endpoint::socket).collect();
    let request = |source: &Source<'_>, to: SocketAddr| source.probe(case.request_to(to, case.path.backend.scheme));
    let controls: Vec<SocketAddr> = controls(case).collect();
    let control = |source: &Source<'_>, to: &SocketAddr| source.probe(case.connect_to(*to));
    let wanted = sources.iter().flat_map(|s| {
        let direct = endpoints.iter().map(|to| request(s, *to));
        direct.chain(controls.iter().map(|to| control(s, to))).chain([request(s, address)])
    });
    let unasked: Vec<Probe> = wanted.filter(|p| !case.seen.contains_key(p)).collect();
    if !unasked.is_empty() {
        return Err(Missing::Probes(unasked));
    }
    let at_node = |source: &Source<'a>| {
        let direct: Vec<&Observation> = endpoints.iter().filter_map(|to| case.seen.get(&request(source, *to))).collect();
        let answered = direct.iter().all(|o| o.response().is_some_and(|r| r.status < 500));
        let first = direct.first().copied().filter(|_| answered)?;
        let through = case.seen.get(&request(source, address))?;
        let others: Vec<&Observation> = controls.iter().filter_map(|to| case.seen.get(&control(source, to))).collect();
        let other = others.iter().copied().find(|o| o.outcome == Outcome::Connected);
        let translates_nothing = !others.is_empty() && others.iter().all(|o| o.signature().is_some());
        Some(AtNode { source: *source, through, leads: leads(through, &direct)?, direct: first, other, translates_nothing })
    };
    Ok(sources.iter().filter_map(at_node).collect())
}

/// Where an address leads; nothing where the answer does not tell.
fn leads(through: &Observation, direct: &[&Observation]) -> Option<Leads> {
    match (&through.outcome, through.signature()) {
        (Outcome::Response(got), _) => {
            let is_theirs = direct.iter().filter_map(|o| o.response()).any(|r| r.status == got.status);
            Some(if is_theirs { Leads::Home } else { Leads::Astray })
        }
        (_, Some(Signature::Refused | Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach)) => Some(Leads::Nowhere),
        _ => None,
    }
}

/// Addresses of other Services that have to work: the cluster's DNS and the gateway's own.
pub fn controls(case: &Case<'_>) -> impl Iterator<Item = SocketAddr> {
    let address = |s: &Service| {
        let port = s.ports.iter().find(|p| p.transport == Transport::Tcp)?;
        Some(SocketAddr::new(*s.cluster_ips.first()?, port.port))
    };
    let dns = dns::services(case.snapshot).find_map(|s| address(s));
    let own = case.path.gateway.known().and_then(|g| address(&g.service));
    [dns, own].into_iter().flatten()
}
