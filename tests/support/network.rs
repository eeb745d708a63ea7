//! A scripted network: answers probes from what a fixture says stands at each address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use culprit::probe::{
    CERTIFICATE_WANTED, Certificate, DnsFailure, HeadFault, LogLine, Observation, Outcome, PathSize, PodRef, Probe, Question, Request,
    Response, Signature, TlsFacts, head,
};
use culprit::vantage::Vantage;
use futures::future::BoxFuture;
use serde::Deserialize;

use super::inside::ScriptedInside;

/// What stands at the addresses and names of a fixture.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// By `address:port`. A port that is not listed refuses where another port of its address is listed, else packets are lost.
    #[serde(default)]
    pub sockets: BTreeMap<SocketAddr, Socket>,
    /// By name; a name that is not listed does not exist. `name@10.244.1.3:53` is that name at one server, `name@own` at the vantage's own.
    #[serde(default)]
    pub names: BTreeMap<String, Name>,
    /// What pods look like from inside, by `namespace/name` (containers by `container name`); into those that are not listed nobody looks.
    #[serde(default)]
    pub inside: BTreeMap<String, ScriptedInside>,
    /// Lines of containers' logs, by the container's name; of those that are not listed nobody reads the log.
    #[serde(default)]
    pub logs: BTreeMap<String, Vec<String>>,
    /// How large packets to an address may be, as `passes/assumed` (`none` where no echo comes back); elsewhere it is not measured.
    #[serde(default)]
    pub sizes: BTreeMap<IpAddr, String>,
    /// The pod that probes are sent from inside, as `pod namespace/name`, but for those to gateways; else this is no pod.
    #[serde(default)]
    pub vantage: Option<String>,
    /// What is another thing at an address when it is asked from inside a pod, by `namespace/name`; pods that are not listed nobody enters.
    #[serde(default)]
    pub from: BTreeMap<String, BTreeMap<SocketAddr, Socket>>,
    /// The pod of `from` that what names no pod is asked from, but for requests to gateways and looks.
    #[serde(default)]
    pub asks_in: Option<String>,
}

/// What a name resolves to.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Name {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// These addresses, after a lost datagram was sent again in every so manieth attempt.
    Delayed { addresses: Vec<IpAddr>, every: u8 },
    /// One of: nxdomain, nodata, servfail, refused, timeout, unreachable, invalid, unavailable.
    Failure(String),
}

/// What stands at an address.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Socket {
    /// Nobody listens.
    Refused,
    /// Nobody listened when it was asked first.
    Opens,
    /// Packets are lost.
    Dropped,
    /// A firewall rejects: no route to host, at once.
    Rejected,
    /// Accepts and never answers.
    Silent,
    /// Answers HEAD; whatever has a body is lost on its way.
    Swallowed,
    /// Accepts and closes.
    Closes,
    /// Accepts and resets.
    Resets,
    /// Speaks another protocol, and first.
    Banner(String),
    /// Speaks HTTP/1 in plain text.
    Http(Page),
    /// Speaks HTTP/1 in TLS; plain requests get `plain`.
    Https(SecurePage),
    /// Speaks HTTP/2 only, in plain text.
    Http2(Page),
    /// A gateway: the routes of a fixture get `answers` by turns, every other host its own 404.
    Gateway(GatewayPage),
    /// Its queue is full for every second connection, by attempt; the first is taken.
    Overflows(Page),
    /// Closed the first connection, and answers later ones.
    Hiccups(Page),
    /// This vantage cannot ask there.
    Unavailable,
}

