//! What a cause may look at: one path, the snapshot around it, and what was seen so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::causes::{Missing, Platform};
use crate::fact::Fact;
use crate::path::{Endpoint, Gateway, Path};
use crate::probe::{Observation, Outcome, Probe, Question, Request, Scheme, Signature};
use crate::snapshot::objects::{Event, IngressClass, Key, Kind, ObjectRef, Pod, Service, ServicePort, Workload};
use crate::snapshot::{Coverage, Snapshot};

/// Everything that was asked in one diagnosis, by the question.
pub type Observations = BTreeMap<Probe, Observation>;

/// What asking the route end to end has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndToEnd {
    /// Nobody asked, for this reason.
    NotAsked(String),
    /// Every request was answered as expected.
    Works,
    /// Some requests failed.
    Partly {
        /// Requests that failed.
        failed: usize,
        /// Requests sent.
        asked: usize,
    },
    /// Every request failed.
    Fails,
}

/// One path under judgement.
#[derive(Debug)]
pub struct Case<'a> {
    /// The whole snapshot, for what lies beside the path.
    pub snapshot: &'a Snapshot,
    /// The path.
    pub path: &'a Path,
    /// What was asked so far.
    pub seen: &'a Observations,
    /// What asking end to end has shown.
    pub end_to_end: &'a EndToEnd,
    /// Requests through the gateway that failed, first one first.
    pub failures: &'a [&'a Observation],
    /// Requests through the gateway that were answered as expected.
    pub successes: &'a [&'a Observation],
    /// Whether probes can be sent at all; offline they cannot.
    pub online: bool,
    /// Limit of one walking probe.
    pub timeout: Duration,
}

/// An endpoint with what the gateway's own request to it showed.
#[derive(Clone, Copy, Debug)]
pub struct EndpointView<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// The request that the gateway would send, and what came of it.
    pub seen: &'a Observation,
}

