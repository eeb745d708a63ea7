//! A scripted network: answers probes from what a fixture says stands at each address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use culprit::probe::{Certificate, DnsFailure, Observation, Outcome, Probe, Question, Request, Response, Signature, TlsFacts};
use culprit::vantage::Vantage;
use futures::future::BoxFuture;
use serde::Deserialize;

/// What stands at the addresses and names of a fixture.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// By `address:port`. A port that is not listed refuses where another port of its address is listed, else packets are lost.
    #[serde(default)]
    pub sockets: BTreeMap<SocketAddr, Socket>,
    /// By name; a name that is not listed does not exist.
    #[serde(default)]
    pub names: BTreeMap<String, Name>,
}

/// What a name resolves to.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Name {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// One of: nxdomain, nodata, servfail, refused, timeout, unreachable, invalid, unavailable.
    Failure(String),
}

/// What stands at an address.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Socket {
    /// Nobody listens.
    Refused,
    /// Packets are lost.
    Dropped,
    /// A firewall rejects: no route to host, at once.
    Rejected,
    /// Accepts and never answers.
    Silent,
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
}

/// One answer of a gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum GatewayAnswer {
    Page(Page),
    Silent,
    Refused,
    Resets,
}

impl Vantage for Network {
    fn name(&self) -> &str {
        "the scripted network"
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        let outcome = self.outcome(probe);
        let took = Duration::from_millis(1);
        let observation = Observation { probe: probe.clone(), vantage: self.name().into(), at: jiff::Timestamp::UNIX_EPOCH, took, outcome };
        Box::pin(async move { observation })
    }
}

impl Network {
    fn outcome(&self, probe: &Probe) -> Outcome {
        match &probe.question {
            Question::Resolve { name, .. } => self.resolve(name),
            Question::Connect { to } => match self.socket(*to) {
                Ok(Socket::Unavailable) => Outcome::NotSent("not available here".into()),
                Ok(_) => Outcome::Connected,
                Err(signature) => broken(signature),
            },
            Question::Handshake { to, server_name, .. } => self.handshake(*to, server_name.as_deref()),
            Question::Request(request) => self.request(request, probe.attempt),
        }
    }

    fn resolve(&self, name: &str) -> Outcome {
        match self.names.get(name.trim_end_matches('.')) {
            Some(Name::Addresses(ips)) => Outcome::Resolved(ips.clone()),
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
            Ok(Socket::Https(page)) => Outcome::TlsEstablished(Box::new(tls(&page.certificate))),
            Ok(Socket::Gateway(page)) if page.certificate.is_some() => match page.facts(server_name) {
                Some(facts) => Outcome::TlsEstablished(Box::new(facts)),
                None => broken(Signature::TlsAlert),
            },
            Ok(Socket::Silent) => broken(Signature::ReadTimeout),
            Ok(Socket::Closes) => broken(Signature::EofEarly),
            Ok(Socket::Resets) => broken(Signature::RstEarly),
            Ok(_) => broken(Signature::TlsToPlain),
        }
    }

    fn request(&self, request: &Request, attempt: u8) -> Outcome {
        let tls_asked = request.scheme.is_tls();
        let http2 = matches!(request.scheme, culprit::probe::Scheme::H2c | culprit::probe::Scheme::H2);
        match self.socket(request.to) {
            Err(signature) => broken(signature),
            Ok(Socket::Unavailable) => Outcome::NotSent("not available here".into()),
            Ok(Socket::Silent) => broken(Signature::ReadTimeout),
            Ok(Socket::Closes) => broken(Signature::EofEarly),
            Ok(Socket::Resets) => broken(Signature::RstEarly),
            Ok(Socket::Banner(_) | Socket::Http(_) | Socket::Http2(_)) if tls_asked => broken(Signature::TlsToPlain),
            Ok(Socket::Banner(text)) => Outcome::Broken {
                signature: Signature::HdrBad,
                detail: format!("the port speaks something else: {text:?}"),
                first_bytes: text.as_bytes().to_vec(),
            },
            Ok(Socket::Http(_)) if http2 => broken(Signature::H2ToH1),
            Ok(Socket::Http(page)) => respond(page, request, None),
            Ok(Socket::Http2(page)) if http2 => respond(page, request, None),
            Ok(Socket::Http2(_)) => broken(Signature::H1ToH2),
            Ok(Socket::Https(page)) if tls_asked => {
                let plain = Page { status: page.page.status, ..Page::default() };
                respond(&plain, request, Some(tls(&page.certificate)))
            }
            Ok(Socket::Https(page)) => match page.plain.as_deref() {
                Some("alert") => broken(Signature::PlainToTls),
                Some("reset") => broken(Signature::RstEarly),
                _ => {
                    let body = "Client sent an HTTP request to an HTTPS server.\n".to_owned();
                    respond(&Page { status: 400, body, ..Page::default() }, request, None)
                }
            },
            Ok(Socket::Gateway(page)) => self.gateway(page, request, attempt),
            Ok(Socket::Refused | Socket::Dropped | Socket::Rejected) => unreachable!("socket() answers for these"),
        }
    }

    fn gateway(&self, page: &GatewayPage, request: &Request, attempt: u8) -> Outcome {
        let facts = page.facts(request.server_name.as_deref());
        if request.host.ends_with(".invalid") {
            let body = "404 page not found\n".to_owned();
            return respond(&Page { status: 404, body, ..Page::default() }, request, facts);
        }
        let single = page.only.get(&request.path).or_else(|| page.only.get(&request.host));
        let answer = single.or_else(|| page.answers.get(usize::from(attempt) % page.answers.len().max(1)));
        match answer.expect("the fixture's gateway has answers") {
            GatewayAnswer::Page(page) => respond(page, request, facts),
            GatewayAnswer::Silent => broken(Signature::ReadTimeout),
            GatewayAnswer::Refused => broken(Signature::Refused),
            GatewayAnswer::Resets => broken(Signature::RstEarly),
        }
    }
}

impl GatewayPage {
    /// What a handshake for a server name shows, where this entrance speaks TLS.
    fn facts(&self, server_name: Option<&str>) -> Option<TlsFacts> {
        let default = self.certificate.as_ref()?;
        Some(tls(server_name.and_then(|name| self.certificates.get(name)).unwrap_or(default)))
    }
}

fn broken(signature: Signature) -> Outcome {
    Outcome::Broken { signature, detail: String::new(), first_bytes: Vec::new() }
}

fn tls(certificate: &ScriptedCertificate) -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3".into(),
        certificate: Some(Certificate {
            common_name: certificate.common_name.clone(),
            names: certificate.names.clone(),
            issuer: "CN=test".into(),
            ..Certificate::default()
        }),
        ..TlsFacts::default()
    }
}

fn respond(page: &Page, request: &Request, tls: Option<TlsFacts>) -> Outcome {
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
        body_cut: false,
        tls,
    }))
}
