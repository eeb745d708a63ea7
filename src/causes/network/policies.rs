//! What the causes about NetworkPolicies share: endpoints that the gateway does not reach, and the policies that deny them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::{gateway_pod, node_of};
use crate::api::Confidence;
use crate::causes::{Case, EndpointView, Missing, known, sample};
use crate::fact::Fact;
use crate::path::policy::cluster::{self, Connection, Said};
use crate::path::policy::{self, Decision, Direction, Peer};
use crate::path::{Gateway, dns};
use crate::probe::{Observation, Outcome, Signature};
use crate::snapshot::objects::{ClusterPolicy, Kind, NetworkPolicy, ObjectRef, Pod, PolicyPort, Tier, Transport};

/// How a connection fails that a policy denies, by enforcer.
pub const BLOCKED: &[Signature] = &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach, Signature::NetUnreach];
/// Above this a gateway has waited for somebody; what is refused fails within milliseconds.
const WAITED: Duration = Duration::from_secs(1);

/// Where a node's DNS cache listens (Kubernetes documentation, NodeLocal DNSCache).
const NODE_CACHE: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 20, 10));

/// An endpoint that the gateway does not reach, and the policies that keep one of its pods from there.
#[derive(Clone, Debug)]
pub struct Denied<'a> {
    /// The endpoint, with what the gateway's request to it showed from here.
    pub view: EndpointView<'a>,
    /// The endpoint's port.
    pub port: u16,
    /// The gateway's pod.
    pub gateway: &'a Arc<Pod>,
    /// The NetworkPolicies that select the pod in this direction, none of which admits the connection; empty where `by` denies it.
    pub policies: Vec<Arc<NetworkPolicy>>,
    /// The policy of the whole cluster that denies the connection. Not every pod network enforces those.
    pub by: Option<Arc<ClusterPolicy>>,
    /// The policy of the whole cluster that admits the connection before NetworkPolicies are asked, where it is enforced.
    pub contested_by: Option<Arc<ClusterPolicy>>,
    /// Whether it is known that there is none such.
    uncontested: bool,
    direction: Direction,
    /// Whether somebody in the endpoint's pod listens there, where a look showed that.
    listens: Option<bool>,
    /// Whether every endpoint was asked: one that was not might have shown that nobody enforces the policies.
    all_asked: bool,
}

impl Denied<'_> {
    /// The NetworkPolicies as references.
    pub fn names(&self) -> BTreeSet<ObjectRef> {
        self.policies.iter().map(|p| reference(p)).collect()
    }

    /// How sure it is that the policies are what fails. Silence is what enforcers give; a refusal is what a closed port gives as well.
    /// From inside the gateway's own pod, whoever is judged is who was stopped.
    pub fn confidence(&self, case: &Case<'_>) -> Confidence {
        let waited = |o: &&Observation| o.signature() == Some(Signature::ReadTimeout) || o.took >= WAITED;
        let inside = gateway_pod(case, self.view.seen).is_some();
        match (self.view.seen.signature(), self.direction) {
            _ if self.by.is_some() || !self.uncontested => Confidence::Likely,
            _ if inside && !self.all_asked => Confidence::Likely,
            (Some(Signature::ConnTimeout), _) if inside => Confidence::Proven,
            // A reject comes at once; an address that nobody has is looked for first.
            (Some(Signature::HostUnreach), _) if inside && self.view.seen.took < WAITED => Confidence::Proven,
            // Somebody listens, so that it is not the port that refuses.
            (Some(Signature::Refused), _) if inside && self.listens == Some(true) => Confidence::Proven,
            // The gateway's own policies do not apply here: what keeps this vantage away is something else or also that.
            (Some(Signature::ConnTimeout), Direction::Ingress) => Confidence::Proven,
            (None, _) if case.failures.iter().all(waited) => Confidence::Proven,
            (_, _) => Confidence::Likely,
        }
    }

    /// What the policies say with another reading of their ports or of who the gateway is.
    pub fn decide(&self, case: &Case<'_>, gateway: Peer<'_>, admits: &dyn Fn(&PolicyPort) -> bool) -> Option<Decision> {
        let policies = Fact::Known(self.policies.clone());
        let backend = self.backend();
        let (pod, peer) = match self.direction {
            Direction::Ingress => (self.view.endpoint.pod.known()?.as_ref(), gateway),
            Direction::Egress => (self.gateway.as_ref(), backend),
        };
        policy::decide(case.snapshot, &policies, self.direction, pod, &peer, admits).known().cloned()
    }

    /// Who stands at the other end of the pod that the policies select.
    pub fn peer(&self) -> Peer<'_> {
        match self.direction {
            Direction::Ingress => Peer::of(self.gateway),
            Direction::Egress => self.backend(),
        }
    }

    /// The node whose network enforces these policies, where it is known: that of the pod that they select.
    fn enforced_on(&self) -> Option<&str> {
        match self.direction {
            Direction::Ingress => node_of(self.view.endpoint),
            Direction::Egress => self.gateway.node.as_deref(),
        }
    }

    /// Whether this pair, which connects, shows that nobody enforces there what denies another one: policies of the same sort, on the same node.
    fn shows_unenforced(&self, other: &Denied<'_>) -> bool {
        let same_sort = self.by.is_some() == other.by.is_some() && (self.by.is_some() || self.uncontested);
        same_sort && self.enforced_on().is_some() && self.enforced_on() == other.enforced_on()
    }

    fn backend(&self) -> Peer<'_> {
        backend(&self.view)
    }
}