/// An answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    pub status: u16,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Other statuses by path.
    #[serde(default)]
    pub paths: BTreeMap<String, u16>,
    /// Other answers to requests that have a header (by its lower-case name), for a Host, and at a path; the first that fits counts.
    #[serde(default)]
    pub with: BTreeMap<String, Page>,
    #[serde(default)]
    pub hosts: BTreeMap<String, Page>,
    #[serde(default)]
    pub at: BTreeMap<String, Page>,
    /// The head as it comes, where its bytes matter, or only its length.
    #[serde(default)]
    pub head: String,
    #[serde(default)]
    pub head_length: usize,
    /// How the body ends too early: `short` or `chunks`.
    #[serde(default)]
    pub cut: Option<String>,
}

/// An answer over TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurePage {
    #[serde(flatten)]
    pub page: PageOnly,
    #[serde(default)]
    pub certificate: ScriptedCertificate,
    /// What a plain request gets: `400` (Go's text), `alert` or `reset`.
    #[serde(default)]
    pub plain: Option<String>,
    #[serde(default)]
    pub body: String,
    /// Other answers by Host.
    #[serde(default)]
    pub hosts: BTreeMap<String, Page>,
    /// Certificates of single server names, before `certificate`.
    #[serde(default)]
    pub certificates: BTreeMap<String, ScriptedCertificate>,
    /// Whether the server aborts the handshake for a name that `certificates` does not list, and without one.
    #[serde(default)]
    pub known_names_only: bool,
    /// The status for requests without a server name, where it is another.
    #[serde(default)]
    pub nameless: Option<u16>,
    /// Asks for a client certificate and without one: `optional` (answers), `alert`, `closes`.
    #[serde(default)]
    pub client_certificate: Option<String>,
    /// Whether only HTTP/2 is spoken.
    #[serde(default)]
    pub http2: bool,
}

impl SecurePage {
    /// What a handshake for a server name shows.
    fn facts(&self, server_name: Option<&str>) -> Result<TlsFacts, Outcome> {
        let named = server_name.and_then(|name| self.certificates.get(name));
        if self.known_names_only && named.is_none() {
            return Err(broken_because(Signature::TlsAlert, "TLS alert 112 (UnrecognisedName)"));
        }
        let facts = tls(named.unwrap_or(&self.certificate));
        Ok(TlsFacts { client_certificate_requested: self.client_certificate.is_some(), ..facts })
    }