impl<'a> Case<'a> {
    /// The answer to a probe; where it was not asked yet, asks the engine for it.
    pub fn ask(&self, probe: Probe) -> Result<&'a Observation, Missing> {
        match self.seen.get(&probe) {
            Some(Observation { outcome: Outcome::NotSent(why), .. }) => Err(Missing::Fact(format!("{probe}: {why}"))),
            Some(observation) => Ok(observation),
            None if self.online => Err(Missing::Probes(vec![probe])),
            None => Err(Missing::Fact(format!("{probe}: nothing is probed here"))),
        }
    }

    /// The answers to several probes, asked at once. Those that could not be sent are left out, unless none could.
    pub fn ask_all(&self, probes: Vec<Probe>) -> Result<Vec<&'a Observation>, Missing> {
        let unasked: Vec<Probe> = probes.iter().filter(|p| !self.seen.contains_key(p)).cloned().collect();
        if !unasked.is_empty() {
            return if self.online { Err(Missing::Probes(unasked)) } else { Err(Missing::Fact("nothing is probed here".into())) };
        }
        let answers = probes.iter().filter_map(|p| self.seen.get(p));
        let sent: Vec<_> = answers.filter(|o| !matches!(o.outcome, Outcome::NotSent(_))).collect();
        match probes.first() {
            Some(first) if sent.is_empty() => self.ask(first.clone()).map(|o| vec![o]),
            _ => Ok(sent),
        }
    }

    /// The request that the gateway sends to an address for this route.
    pub fn request_to(&self, to: std::net::SocketAddr, scheme: Scheme) -> Probe {
        endpoint_request(self.path, to, scheme, self.timeout)
    }

    /// A TCP connect within the walking limit.
    pub fn connect_to(&self, to: std::net::SocketAddr) -> Probe {
        Probe { timeout: self.timeout, ..Probe::connect(to) }
    }

    /// The Service, where it exists. Unknown where the snapshot does not cover it.
    pub fn service(&self) -> Result<Option<&'a Arc<Service>>, Missing> {
        known(&self.path.backend.service, "the Service")
    }

    /// The Service's port that the route names.
    pub fn service_port(&self) -> Result<Option<&'a ServicePort>, Missing> {
        known(&self.path.backend.port, "the Service's port")
    }

    /// The pods that the Service's selector matches; none where it has no selector.
    pub fn pods(&self) -> Result<&'a [Arc<Pod>], Missing> {
        if self.is_declared_only() {
            return Ok(&[]);
        }
        Ok(known(&self.path.backend.pods, "the Service's pods")?.map_or(&[], Vec::as_slice))
    }

    /// The warnings about an object. Unknown where Events could not be read.
    pub fn warnings(&self, about: &ObjectRef, uid: &str) -> Result<Vec<Arc<Event>>, Missing> {
        let warnings = self.snapshot.warnings_about(about, uid);
        Ok(known(&warnings, "Events")?.cloned().unwrap_or_default())
    }

    /// The time of the last answer; nothing where nothing was asked.
    pub fn now(&self) -> Option<Timestamp> {
        self.seen.values().map(|o| o.at).max()
    }

    /// The workloads that make pods under the Service's selector. Unknown where one of their kinds could not be read.
    pub fn workloads(&self) -> Result<&'a [Arc<Workload>], Missing> {
        if self.is_declared_only() {
            // Files that hold no workload beside the Service leave it to others to deploy one.
            let any = self.snapshot.workloads_in(self.namespace()).next().is_some();
            return if any { Ok(&self.path.backend.workloads) } else { Err(Missing::Fact("the files hold no workload".into())) };
        }
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet] {
            match self.snapshot.coverage(kind) {
                Coverage::Complete | Coverage::Only(..) => {}
                Coverage::NotLoaded => return Err(Missing::Fact(format!("{kind}s were not looked up"))),
                Coverage::Failed(why) => return Err(Missing::Fact(format!("{kind}s could not be looked up: {why}"))),
            }
        }
        Ok(&self.path.backend.workloads)
    }

    /// A look-up of a name at the cluster's own DNS, as the gateway does it.
    pub fn resolve(&self, name: &str) -> Probe {
        let server = crate::path::dns::servers(self.snapshot).first().copied();
        Probe { timeout: self.timeout, ..Probe::new(Question::Resolve { name: name.to_owned(), server }) }
    }

    /// Where an ExternalName Service leads: the addresses of its name, with the Service's port. Empty for other Services, and where the
    /// name does not resolve.
    pub fn external(&self) -> Result<Vec<std::net::SocketAddr>, Missing> {
        let Some(name) = self.service()?.and_then(|s| s.external_name.clone()) else { return Ok(Vec::new()) };
        let Some(port) = self.service_port()?.map(|p| p.port) else { return Ok(Vec::new()) };
        match &self.ask(self.resolve(&name))?.outcome {
            Outcome::Resolved(addresses) => Ok(addresses.iter().map(|ip| std::net::SocketAddr::new(*ip, port)).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// The gateway, where there is one.
    pub fn gateway(&self) -> Result<Option<&'a Gateway>, Missing> {
        Ok(known(&self.path.gateway, "the gateway")?.map(AsRef::as_ref))
    }

    /// The class that applies. Unknown where classes could not be looked up.
    pub fn class(&self) -> Result<Option<&'a Arc<IngressClass>>, Missing> {
        known(&self.path.class, "the IngressClass")
    }

    /// The requests through the gateway that were answered in any way, failing ones first.
    pub fn answers(&self) -> impl Iterator<Item = &'a Observation> {
        self.failures.iter().chain(self.successes).copied().filter(|o| o.response().is_some())
    }

    /// The request of an observation, sent elsewhere.
    pub fn same_request(&self, as_in: &Observation, to: std::net::SocketAddr, scheme: Scheme) -> Option<Probe> {
        let Question::Request(request) = &as_in.probe.question else { return None };
        let request = Request { to, scheme, ..(**request).clone() };
        Some(Probe { timeout: self.timeout, ..Probe::new(Question::Request(Arc::new(request))) })
    }

    /// The ready endpoints. Unknown where the snapshot does not cover the Service's slices.
    pub fn ready_endpoints(&self) -> Result<Vec<&'a Endpoint>, Missing> {
        if self.path.container.is_none() {
            known(&self.path.backend.slices, "the Service's EndpointSlices")?;
        }
        Ok(self.path.backend.ready_endpoints().collect())
    }

    /// Whether there is nothing but manifests: what runs was neither asked nor read, and only what is declared can be at fault.
    pub fn is_declared_only(&self) -> bool {
        let unread = |kind| *self.snapshot.coverage(kind) == Coverage::NotLoaded;
        !self.online && unread(Kind::Pod) && unread(Kind::EndpointSlice)
    }

    /// Whether the gateway has nobody to call: the Service and port exist, and no endpoint is ready.
    pub fn has_no_ready_endpoint(&self) -> Result<bool, Missing> {
        let (Some(service), Some(_)) = (self.service()?, self.service_port()?) else { return Ok(false) };
        if service.service_type == crate::snapshot::objects::ServiceType::ExternalName {
            return Ok(false);
        }
        if self.is_declared_only() {
            return Ok(service.selector.is_some());
        }
        Ok(self.ready_endpoints()?.is_empty())
    }

    /// Every ready endpoint that was walked, with what the gateway's own request to it showed.
    /// Asks for those that were not walked yet, up to the engine's sample.
    pub fn walked(&self) -> Result<Vec<EndpointView<'a>>, Missing> {
        self.ready_endpoints()?;
        let endpoints: Vec<_> = sample(&self.path.backend.endpoints).filter(|e| e.ready).collect();
        let sockets: Vec<_> = endpoints.iter().filter_map(|e| e.socket().map(|s| (*e, s))).collect();
        let probes = sockets.iter().map(|(_, s)| self.request_to(*s, self.path.backend.scheme)).collect();
        if sockets.is_empty() {
            return Ok(Vec::new());
        }
        self.ask_all(probes)?;
        let view = |(endpoint, socket): (&'a Endpoint, _)| {
            let seen = self.seen.get(&self.request_to(socket, self.path.backend.scheme))?;
            (!matches!(seen.outcome, Outcome::NotSent(_))).then_some(EndpointView { endpoint, seen })
        };
        Ok(sockets.into_iter().filter_map(view).collect())
    }

    /// The walked endpoints that show one of these signatures.
    pub fn walked_with(&self, signatures: &[Signature]) -> Result<Vec<EndpointView<'a>>, Missing> {
        let views = self.walked()?;
        Ok(views.into_iter().filter(|v| v.seen.signature().is_some_and(|s| signatures.contains(&s))).collect())
    }

    /// The route's object.
    pub fn target(&self) -> &'a ObjectRef {
        &self.path.route.target
    }

    /// The Service as a reference: the one named by the route, whether it exists or not.
    pub fn service_ref(&self) -> Option<ObjectRef> {
        self.path.route.service.clone().map(|key| ObjectRef { kind: Kind::Service, key })
    }

    /// The namespace of the backend.
    pub fn namespace(&self) -> &'a str {
        &self.path.route.target.key.namespace
    }

    /// What the route leads to, for messages: `Service shop/web`, or `upstream app:3000` of a gateway container.
    pub fn backend_name(&self) -> String {
        match &self.path.container {
            Some(container) => format!("upstream {}", container.upstream_name()),
            None => format!("Service {}", self.service_name()),
        }
    }

    /// The Service's key as `namespace/name`, for messages.
    pub fn service_name(&self) -> String {
        self.path.route.service.as_ref().map(Key::to_string).unwrap_or_default()
    }

    /// Where this path is: a cause of the other platform is not looked for.
    pub fn platform(&self) -> Platform {
        if self.path.container.is_some() { Platform::Docker } else { Platform::Kubernetes }
    }

    /// The first failing request through the gateway as a line of proof, or what is known instead.
    pub fn failing_line(&self) -> String {
        match (self.failures.first(), self.end_to_end) {
            (Some(failure), _) => failure.to_string(),
            (None, EndToEnd::NotAsked(why)) => format!("{} was not asked: {why}", self.path.route.title()),
            (None, _) => format!("{} does not answer as expected", self.path.route.title()),
        }
    }

    /// `all 3 endpoints` or `1 of 3 endpoints`.
    pub fn share(&self, part: usize) -> String {
        let all = self.path.backend.ready_endpoints().count();
        match (part, all) {
            (1, 1) => "the only endpoint".into(),
            (part, all) if part >= all => format!("all {all} endpoints"),
            (part, all) => format!("{part} of {all} endpoints"),
        }
    }
}

