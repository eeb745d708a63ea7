//! What the causes about DNS share: the name that the gateway has to look up, and what the cluster's servers say.

use std::net::{IpAddr, SocketAddr};

use super::policies::gets_no_answer;
use crate::causes::{Case, Missing};
use crate::evidence::inside::Resolver;
use crate::path::{Dials, Gateway, Implementation, dns};
use crate::probe::{DnsFailure, Observation, Outcome, Probe, Question};
use crate::snapshot::objects::{Kind, ObjectRef, Pod, ServiceType, is_subset};

/// DNS servers asked at most.
const SERVERS: usize = 16;

/// The name of an ExternalName Service. None where it is an address, and for other Services.
pub fn external<'a>(case: &Case<'a>) -> Result<Option<&'a str>, Missing> {
    let Some(service) = case.service()?.filter(|s| s.service_type == ServiceType::ExternalName) else { return Ok(None) };
    let name = service.external_name.as_deref().unwrap_or_default();
    Ok((!name.is_empty() && name.parse::<IpAddr>().is_err()).then_some(name))
}

/// A name that the gateway has to look up for a route.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// The name.
    pub name: String,
    /// Whether it is sure that it does; else its configuration may have the Service's name in it, or addresses.
    pub sure: bool,
}

/// The name that the gateway looks up for a route: that of an ExternalName; or the Service's own, where what the gateway dials is not known, it
/// gets no answer, and the endpoints answer directly.
pub fn looked_up(case: &Case<'_>) -> Result<Option<LookedUp>, Missing> {
    if let Some(name) = external(case)? {
        return Ok((!is_not_found(case)).then(|| LookedUp { name: name.to_owned(), sure: true }));
    }
    let apache = case.path.gateway.known().is_some_and(|g| g.implementation == Implementation::Apache);
    // Apache says 500 where a name does not resolve.
    let own_500 = apache && !case.failures.is_empty() && case.failures.iter().all(|o| o.response().is_some_and(|r| r.status == 500));
    if case.path.backend.dials != Dials::Unknown || !(own_500 || gets_no_answer(case)) {
        return Ok(None);
    }
    let views = case.walked()?;
    let answer = !views.is_empty() && views.iter().all(|v| v.seen.signature().is_none());
    let key = case.path.route.service.as_ref().filter(|_| answer);
    Ok(key.map(|key| LookedUp { name: dns::name_of(key), sure: false }))
}

/// Whether the gateway says that it does not know the route: then it has not come to look a name up.
pub fn is_not_found(case: &Case<'_>) -> bool {
    let Some(gateway) = case.path.gateway.known() else { return false };
    let of_route = |o: &Observation| match &o.probe.question {
        Question::Request(r) => {
            gateway.entrances.iter().any(|e| e.address == r.to) && Some(&r.host) == case.path.route.asked_host().as_ref()
        }
        _ => false,
    };
    case.seen.values().any(|o| of_route(o) && o.response().is_some_and(|r| r.status == 404))
}

/// Whether the gateway's pods may look names up elsewhere: on the host's network they use the node's servers, unless they are told otherwise.
pub fn may_ask_elsewhere(case: &Case<'_>) -> bool {
    case.path.gateway.known().is_none_or(|g| g.pods.iter().any(|p| p.host_network))
}

/// A name at each of the cluster's DNS servers. The first one's answer is that of [`Case::resolve`].
pub fn at_each<'a>(case: &Case<'a>, name: &str) -> Result<Vec<&'a Observation>, Missing> {
    case.ask_all(probes(case, name))
}

/// The look-ups of a name at each of the cluster's DNS servers.
pub fn probes(case: &Case<'_>, name: &str) -> Vec<Probe> {
    let at = |server: SocketAddr| Question::Resolve { name: name.to_owned(), server: Some(server) };
    let servers = dns::servers(case.snapshot).into_iter().take(SERVERS);
    servers.map(|server| Probe { timeout: case.timeout, ..Probe::new(at(server)) }).collect()
}

/// What a server answered, among the answers of several.
pub fn of_server<'a>(answers: &[&'a Observation], like: &Observation) -> Option<&'a Observation> {
    answers.iter().copied().find(|o| o.probe.address() == like.probe.address())
}

/// How many of the servers of the cluster's DNS fail, and which: `1 of the 2 servers of the cluster's DNS, … (10.244.1.3:53)`.
pub fn share(failing: &[&Observation], all: usize, service: &ObjectRef) -> String {
    let servers: Vec<String> = failing.iter().filter_map(|o| o.probe.address()).map(|to| to.to_string()).collect();
    format!("{} of the {all} servers of the cluster's DNS, {service} ({})", failing.len(), servers.join(", "))
}

/// How a pod looks names up, seen from inside it.
pub fn resolver_of<'a>(case: &Case<'a>, pod: &Pod) -> Result<&'a Resolver, Missing> {
    let resolver = case.look(pod)?.inside.resolver.as_ref();
    resolver.ok_or_else(|| Missing::Fact(format!("the resolv.conf of {} was not seen", pod.reference())))
}

/// The command that gives the gateway's pods an option of their resolver.
pub fn dns_option(case: &Case<'_>, gateway: &Gateway, option: &serde_json::Value) -> String {
    let namespace = &gateway.service.meta.namespace;
    let selector = gateway.service.selector.clone().unwrap_or_default();
    let makes_pods = |kind: Kind| matches!(kind, Kind::Deployment | Kind::DaemonSet | Kind::StatefulSet);
    let workload = case.snapshot.workloads_in(namespace).find(|w| makes_pods(w.kind) && is_subset(&selector, &w.template_labels));
    let name = workload.map_or_else(|| "deployment NAME".to_owned(), |w| format!("{} {}", w.kind.to_string().to_lowercase(), w.meta.name));
    let patch = serde_json::json!({"spec": {"template": {"spec": {"dnsConfig": {"options": [option]}}}}});
    format!("kubectl -n {namespace} patch {name} -p '{patch}'")
}

/// Whether nobody answered a look-up.
pub fn is_silent(observation: &Observation) -> bool {
    matches!(observation.outcome, Outcome::NotResolved(DnsFailure::Timeout | DnsFailure::Unreachable))
}

/// Whether a look-up found no answer, which is not the same as that the name does not exist.
pub fn is_failing(observation: &Observation) -> bool {
    is_silent(observation) || matches!(observation.outcome, Outcome::NotResolved(DnsFailure::ServFail))
}

/// Whether a name was found.
pub fn is_found(observation: &Observation) -> bool {
    matches!(observation.outcome, Outcome::Resolved(_))
}

/// Whether a resolver in the gateway's pod makes a name of this one that exists: it tries the domains of its namespace and its cluster too.
pub fn is_completed(case: &Case<'_>, name: &str) -> Result<bool, Missing> {
    let Some(gateway) = case.path.gateway.known() else { return Ok(false) };
    let whole = dns::completions(name, &gateway.service.meta.namespace);
    if whole.is_empty() {
        return Ok(false);
    }
    let answers = case.ask_all(whole.iter().map(|n| case.resolve(n)).collect())?;
    Ok(answers.into_iter().any(is_found))
}

/// Whether the vantage's own resolver, asked in place of servers that are not known, is one of the cluster's: else what it does not find says
/// nothing.
pub fn asks_the_cluster(case: &Case<'_>, name: &str) -> Result<bool, Missing> {
    if !dns::servers(case.snapshot).is_empty() || !dns::is_inside(name) {
        return Ok(true);
    }
    Ok(is_found(case.ask(case.resolve(dns::KNOWN_NAME))?))
}