    fn request(&self, request: &Request) -> Outcome {
        let facts = match self.facts(request.server_name.as_deref()) {
            Ok(facts) => facts,
            Err(outcome) => return outcome,
        };
        match self.client_certificate.as_deref() {
            Some("alert") => return broken_because(Signature::TlsAlert, &format!("TLS alert 116{CERTIFICATE_WANTED}")),
            Some("closes") => return broken_because(Signature::EofEarly, &format!("connection closed{CERTIFICATE_WANTED}")),
            _ => {}
        }
        if self.http2 && request.scheme != culprit::probe::Scheme::H2 {
            return broken(Signature::H1ToH2);
        }
        let status = if request.server_name.is_none() { self.nameless.unwrap_or(self.page.status) } else { self.page.status };
        let page = Page { status, body: self.body.clone(), hosts: self.hosts.clone(), ..Page::default() };
        respond(&page, request, Some(facts))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct PageOnly {
    #[serde(default)]
    pub status: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCertificate {
    #[serde(default)]
    pub common_name: Option<String>,
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub self_signed: bool,
    /// Validity; fixtures are asked at 1970-01-01T00:00:00Z.
    #[serde(default)]
    pub not_before: Option<jiff::Timestamp>,
    #[serde(default)]
    pub not_after: Option<jiff::Timestamp>,
}

/// A gateway's answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayPage {
    /// For the fixture's routes, by attempt, beginning anew at the end.
    pub answers: Vec<GatewayAnswer>,
    /// Set where this entrance speaks TLS.
    #[serde(default)]
    pub certificate: Option<ScriptedCertificate>,
    /// Certificates of single server names, before `certificate`.
    #[serde(default)]
    pub certificates: BTreeMap<String, ScriptedCertificate>,
    /// Answers of single paths (beginning with /) or hosts, before `answers`.
    #[serde(default)]
    pub only: BTreeMap<String, GatewayAnswer>,
    /// What a host that nobody has gets, where it is not a 404.
    #[serde(default)]
    pub strangers: Option<Page>,
    /// Server names whose handshake ends with this alert, before any certificate.
    #[serde(default)]
    pub alerts: BTreeMap<String, String>,
}

/// One answer of a gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum GatewayAnswer {
    Page(Box<Page>),
    /// The page, for those who wait three seconds for it.
    Slow(Box<Page>),
    Silent,
    Refused,
    Resets,
}

impl Vantage for Network {
    fn name(&self) -> &str {
        "the scripted network"
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        let pod = self.pod(probe);
        let outcome = match pod.as_ref().map(|pod| self.from.get(pod)) {
            Some(Some(other)) => self.with(other).outcome(probe),
            Some(None) => Outcome::NotSent("no agent of its node is connected".into()),
            None => self.outcome(probe),
        };
        let slow = matches!(&probe.question, Question::Request(r) if self.is_slow(r, probe));
        let took = Duration::from_millis(if slow { 3000 } else { self.lookup_takes(probe) });
        let anywhere = || self.vantage.clone().filter(|_| !self.is_of_gateway(probe)).unwrap_or_else(|| self.name().into());
        let vantage = pod.map_or_else(anywhere, |pod| if pod.contains('/') { format!("pod {pod}") } else { pod });
        let observation = Observation { probe: probe.clone(), vantage, at: jiff::Timestamp::UNIX_EPOCH, took, outcome };
        Box::pin(async move { observation })
    }
}

/// How a fixture names a pod or a container.
fn key(pod: &PodRef) -> String {
    pod.to_string().trim_start_matches("pod ").to_owned()
}

impl Network {
    fn is_of_gateway(&self, probe: &Probe) -> bool {
        probe.address().is_some_and(|to| matches!(self.sockets.get(&to), Some(Socket::Gateway(_))))
    }

    /// The pod that a probe is sent from.
    fn pod(&self, probe: &Probe) -> Option<String> {
        let elsewhere = self.is_of_gateway(probe) || matches!(probe.question, Question::Look(_));
        let named = probe.from.as_deref().map(key);
        named.or_else(|| self.asks_in.clone().filter(|pod| !elsewhere && self.from.contains_key(pod)))
    }

    /// The network with other things at some addresses. What cannot be asked at all cannot be asked from there either.
    fn with(&self, other: &BTreeMap<SocketAddr, Socket>) -> Network {
        let mut network = self.clone();
        let askable = other.iter().filter(|(at, _)| !matches!(self.sockets.get(at), Some(Socket::Unavailable)));
        network.sockets.extend(askable.map(|(at, socket)| (*at, socket.clone())));
        network
    }

    fn outcome(&self, probe: &Probe) -> Outcome {
        match &probe.question {
            Question::Resolve { name, server } => self.resolve(name, *server),
            Question::Connect { to } => match self.socket(*to) {
                Ok(Socket::Overflows(_)) if probe.attempt % 2 == 1 => broken(Signature::ConnTimeout),
                Ok(Socket::Opens) if probe.attempt == 0 => broken(Signature::Refused),
                Ok(Socket::Unavailable) => Outcome::NotSent("not available here".into()),
                Ok(_) => Outcome::Connected,
                Err(signature) => broken(signature),
            },
            Question::Handshake { to, server_name, .. } => self.handshake(*to, server_name.as_deref()),
            Question::Request(request) => self.request(request, probe),
            Question::Size { to } => self.size(*to),
            Question::Log(container) => self.logs.get(&container.name).map_or_else(
                || Outcome::NotSent("no log is read here".into()),
                |lines| Outcome::Logged(lines.iter().map(|text| LogLine { at: None, text: text.clone() }).collect()),
            ),
            Question::Look(pod) => self.inside.get(&key(pod)).map_or_else(
                || Outcome::NotSent("no agent looks into pods from here".into()),
                |scripted| Outcome::Seen(Box::new(scripted.inside(probe.attempt == 0))),
            ),
        }
    }