fn backend<'v>(view: &'v EndpointView<'_>) -> Peer<'v> {
    let address = std::slice::from_ref(&view.endpoint.address);
    view.endpoint.pod.known().map_or(Peer::outside(address), |pod| Peer::of(pod))
}

/// A policy's reference.
pub fn reference(policy: &NetworkPolicy) -> ObjectRef {
    ObjectRef { kind: Kind::NetworkPolicy, key: policy.meta.key() }
}

/// The endpoints that the gateway does not reach and that policies in this direction keep it from.
pub fn denied<'a>(case: &Case<'a>, direction: Direction) -> Result<Vec<Denied<'a>>, Missing> {
    let views = case.walked()?;
    let unreached = views.iter().copied().filter(unreached(case, direction));
    let Pairs { denied: mut found, unknown } = pairs(case, direction, unreached)?;
    if found.is_empty() {
        return unknown.map_or(Ok(found), |why| Err(Missing::Fact(why)));
    }
    // A pair that policies deny and that connects all the same: nobody enforces them there, and whatever else fails there has another reason.
    let reached = views.iter().copied().filter(|v| v.seen.signature().is_none() && gateway_pod(case, v.seen).is_some());
    let ignored = pairs(case, direction, reached)?.denied;
    found.retain(|denied| !ignored.iter().any(|i| i.shows_unenforced(denied)));
    found.sort_by_key(|denied| denied.by.is_some());
    let ready = sample(&case.path.backend.endpoints).filter(|e| e.ready && e.socket().is_some()).count();
    for denied in &mut found {
        denied.all_asked = views.len() == ready;
        if denied.view.seen.signature() == Some(Signature::Refused) {
            denied.listens = listens(case, denied)?;
        }
    }
    // A port that nobody listens on refuses whoever asks.
    found.retain(|denied| denied.listens != Some(false));
    Ok(found)
}

/// Whether somebody in the endpoint's pod listens for what comes to it; nothing where nobody can look.
fn listens(case: &Case<'_>, denied: &Denied<'_>) -> Result<Option<bool>, Missing> {
    let Some(pod) = denied.view.endpoint.pod.known() else { return Ok(None) };
    let look = case.look_if_possible(pod)?;
    Ok(look.map(|l| l.inside.listens_at(denied.view.endpoint.address, denied.port).is_served()))
}