/// Endpoints walked at most; above that a sample is taken that covers every node and every state.
pub const ENDPOINT_SAMPLE: usize = 10;

/// The endpoints that are walked: all of them up to the sample's size, else one of each node first, then the others.
pub fn sample(endpoints: &[Endpoint]) -> impl Iterator<Item = &Endpoint> {
    let mut seen = Vec::new();
    let (mut first, mut rest): (Vec<&Endpoint>, Vec<&Endpoint>) = (Vec::new(), Vec::new());
    for endpoint in endpoints {
        let template = endpoint.pod.known().and_then(|p| p.meta.labels.get("pod-template-hash"));
        let kind = (&endpoint.node, endpoint.ready, template);
        // Once the sample is full, what is left is the same to it.
        if first.len() < ENDPOINT_SAMPLE && !seen.contains(&kind) {
            seen.push(kind);
            first.push(endpoint);
        } else {
            rest.push(endpoint);
        }
    }
    first.extend(rest);
    first.into_iter().take(ENDPOINT_SAMPLE)
}

/// A host that no route has but one for every host (RFC 6761: `.invalid` never exists). Asked for it, a gateway shows its own page
/// and its own certificate.
pub const NO_SUCH_HOST: &str = "no-such-route.culprit.invalid";

/// The request that a gateway sends to an endpoint for a path.
pub fn endpoint_request(path: &Path, to: std::net::SocketAddr, scheme: Scheme, timeout: Duration) -> Probe {
    let request = Request {
        to,
        scheme,
        server_name: path.server_name_sent(),
        method: crate::probe::Method::Get,
        host: path.host_for(to),
        path: path.path_sent(),
        headers: Vec::new(),
    };
    Probe { timeout, ..Probe::new(Question::Request(Arc::new(request))) }
}

/// A fact as a judgement needs it: there, not there, or missing.
pub fn known<'f, T>(fact: &'f Fact<T>, what: &str) -> Result<Option<&'f T>, Missing> {
    match fact {
        Fact::Known(value) => Ok(Some(value)),
        Fact::Absent => Ok(None),
        Fact::NotAsked => Err(Missing::Fact(format!("{what} was not looked up"))),
        Fact::Failed(why) => Err(Missing::Fact(format!("{what} could not be looked up: {why}"))),
    }
}