    fn size(&self, to: IpAddr) -> Outcome {
        let Some(text) = self.sizes.get(&to) else { return Outcome::NotSent("not measured here".into()) };
        let (passes, assumed) = text.split_once('/').unwrap_or_else(|| panic!("{text} is not passes/assumed"));
        let assumed = assumed.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        Outcome::Measured(PathSize { assumed, passes: passes.parse().ok() })
    }

    fn name_at(&self, name: &str, server: Option<SocketAddr>) -> Option<&Name> {
        let name = name.trim_end_matches('.');
        let at = server.map_or_else(|| "own".to_owned(), |server| server.to_string());
        self.names.get(&format!("{name}@{at}")).or_else(|| self.names.get(name))
    }

    /// In milliseconds.
    fn lookup_takes(&self, probe: &Probe) -> u64 {
        match &probe.question {
            Question::Resolve { name, server } => match self.name_at(name, *server) {
                Some(Name::Delayed { every, .. }) if probe.attempt.is_multiple_of(*every) => 901,
                _ => 1,
            },
            _ => 1,
        }
    }

    fn resolve(&self, name: &str, server: Option<SocketAddr>) -> Outcome {
        match self.name_at(name, server) {
            Some(Name::Addresses(ips) | Name::Delayed { addresses: ips, .. }) => Outcome::Resolved(ips.clone()),
            None => Outcome::NotResolved(DnsFailure::NxDomain),
            Some(Name::Failure(kind)) => match kind.as_str() {
                "nxdomain" => Outcome::NotResolved(DnsFailure::NxDomain),
                "nodata" => Outcome::NotResolved(DnsFailure::NoData),
                "servfail" => Outcome::NotResolved(DnsFailure::ServFail),
                "refused" => Outcome::NotResolved(DnsFailure::Refused),
                "timeout" => Outcome::NotResolved(DnsFailure::Timeout),
                "unreachable" => Outcome::NotResolved(DnsFailure::Unreachable),
                "invalid" => Outcome::NotResolved(DnsFailure::InvalidName),
                "unavailable" => Outcome::NotSent("not available here".into()),
                other => panic!("the fixture has an unknown DNS failure {other}"),
            },
        }
    }

    fn is_slow(&self, request: &Request, probe: &Probe) -> bool {
        let Some(Socket::Gateway(page)) = self.sockets.get(&request.to) else { return false };
        matches!(page.answers.get(usize::from(probe.attempt) % page.answers.len().max(1)), Some(GatewayAnswer::Slow(_)))
    }

    fn socket(&self, to: SocketAddr) -> Result<&Socket, Signature> {
        match self.sockets.get(&to) {
            Some(Socket::Refused) => Err(Signature::Refused),
            Some(Socket::Dropped) => Err(Signature::ConnTimeout),
            Some(Socket::Rejected) => Err(Signature::HostUnreach),
            Some(socket) => Ok(socket),
            None => {
                let here: Vec<&Socket> = self.sockets.iter().filter(|(s, _)| s.ip() == to.ip()).map(|(_, s)| s).collect();
                match here.first() {
                    Some(Socket::Dropped) => Err(Signature::ConnTimeout),
                    Some(Socket::Rejected) => Err(Signature::HostUnreach),
                    Some(_) => Err(Signature::Refused),
                    None => Err(Signature::ConnTimeout),
                }
            }
        }
    }

