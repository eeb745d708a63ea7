use crate::api::{Confidence, Finding, Hop, Severity};
use crate::causes::upstream::{self, ServerName};
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, NO_SUCH_HOST, Platform, When};
use crate::path::Implementation;
use crate::probe::{Observation, Outcome, Probe, Response, Signature};
use crate::snapshot::objects::ServiceType;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-externalname-host-sni",
    summary: "the other side of an ExternalName Service is asked for a host that it does not serve",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Relayed, Signature::TlsAlert, Signature::TlsName],
    explains: &["backend-sni-missing", "backend-cert-name-mismatch"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway passes the route's Host (and no server name, or another one, in TLS) to the host that the Service stands for, and that one only serves
its own name.

## What you see
403, 404 or 421 with a page of the other side (a CDN, a hosting provider), which no gateway counts as an error; or 502 and `unrecognized name`.

## How we know
The other side refuses the same request with the route's Host just as it refuses a host that cannot exist, and answers it with its own name.

## How to fix
Let the gateway send the external name as Host and server name; the finding says where.

## Looks like
A page that the other side does not have: 404 for its own name, too. `svc-externalname-unresolvable`: the name leads nowhere.

## Limits
Where the other side tells the route's host from hosts that cannot exist, it serves it, and its answer is taken as meant. Names that lead to
addresses that are never probed, such as nodes, are not asked.
",
    check,
};

/// The three requests that decide.
struct Asked<'a> {
    /// As the gateway sends it.
    sent: &'a Observation,
    /// With the external name.
    right: &'a Observation,
    name: String,
}

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = external(case)? else { return Ok(None) };
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    let answer = case.failures.iter().chain(case.successes).copied().find(|o| may_be_refused(o));
    let Some(answer) = answer else { return Ok(None) };
    let Some(asked) = ask(case, answer, name)? else { return Ok(None) };
    if asked.right.response().is_none_or(|r| r.status >= 400) {
        return Ok(None);
    }
    match (&asked.sent.outcome, answer.response()) {
        (Outcome::Response(sent), Some(response)) if sent.status == response.status => {
            let stranger = case.ask(with_host(&asked.sent.probe, NO_SUCH_HOST, None))?;
            let same = stranger.response().is_some_and(|s| is_alike(sent, s));
            Ok(same.then(|| finding(case, answer, &asked, "Host")))
        }
        (Outcome::Broken { signature, .. }, _) if aborts(*signature) && case.path.backend.scheme.is_tls() => {
            Ok(Some(finding(case, answer, &asked, "TLS server name")))
        }
        _ => Ok(None),
    }
}

/// The external name, where a named host of clients is sent to it.
fn external(case: &Case<'_>) -> Result<Option<String>, Missing> {
    let Some(service) = case.service()?.filter(|s| s.service_type == ServiceType::ExternalName) else { return Ok(None) };
    // What a route for any host is asked by is made up.
    let named = case.path.route.host.as_ref().is_some_and(|h| !h.starts_with("*."));
    let name = service.external_name.as_ref().map(|n| n.trim_end_matches('.').to_owned());
    Ok(name.filter(|n| named && !n.is_empty() && Some(n) != case.path.route.host.as_ref()))
}

fn may_be_refused(observation: &Observation) -> bool {
    match &observation.outcome {
        Outcome::Response(r) => matches!(r.status, 400 | 403 | 404 | 421 | 500..=503),
        Outcome::Broken { signature, .. } => aborts(*signature),
        _ => false,
    }
}

fn aborts(signature: Signature) -> bool {
    matches!(signature, Signature::TlsAlert | Signature::EofEarly | Signature::RstEarly)
}

