use std::net::IpAddr;

use crate::api::{Confidence, Finding, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::upstream::{self, Checks, ServerName};
use crate::causes::{Case, Cause, EndToEnd, EndpointView, Judgement, Missing, Platform, When};
use crate::path::dns;
use crate::probe::{Observation, Outcome, Probe, Question, Response, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-sni-missing",
    summary: "the pods answer TLS by server name, and the gateway sends none",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsAlert, Signature::TlsName],
    explains: &["backend-cert-name-mismatch", "backend-cert-untrusted", "backend-cert-expired"],
    since: "0.1.0",
    docs: r"
## What it means
The pods choose certificate or virtual host by the name in the TLS handshake (SNI). The gateway sends no name: nginx and HAProxy by default,
Traefik and Caddy where they dial an address.

## What you see
502 (`unrecognized name`) on nginx, Traefik and Caddy, 503 on HAProxy; or a 421 from the pods, which is no 5xx.

## How we know
A TLS connection to the pods without a server name is aborted, answered with 421 or shown another certificate; the same request with the name
is answered.

## How to fix
Tell the gateway to send the name; the finding says where. Or let the pods have a default for clients without one.

## Looks like
`backend-mtls-required` aborts the handshake too, whatever the name. `backend-cert-name-mismatch` shows one certificate to everybody.

## Limits
Only the route's host and the Service's own names are tried. Where the gateway's configuration decides which name it sends, the finding is Likely.
",
    check,
};

/// Names tried at most.
const NAMES: usize = 3;

fn check(case: &Case<'_>) -> Judgement {
    if !case.path.backend.scheme.is_tls() || matches!(upstream::server_name(case), ServerName::Name(_)) {
        return Ok(None);
    }
    let misdirected = case.answers().find(|o| o.response().is_some_and(|r| r.status == 421));
    if *case.end_to_end == EndToEnd::Works && misdirected.is_none() {
        return Ok(None);
    }
    let views = case.walked()?;
    for view in views.iter().filter(|v| with_name(v.seen) || v.seen.signature() == Some(Signature::TlsAlert)) {
        if let Some(finding) = judge(case, view, misdirected)? {
            return Ok(Some(finding));
        }
    }
    Ok(None)
}

/// Whether a request with a server name was answered by the virtual host of that name.
fn with_name(seen: &Observation) -> bool {
    let named = matches!(&seen.probe.question, Question::Request(r) if r.server_name.is_some());
    named && seen.response().is_some_and(|r| r.status < 500 && r.status != 421)
}

fn judge(case: &Case<'_>, view: &EndpointView<'_>, misdirected: Option<&Observation>) -> Result<Option<Finding>, Missing> {
    let nameless = case.ask(without_name(view.seen))?;
    let Some(named) = named(case, view)? else { return Ok(None) };
    let (how, strong) = match &nameless.outcome {
        Outcome::Broken { signature: Signature::TlsAlert | Signature::EofEarly | Signature::RstEarly, .. } => ("is aborted", true),
        Outcome::Response(r) if r.status == 421 => ("is answered 421", true),
        Outcome::Response(r) if misdirected.is_none() && certificates_differ(r, named) && upstream::verifies(case) != Checks::No => {
            ("is shown another certificate", false)
        }
        _ => return Ok(None),
    };
    let sure = strong && upstream::server_name(case) == ServerName::Nothing;
    let confidence = if sure { Confidence::Proven } else { Confidence::Likely };
    let message = format!("The {} answer TLS by server name: without one, as the gateway connects, a request {how}.", case.members_name());
    let failing = misdirected.map_or_else(|| case.failing_line(), ToString::to_string);
    let mut finding = CAUSE
        .finding(confidence, message)
        .saw(nameless)
        .saw(named)
        .proof(format!("{failing}; without a server name: {nameless}"), format!("{named}, with the server name {}", name_of(named)));
    finding = finding.backend(case, "metadata.annotations");
    Ok(finding.remedy(Change::SendName(name_of(named)).at(case)).into())
}

/// Whether clients that send the name are shown another certificate, and one that may be trusted.
fn certificates_differ(nameless: &Response, named: &Observation) -> bool {
    let of = |response: &Response| response.tls.as_ref().and_then(|t| t.certificate.clone());
    let Some(good) = named.response().and_then(of) else { return false };
    let in_time = good.not_after.is_none_or(|end| end >= named.at) && good.not_before.is_none_or(|begin| begin <= named.at);
    in_time && !good.self_signed && of(nameless).is_some_and(|other| other != good)
}

/// The same request without a server name.
fn without_name(seen: &Observation) -> Probe {
    let mut probe = seen.probe.clone();
    if let Some(request) = probe.request_mut() {
        request.server_name = None;
    }
    probe
}

/// The request with the name that works: the route's host, else a name of the Service.
fn named<'a>(case: &Case<'a>, view: &EndpointView<'a>) -> Result<Option<&'a Observation>, Missing> {
    if with_name(view.seen) {
        return Ok(Some(view.seen));
    }
    let names = own_names(case);
    if names.is_empty() {
        return Ok(None);
    }
    let probe = |name: &String| {
        let mut probe = view.seen.probe.clone();
        if let Some(request) = probe.request_mut() {
            request.server_name = Some(name.clone());
        }
        probe
    };
    Ok(case.ask_all(names.iter().map(probe).collect())?.into_iter().find(|o| with_name(o)))
}

/// Names that a backend may know itself by: those of its Service; the route's host, and what an upstream's servers are called.
fn own_names(case: &Case<'_>) -> Vec<String> {
    if let Some(route) = &case.path.container {
        let servers = route.upstream.servers.iter().map(|s| s.host.clone()).filter(|host| host.parse::<IpAddr>().is_err());
        return case.path.route.asked_host().into_iter().chain(servers).take(NAMES).collect();
    }
    let service = case.path.route.service.as_ref();
    let names = service.map(|s| [dns::name_of(s), format!("{}.{}.svc", s.name, s.namespace), s.name.to_string()]);
    names.into_iter().flatten().collect()
}

fn name_of(named: &Observation) -> &str {
    match &named.probe.question {
        Question::Request(request) => request.server_name.as_deref().unwrap_or_default(),
        _ => "",
    }
}