    fn handshake(&self, to: SocketAddr, server_name: Option<&str>) -> Outcome {
        match self.socket(to) {
            Err(signature) => broken(signature),
            Ok(Socket::Unavailable) => Outcome::NotSent("not available here".into()),
            Ok(Socket::Https(page)) => page.facts(server_name).map_or_else(|e| e, |facts| Outcome::TlsEstablished(Box::new(facts))),
            Ok(Socket::Gateway(page)) if page.certificate.is_some() => match (page.alert(server_name), page.facts(server_name)) {
                (Some(alert), _) => alert,
                (None, Some(facts)) => Outcome::TlsEstablished(Box::new(facts)),
                (None, None) => broken(Signature::TlsAlert),
            },
            Ok(Socket::Opens) => broken(Signature::Refused),
            Ok(Socket::Silent | Socket::Swallowed) => broken(Signature::ReadTimeout),
            Ok(Socket::Closes) => broken(Signature::EofEarly),
            Ok(Socket::Resets) => broken(Signature::RstEarly),
            Ok(_) => broken(Signature::TlsToPlain),
        }
    }

    fn request(&self, request: &Request, probe: &Probe) -> Outcome {
        let tls_asked = request.scheme.is_tls();
        let http2 = matches!(request.scheme, culprit::probe::Scheme::H2c | culprit::probe::Scheme::H2);
        match self.socket(request.to) {
            Err(signature) => broken(signature),
            Ok(Socket::Unavailable) => Outcome::NotSent("not available here".into()),
            Ok(Socket::Opens) => broken(Signature::Refused),
            Ok(Socket::Swallowed) if request.method == culprit::probe::Method::Head && !tls_asked => {
                respond(&Page { status: 200, ..Page::default() }, request, None)
            }
            Ok(Socket::Silent | Socket::Swallowed) => broken(Signature::ReadTimeout),
            Ok(Socket::Closes) => broken(Signature::EofEarly),
            Ok(Socket::Hiccups(_)) if probe.attempt == 0 => broken(Signature::EofEarly),
            Ok(Socket::Resets) => broken(Signature::RstEarly),
            Ok(Socket::Banner(_) | Socket::Http(_) | Socket::Http2(_)) if tls_asked => broken(Signature::TlsToPlain),
            Ok(Socket::Banner(text)) => Outcome::Broken {
                signature: Signature::HdrBad,
                detail: format!("the port speaks something else: {text:?}"),
                first_bytes: text.as_bytes().to_vec(),
            },
            Ok(Socket::Http(_)) if http2 => broken(Signature::H2ToH1),
            Ok(Socket::Overflows(_)) if probe.attempt % 2 == 1 => broken(Signature::ConnTimeout),
            Ok(Socket::Http(page) | Socket::Overflows(page) | Socket::Hiccups(page)) => respond(page, request, None),
            Ok(Socket::Http2(page)) if http2 => respond(page, request, None),
            Ok(Socket::Http2(_)) => broken(Signature::H1ToH2),
            Ok(Socket::Https(page)) if tls_asked => page.request(request),
            Ok(Socket::Https(page)) => match page.plain.as_deref() {
                Some("alert") => broken(Signature::PlainToTls),
                Some("reset") => broken(Signature::RstEarly),
                _ => {
                    let body = "Client sent an HTTP request to an HTTPS server.\n".to_owned();
                    respond(&Page { status: 400, body, ..Page::default() }, request, None)
                }
            },
            Ok(Socket::Gateway(page)) => self.gateway(page, request, probe),
            Ok(Socket::Refused | Socket::Dropped | Socket::Rejected) => unreachable!("socket() answers for these"),
        }
    }