fn ask<'a>(case: &Case<'a>, answer: &Observation, name: String) -> Result<Option<Asked<'a>>, Missing> {
    let Some(to) = case.external()?.first().copied() else { return Ok(None) };
    let Some(base) = case.same_request(answer, to, case.path.backend.scheme) else { return Ok(None) };
    let rewritten = upstream::rewritten_host(case, to).map(|rewritten| rewritten.host);
    let host = rewritten.or_else(|| case.path.route.asked_host()).unwrap_or_default();
    let server_name = match upstream::server_name(case) {
        ServerName::Nothing => None,
        ServerName::Name(sent) => Some(sent),
        ServerName::Unknown => Some(host.clone()),
    };
    let sent = with_host(&base, &host, Some(server_name));
    let right = with_host(&base, &name, Some(Some(name.clone())));
    case.ask_all(vec![sent.clone(), right.clone()])?;
    Ok(Some(Asked { sent: case.ask(sent)?, right: case.ask(right)?, name }))
}

/// The same request with another Host, and another server name where one is given.
fn with_host(probe: &Probe, host: &str, server_name: Option<Option<String>>) -> Probe {
    let mut probe = probe.clone();
    if let Some(request) = probe.request_mut() {
        host.clone_into(&mut request.host);
        if let Some(name) = server_name {
            request.server_name = name;
        }
    }
    probe
}

/// Whether two answers are the same page, but for the host that it may repeat and numbers that change with each request.
fn is_alike(sent: &Response, stranger: &Response) -> bool {
    let bare = |r: &Response| -> String {
        let words = r.body_start.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_')));
        words.filter(|w| !w.contains('.') && !w.chars().any(|c| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
    };
    sent.status == stranger.status && (sent.body_hash == stranger.body_hash || bare(sent) == bare(stranger))
}

fn finding(case: &Case<'_>, answer: &Observation, asked: &Asked<'_>, what: &str) -> Finding {
    let (name, host) = (&asked.name, case.path.route.asked_host().unwrap_or_default());
    let service = case.service_name();
    let message = format!("Service {service} stands for {name}, which does not serve the {what} that the gateway sends for {host}.");
    let mut finding = CAUSE
        .finding(Confidence::Proven, message)
        .saw(answer)
        .saw(asked.sent)
        .saw(asked.right)
        .proof(asked.sent.to_string(), asked.right.to_string());
    if let Some(reference) = case.service_ref() {
        finding = finding.object(&reference, "spec.externalName");
    }
    let (summary, commands) = fix(case, name);
    commands.into_iter().fold(finding.fix(summary), |finding, command| finding.command(command)).build()
}

fn fix(case: &Case<'_>, name: &str) -> (&'static str, Vec<String>) {
    let (namespace, ingress) = (case.namespace(), &case.target().key.name);
    let service = case.path.route.service.as_ref().map(|s| s.name.to_string()).unwrap_or_default();
    let nginx = |key: &str, value: &str| {
        format!("kubectl -n {namespace} annotate --overwrite ingress {ingress} nginx.ingress.kubernetes.io/{key}={value}")
    };
    match upstream::implementation(case) {
        Implementation::Nginx if case.path.backend.scheme.is_tls() => (
            "Let nginx send the external name as Host and server name.",
            vec![nginx("upstream-vhost", name), nginx("proxy-ssl-server-name", "on"), nginx("proxy-ssl-name", name)],
        ),
        Implementation::Nginx => ("Let nginx send the external name as Host.", vec![nginx("upstream-vhost", name)]),
        Implementation::Traefik => (
            "Let Traefik send the external name as Host.",
            vec![format!("kubectl -n {namespace} annotate service {service} traefik.ingress.kubernetes.io/service.passhostheader=false")],
        ),
        Implementation::Haproxy => (
            "Let HAProxy send the external name as Host (and `sni str(NAME)` where it speaks TLS).",
            vec![format!("kubectl -n {namespace} annotate ingress {ingress} haproxy.org/set-host={name}")],
        ),
        _ => (
            "Let the gateway send the external name as Host and server name.",
            vec![format!("kubectl -n {namespace} describe ingress {ingress}")],
        ),
    }
}
