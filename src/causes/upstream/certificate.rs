//! The certificates that backends show a gateway which then answers with an error.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::{Checks, ServerName, expected_name, external_name, has_own_authorities, implementation, server_name, verifies};
use crate::causes::{Case, EndToEnd, Missing};
use crate::path::Implementation;
use crate::probe::{Certificate, Observation, Outcome, Probe, Question, TlsFacts};

/// A certificate that stands between the gateway and an answer.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// The request through the gateway that fails.
    pub failure: &'a Observation,
    /// The same request, put to the backend by somebody who trusts everybody, which is answered.
    pub answer: &'a Observation,
    /// When the certificate was seen.
    pub at: Timestamp,
    /// Backends asked that answer so.
    pub of: usize,
    /// The name that the gateway looks for in it, where that is known.
    pub expected: Option<String>,
    /// Whether the gateway is known to check certificates, and fails as it does then.
    pub sure: bool,
    /// Whether the gateway may trust a private authority.
    pub own_authorities: bool,
}

impl Shown<'_> {
    /// Whether the certificate's time is over, or has not come yet.
    pub fn is_out_of_time(&self) -> bool {
        self.certificate.not_after.is_some_and(|end| end < self.at) || self.certificate.not_before.is_some_and(|begin| begin > self.at)
    }

    /// Whether the certificate carries the name that the gateway looks for; nothing where that name is not known.
    pub fn is_named(&self) -> Option<bool> {
        self.expected.as_ref().map(|name| self.certificate.covers(name))
    }

    /// What the certificate is called.
    pub fn name(&self) -> &str {
        self.certificate.common_name.as_deref().or(self.certificate.names.first().map(String::as_str)).unwrap_or("without a name")
    }
}

/// The certificates of the backends that answer, where the gateway speaks TLS to them and answers with an error of its own. Empty where it
/// is known not to check certificates.
pub fn shown<'a>(case: &Case<'a>) -> Result<Vec<Shown<'a>>, Missing> {
    if !case.path.backend.scheme.is_tls() || verifies(case) == Checks::No {
        return Ok(Vec::new());
    }
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    let is_error = |o: &&&Observation| o.response().is_some_and(|r| matches!(r.status, 500 | 502 | 503));
    let Some(failure) = case.failures.iter().find(is_error).copied() else { return Ok(Vec::new()) };
    let answers: Vec<_> = answers(case)?.into_iter().filter(|(_, o)| o.response().is_some_and(|r| r.status < 500)).collect();
    let seen = handshakes(case, &answers)?;
    let of = answers.len();
    let shown = answers.into_iter().zip(seen).filter_map(|((to, answer), (facts, at))| {
        Some(Shown {
            certificate: facts?.certificate.as_ref()?,
            failure,
            answer,
            at,
            of,
            expected: expected_name(case, to),
            sure: verifies(case) == Checks::Yes && is_typical(case, failure),
            own_authorities: has_own_authorities(case),
        })
    });
    Ok(shown.collect())
}

/// The certificates that hold for what a cause says. None where all do and requests succeed all the same.
pub fn at_fault<'s, 'a>(case: &Case<'_>, shown: &'s [Shown<'a>], wrong: impl Fn(&Shown<'a>) -> bool) -> Vec<&'s Shown<'a>> {
    let found: Vec<_> = shown.iter().filter(|s| wrong(s)).collect();
    if found.len() == shown.len() && !case.successes.is_empty() { Vec::new() } else { found }
}

/// The route's request, put to every backend by somebody who trusts everybody.
fn answers<'a>(case: &Case<'a>) -> Result<Vec<(SocketAddr, &'a Observation)>, Missing> {
    let Some(name) = external_name(case) else {
        return Ok(case.walked()?.into_iter().filter_map(|v| Some((v.endpoint.socket()?, v.seen))).collect());
    };
    let Some(to) = case.external()?.first().copied() else { return Ok(Vec::new()) };
    let mut probe = case.request_to(to, case.path.backend.scheme);
    if let Some(request) = probe.request_mut() {
        request.server_name = Some(name);
    }
    Ok(vec![(to, case.ask(probe)?)])
}

/// What each backend shows to the server name that the gateway sends.
fn handshakes<'a>(case: &Case<'a>, answers: &[(SocketAddr, &'a Observation)]) -> Result<Vec<(Option<&'a TlsFacts>, Timestamp)>, Missing> {
    let server_name = match server_name(case) {
        ServerName::Nothing => None,
        ServerName::Name(name) => Some(name),
        ServerName::Unknown => return Ok(answers.iter().map(|(_, o)| (o.response().and_then(|r| r.tls.as_ref()), o.at)).collect()),
    };
    let probe = |to| {
        let question = Question::Handshake { to, server_name: server_name.clone(), alpn: Vec::new() };
        Probe { timeout: case.timeout, ..Probe::new(question) }
    };
    if !answers.is_empty() {
        case.ask_all(answers.iter().map(|(to, _)| probe(*to)).collect())?;
    }
    let seen = |to| {
        let observation = case.seen.get(&probe(to));
        match observation.map(|o| &o.outcome) {
            Some(Outcome::TlsEstablished(facts)) => (Some(&**facts), observation.map(|o| o.at).unwrap_or_default()),
            _ => (None, Timestamp::default()),
        }
    };
    Ok(answers.iter().map(|(to, _)| seen(*to)).collect())
}

/// Whether the gateway fails as it does where it turns a certificate down.
fn is_typical(case: &Case<'_>, failure: &Observation) -> bool {
    let status = failure.response().map(|r| r.status);
    match implementation(case) {
        Implementation::Traefik | Implementation::Apache => status == Some(500),
        Implementation::Nginx | Implementation::Caddy => status == Some(502),
        Implementation::Haproxy | Implementation::Envoy => status == Some(503),
        Implementation::Other => false,
    }
}