/// Pairs of a gateway's pod and an endpoint.
#[derive(Default)]
struct Pairs<'a> {
    /// Those that policies keep apart, on paper.
    denied: Vec<Denied<'a>>,
    /// Why it is not known of some whether policies of the whole cluster do.
    unknown: Option<String>,
}

/// Those of the endpoints that policies keep the gateway's pods from, on paper.
fn pairs<'a>(case: &Case<'a>, direction: Direction, views: impl Iterator<Item = EndpointView<'a>>) -> Result<Pairs<'a>, Missing> {
    let mut found = Pairs::default();
    let mut views = views.peekable();
    let Some(gateway) = (if views.peek().is_some() { case.gateway()? } else { None }) else { return Ok(found) };
    let policies = match direction {
        Direction::Ingress => case.path.backend.policies.clone(),
        Direction::Egress => case.snapshot.policies_in(&gateway.service.meta.namespace),
    };
    for view in views {
        let Some(port) = view.endpoint.port else { continue };
        let sender = gateway_pod(case, view.seen);
        // What one pod of the gateway was seen to get says nothing of another one.
        for pod in gateway.pods.iter().filter(|pod| sender.is_none_or(|sender| Arc::ptr_eq(sender, pod))) {
            let decision = match (direction, view.endpoint.pod.known()) {
                (Direction::Ingress, None) => continue,
                // Most networks let a node reach its own pods, whatever policies say.
                (Direction::Ingress, Some(backend)) if pod.host_network && pod.node == backend.node => continue,
                (Direction::Ingress, Some(backend)) => policy::ingress(case.snapshot, &policies, backend, port, &Peer::of(pod)),
                (Direction::Egress, to) => {
                    let to = (&backend(&view), to.map(AsRef::as_ref));
                    policy::egress(case.snapshot, &policies, pod, to, (Transport::Tcp, port))
                }
            };
            let Some(decision) = known(&decision, "what NetworkPolicies say")?.cloned() else { continue };
            let Some(connection) = connection(direction, &view, pod, port) else { continue };
            let mut denied = Denied {
                view,
                port,
                gateway: pod,
                policies: Vec::new(),
                by: None,
                contested_by: None,
                uncontested: false,
                direction,
                listens: None,
                all_asked: true,
            };
            if let Decision::Denied(policies) = decision {
                denied.policies = policies;
                match cluster::ask(case.snapshot, Tier::Admin, &connection) {
                    Fact::Known(Said::Allowed(by)) => denied.contested_by = Some(by),
                    Fact::Known(Said::Nothing | Said::Denied(_)) => denied.uncontested = true,
                    Fact::Absent | Fact::NotAsked | Fact::Failed(_) => {}
                }
                found.denied.push(denied);
                continue;
            }
            let by = cluster::denied(case.snapshot, &connection, decision == Decision::Admitted);
            match known(&by, "what policies of the whole cluster say") {
                Ok(Some(Some(by))) => found.denied.push(Denied { by: Some(by.clone()), ..denied }),
                Ok(_) => {}
                Err(Missing::Fact(why)) => found.unknown = Some(why),
                Err(probes) => return Err(probes),
            }
        }
    }
    Ok(found)
}

/// A gateway's pod and an endpoint as policies see them, from the end whose policies are asked.
fn connection<'v>(direction: Direction, view: &'v EndpointView<'_>, gateway: &'v Pod, port: u16) -> Option<Connection<'v>> {
    let backend_pod = view.endpoint.pod.known().map(AsRef::as_ref);
    let (pod, peer, peer_pod) = match direction {
        Direction::Ingress => (backend_pod?, Peer::of(gateway), Some(gateway)),
        Direction::Egress => (gateway, backend(view), backend_pod),
    };
    Some(Connection { direction, pod, peer, peer_pod, transport: Transport::Tcp, port })
}

