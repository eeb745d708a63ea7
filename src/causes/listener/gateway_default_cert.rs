use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, NO_SUCH_HOST, When, known};
use crate::probe::{Certificate, Outcome, Probe, Question, Signature, TlsFacts};
use crate::snapshot::objects::Kind;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-default-cert",
    summary: "the gateway shows its default certificate instead of the route's",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::Always,
    signatures: &[Signature::TlsName],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Ingress names a Secret with a certificate for the host, and the gateway answers that host with the certificate that it shows to
every unknown name. It could not use the Secret: it is missing, of another type, without a usable key pair, or in another namespace.

## What you see
Browsers warn, clients that verify refuse, a CDN in front answers 526. Requests without verification work, so dashboards stay green.

## How we know
The TLS handshake for the host shows a certificate that does not cover it. It carries a name that gateways give to their built-in
certificate, or it is the same that the gateway shows for a name that cannot exist.

## How to fix
Put a Secret of type `kubernetes.io/tls` with a certificate for the host into the Ingress' own namespace, under the name in `spec.tls`.

## Looks like
A certificate for another name that is not the default one: then a Secret was found and holds the wrong certificate, or the client sent
another server name.

## Limits
Secrets are not read, so which of the reasons it is stands in the gateway's log. An Ingress whose TLS entry names no Secret wants
the default certificate, and is left alone.
",
    check,
};

/// Common names of built-in certificates. Sources: Traefik `pkg/tls/generate`; ingress-nginx `internal/net/ssl`.
const BUILT_IN: &[&str] = &["TRAEFIK DEFAULT CERT", "Kubernetes Ingress Controller Fake Certificate"];

fn check(case: &Case<'_>) -> Judgement {
    let (Some(written), Some(host)) = (&case.path.route.host, case.path.route.asked_host()) else { return Ok(None) };
    if case.target().kind != Kind::Ingress {
        return Ok(None);
    }
    let ingress = case.snapshot.ingress(&case.target().key);
    let Some(ingress) = known(&ingress, "the Ingress")? else { return Ok(None) };
    let entry = ingress.tls.iter().enumerate().find(|(_, t)| t.names(written));
    let Some((index, secret)) = entry.and_then(|(i, t)| t.secret.as_ref().filter(|s| !s.is_empty()).map(|s| (i, s))) else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let Some(entrance) = gateway.entrance(true) else { return Ok(None) };
    let Some(served) = served(case, entrance.address, &host)? else { return Ok(None) };
    let default = served.common_name.as_deref().is_some_and(|n| BUILT_IN.contains(&n));
    if served.covers(&host) || !(default || is_shown_to_strangers(case, entrance.address, served)?) {
        return Ok(None);
    }
    let name = served.common_name.clone().or_else(|| served.names.first().cloned()).unwrap_or_else(|| "without a name".into());
    let (service, namespace) = (gateway.service.meta.key(), case.namespace());
    let wants = format!("{} names Secret {namespace}/{secret} for {written}", case.target());
    Ok(CAUSE
        .finding(Confidence::Proven, format!("Gateway Service {service} shows its default certificate ({name}) for {host}, though {wants}."))
        .object(case.target(), &format!("spec.tls[{index}].secretName"))
        .states(&wants)
        .proof(format!("TLS handshake with {} for {host} → certificate {name}, not for {host}", entrance.address), wants)
        .fix(format!("Put a Secret {secret} of type kubernetes.io/tls with a certificate for {written} into namespace {namespace}."))
        .command(format!("kubectl -n {namespace} get secret {secret}"))
        .command(format!("kubectl -n {namespace} create secret tls {secret} --cert=tls.crt --key=tls.key"))
        .into())
}

/// The certificate that clients of the host get: from the route's own requests, else from a handshake. None where there is no TLS.
fn served<'a>(case: &Case<'a>, to: std::net::SocketAddr, host: &str) -> Result<Option<&'a Certificate>, Missing> {
    let certificate = |tls: &'a TlsFacts| tls.certificate.as_ref();
    let seen: Vec<&Certificate> = case.answers().filter_map(|o| o.response()?.tls.as_ref()).filter_map(certificate).collect();
    if let Some(first) = seen.first().copied() {
        return Ok(seen.into_iter().find(|c| !c.covers(host)).or(Some(first)));
    }
    Ok(match &case.ask(handshake(case, to, host))?.outcome {
        Outcome::TlsEstablished(tls) => certificate(tls),
        _ => None,
    })
}

/// Whether the gateway shows the same certificate for a name that cannot exist.
fn is_shown_to_strangers(case: &Case<'_>, to: std::net::SocketAddr, served: &Certificate) -> Result<bool, Missing> {
    Ok(match &case.ask(handshake(case, to, NO_SUCH_HOST))?.outcome {
        Outcome::TlsEstablished(tls) => tls.certificate.as_ref() == Some(served),
        _ => false,
    })
}

fn handshake(case: &Case<'_>, to: std::net::SocketAddr, name: &str) -> Probe {
    let question = Question::Handshake { to, server_name: Some(name.to_owned()), alpn: vec!["http/1.1".into()] };
    Probe { timeout: case.timeout, ..Probe::new(question) }
}
