//! The certificates that a gateway shows for a route's host.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::causes::{Case, Missing, NO_SUCH_HOST, known};
use crate::probe::{Certificate, Observation, Outcome, Probe, Question, TlsFacts};
use crate::snapshot::objects::{Ingress, Kind};

/// Common names of built-in certificates. Sources: Traefik `pkg/tls/generate`; ingress-nginx `internal/net/ssl`.
const BUILT_IN: &[&str] = &["TRAEFIK DEFAULT CERT", "Kubernetes Ingress Controller Fake Certificate"];

/// A certificate and the handshake that showed it.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// The request or handshake.
    pub seen: &'a Observation,
}

impl Served<'_> {
    /// A name for messages.
    pub fn name(&self) -> String {
        let certificate = self.certificate;
        certificate.common_name.clone().or_else(|| certificate.names.first().cloned()).unwrap_or_else(|| "without a name".into())
    }

    /// Whether it is one that gateways make themselves.
    pub fn is_built_in(&self) -> bool {
        self.certificate.common_name.as_deref().is_some_and(|n| BUILT_IN.contains(&n))
    }
}

/// The certificates that clients of the host get: from the route's own requests, else from a handshake. None where there is no TLS.
pub fn served<'a>(case: &Case<'a>, to: SocketAddr, host: Option<&str>) -> Result<Vec<Served<'a>>, Missing> {
    let of = |seen: &'a Observation| tls(seen)?.certificate.as_ref().map(|certificate| Served { certificate, seen });
    let seen: Vec<Served<'a>> = case.answers().filter_map(of).collect();
    if !seen.is_empty() {
        return Ok(seen);
    }
    Ok(of(case.ask(handshake(case, to, host))?).into_iter().collect())
}

fn tls(seen: &Observation) -> Option<&TlsFacts> {
    match &seen.outcome {
        Outcome::TlsEstablished(tls) => Some(tls),
        Outcome::Response(response) => response.tls.as_ref(),
        _ => None,
    }
}

/// Whether the gateway shows the same certificate for a name that cannot exist.
pub fn is_shown_to_strangers(case: &Case<'_>, to: SocketAddr, served: &Certificate) -> Result<bool, Missing> {
    Ok(match &case.ask(handshake(case, to, Some(NO_SUCH_HOST)))?.outcome {
        Outcome::TlsEstablished(tls) => tls.certificate.as_ref() == Some(served),
        _ => false,
    })
}

/// A handshake for a name, or without one.
pub fn handshake(case: &Case<'_>, to: SocketAddr, name: Option<&str>) -> Probe {
    let question = Question::Handshake { to, server_name: name.map(str::to_owned), alpn: vec!["http/1.1".into()] };
    Probe { timeout: case.timeout, ..Probe::new(question) }
}

/// What declares certificates for a route.
#[derive(Clone, Debug)]
pub enum Declared {
    /// An Ingress.
    Ingress(Arc<Ingress>),
    /// A gateway container's configuration, of which certificates are not read.
    Configuration,
}

impl Declared {
    /// The TLS entry of a host with the Secret that it names, and where it stands.
    pub fn entry(&self, host: &str) -> Option<(usize, &str)> {
        match self {
            Declared::Ingress(ingress) => entry(ingress, host),
            Declared::Configuration => None,
        }
    }
}

/// What declares certificates for a route; nothing for a target that has no gateway.
pub fn declared(case: &Case<'_>) -> Result<Option<Declared>, Missing> {
    match case.target().kind {
        Kind::Ingress => {
            let ingress = case.snapshot.ingress(&case.target().key);
            Ok(known(&ingress, "the Ingress")?.cloned().map(Declared::Ingress))
        }
        Kind::Container => Ok(Some(Declared::Configuration)),
        _ => Ok(None),
    }
}

/// The TLS entry of a host with the Secret that it names, and where it stands.
pub fn entry<'i>(ingress: &'i Ingress, host: &str) -> Option<(usize, &'i str)> {
    let (index, entry) = ingress.tls.iter().enumerate().find(|(_, t)| t.names(host))?;
    entry.secret.as_deref().filter(|s| !s.is_empty()).map(|secret| (index, secret))
}

/// The command that shows a part of the certificate in a Secret.
pub fn show(namespace: &str, secret: &str, part: &str) -> String {
    let data = "jsonpath='{.data.tls\\.crt}'";
    format!("kubectl -n {namespace} get secret {secret} -o {data} | base64 -d | openssl x509 -noout {part}")
}

/// The command that puts a new certificate into a Secret.
pub fn renew(namespace: &str, secret: &str) -> String {
    let create = format!("kubectl -n {namespace} create secret tls {secret} --cert=tls.crt --key=tls.key");
    format!("{create} --dry-run=client -o yaml | kubectl apply -f -")
}