/// Whether an endpoint cannot be connected to from here, or answers here while the gateway gets no answer from it. One that answers inside the
/// gateway's own pod is reached, whatever policies say.
fn unreached<'a>(case: &Case<'a>, direction: Direction) -> impl Fn(&EndpointView<'a>) -> bool {
    let away = gets_no_answer(case);
    move |v| {
        let inside = gateway_pod(case, v.seen).is_some();
        match v.seen.signature() {
            None => away && !inside,
            // Who refuses a vantage elsewhere is not the gateway's own policy.
            Some(Signature::Refused) => direction == Direction::Ingress || inside,
            Some(signature) => BLOCKED.contains(&signature),
        }
    }
}

/// Whether the gateway fails as one does that cannot connect: with silence, or its own 502, 503 or 504.
pub fn gets_no_answer(case: &Case<'_>) -> bool {
    let alike = |o: &&Observation| match &o.outcome {
        Outcome::Response(response) => matches!(response.status, 502..=504),
        _ => o.signature() == Some(Signature::ReadTimeout),
    };
    !case.failures.is_empty() && case.failures.iter().all(alike)
}

/// The pods of a gateway that a policy selects for outgoing traffic; empty where none is, without asking anything.
fn egress_selects<'a>(case: &Case<'a>, gateway: &'a Gateway) -> Result<Vec<&'a Arc<Pod>>, Missing> {
    let policies = case.snapshot.policies_in(&gateway.service.meta.namespace);
    let Some(policies) = known(&policies, "NetworkPolicies of the gateway's namespace")? else { return Ok(Vec::new()) };
    let selected = |p: &&Arc<Pod>| policies.iter().any(|policy| policy.egress.is_some() && policy.pods.matches(&p.meta.labels));
    Ok(gateway.pods.iter().filter(selected).collect())
}

/// A pod of the gateway that policies keep from every DNS server.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// The pod.
    pub pod: &'a Arc<Pod>,
    /// The policies.
    pub policies: BTreeSet<ObjectRef>,
}

/// A pod of the gateway that policies keep from every DNS server, if there is one.
pub fn kept_from_dns<'a>(case: &Case<'a>, gateway: &'a Gateway) -> Result<Option<Kept<'a>>, Missing> {
    let mut kept = None;
    for pod in egress_selects(case, gateway)? {
        if let Some(policies) = keeps_from_dns(case, pod)? {
            kept = Some(Kept { pod, policies });
        }
    }
    Ok(kept)
}

/// The policies that keep a pod from every DNS server, wherever it may ask; nothing where a rule leads to one.
fn keeps_from_dns(case: &Case<'_>, pod: &Arc<Pod>) -> Result<Option<BTreeSet<ObjectRef>>, Missing> {
    let all = case.snapshot.policies_in(&pod.meta.namespace);
    let mut denying = BTreeSet::new();
    let mut decide = |peer: &Peer<'_>, to: Option<&Pod>, port: u16| -> Result<bool, Missing> {
        let decision = policy::egress(case.snapshot, &all, pod, (peer, to), (Transport::Udp, port));
        match known(&decision, "what NetworkPolicies say")? {
            Some(Decision::Denied(policies)) => denying.extend(policies.iter().map(|p| reference(p))),
            Some(Decision::Admitted | Decision::NotSelected) | None => return Ok(false),
        }
        Ok(true)
    };
    let servers = dns::servers(case.snapshot);
    if servers.is_empty() {
        return Ok(None);
    }
    for server in servers {
        let pods = case.snapshot.pods_at(server.ip());
        let Some(pods) = known(&pods, "the pods of the cluster's DNS")? else { continue };
        let address = [server.ip()];
        let to = pods.first();
        if !decide(&to.map_or(Peer::outside(&address), |p| Peer::of(p)), to.map(AsRef::as_ref), server.port())? {
            return Ok(None);
        }
    }
    let own = dns::services(case.snapshot).flat_map(|s| s.cluster_ips.iter().copied()).chain([NODE_CACHE]);
    for address in own {
        if !decide(&Peer::outside(&[address]), None, 53)? {
            return Ok(None);
        }
    }
    Ok(Some(denying))
}

/// Names of policies as a sentence begins with them.
pub fn listed(policies: &BTreeSet<ObjectRef>) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