    fn gateway(&self, page: &GatewayPage, request: &Request, probe: &Probe) -> Outcome {
        let facts = page.facts(request.server_name.as_deref());
        if let Some(alert) = page.alert(request.server_name.as_deref()).filter(|_| request.scheme.is_tls()) {
            return alert;
        }
        if request.host.ends_with(".invalid") {
            let own = || Page { status: 404, body: "404 page not found\n".to_owned(), ..Page::default() };
            return respond(&page.strangers.clone().unwrap_or_else(own), request, facts);
        }
        let single = page.only.get(&request.path).or_else(|| page.only.get(&request.host));
        let answer = single.or_else(|| page.answers.get(usize::from(probe.attempt) % page.answers.len().max(1)));
        match answer.expect("the fixture's gateway has answers") {
            GatewayAnswer::Slow(_) if probe.timeout < Duration::from_secs(3) => broken(Signature::ReadTimeout),
            GatewayAnswer::Page(page) | GatewayAnswer::Slow(page) => respond(page, request, facts),
            GatewayAnswer::Silent => broken(Signature::ReadTimeout),
            GatewayAnswer::Refused => broken(Signature::Refused),
            GatewayAnswer::Resets => broken(Signature::RstEarly),
        }
    }
}

impl GatewayPage {
    /// How a handshake for a server name ends, where it is broken off.
    fn alert(&self, server_name: Option<&str>) -> Option<Outcome> {
        let detail = self.alerts.get(server_name?)?.clone();
        Some(Outcome::Broken { signature: Signature::TlsAlert, detail, first_bytes: Vec::new() })
    }

    /// What a handshake for a server name shows, where this entrance speaks TLS.
    fn facts(&self, server_name: Option<&str>) -> Option<TlsFacts> {
        let default = self.certificate.as_ref()?;
        Some(tls(server_name.and_then(|name| self.certificates.get(name)).unwrap_or(default)))
    }
}

fn broken(signature: Signature) -> Outcome {
    Outcome::Broken { signature, detail: String::new(), first_bytes: Vec::new() }
}

fn broken_because(signature: Signature, detail: &str) -> Outcome {
    Outcome::Broken { signature, detail: detail.into(), first_bytes: Vec::new() }
}

fn tls(certificate: &ScriptedCertificate) -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3".into(),
        certificate: Some(Certificate {
            common_name: certificate.common_name.clone(),
            names: certificate.names.clone(),
            self_signed: certificate.self_signed,
            issuer: "CN=test".into(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        }),
        ..TlsFacts::default()
    }
}

fn respond(page: &Page, request: &Request, tls: Option<TlsFacts>) -> Outcome {
    let has = |name: &String| request.headers.iter().any(|(n, _)| n == name);
    let by_header = page.with.iter().find(|(name, _)| has(name)).map(|(_, page)| page);
    let other = by_header.or_else(|| page.hosts.get(&request.host)).or_else(|| page.at.get(&request.path));
    if let Some(other) = other {
        return respond(other, request, tls);
    }
    let mut head = head::HeadReader::default();
    head.take(page.head.as_bytes());
    let mut head = head.head().unwrap_or_default();
    // What no reader takes at all.
    let hopeless = [HeadFault::StatusLine, HeadFault::Nul, HeadFault::CarriageReturn, HeadFault::BadLength, HeadFault::Lengths];
    if let Some(fault) = head.faults.iter().find(|e| hopeless.contains(&e.fault)) {
        let detail = format!("malformed response head: {fault}");
        return Outcome::Broken { signature: Signature::HdrBad, detail, first_bytes: page.head.as_bytes().to_vec() };
    }
    head.length = head.length.max(page.head_length);
    let bare = request.path.split('?').next().unwrap_or_default();
    let status = page.paths.get(bare).copied().unwrap_or(page.status);
    let body_hash = page.body.bytes().fold(7_u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    Outcome::Response(Box::new(Response {
        status,
        version: "HTTP/1.1".into(),
        headers: page.headers.iter().map(|(k, v)| (k.to_ascii_lowercase(), v.clone())).collect(),
        body_start: page.body.clone(),
        body_hash,
        body_length: page.body.len(),
        body_cut: page.cut.is_some() && request.method != culprit::probe::Method::Head,
        chunks_malformed: page.cut.as_deref() == Some("chunks"),
        head,
        tls,
    }))
}
