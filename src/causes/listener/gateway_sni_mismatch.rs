use std::collections::BTreeSet;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::reload;
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::{Certificate, Observation, Outcome, Signature};

use super::certificate::{self, Declared};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-sni-mismatch",
    summary: "the gateway has no certificate for the server name that clients of the route send",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsName, Signature::TlsAlert],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Clients name the host in the TLS handshake, and the gateway chooses certificate and listener by that name. For this host it shows a
certificate of another name, or breaks off the handshake, since nothing of it is for the name. Some answer 421, where name and listener do
not fit.

## What you see
Browsers warn of the wrong name or cannot connect; `curl` says that no alternative name matches, or unrecognized name. With verification
switched off a wrong certificate does no harm, so dashboards stay green.

## How we know
The handshake with the route's own host shows a certificate that does not cover it and that strangers do not get; or it is broken off,
while the same gateway finishes one for another name or without any.

## How to fix
Put a certificate for the host into the Secret of the TLS entry, and give the gateway one listener for each certificate.

## Looks like
`gateway-default-cert`: the certificate that every unknown name gets. `gateway-cert-expired`: the name fits, the time does not. A gateway
that wants a client's certificate ends handshakes with other alerts.

## Limits
Secrets are not read. An old certificate with nothing but a common name is left alone. For a wildcard host one name is tried, and a
certificate for single names below it is left alone. Connections that browsers share between hosts are not tried.
",
    check,
};

/// Alerts for a name that nothing is known for: unrecognized_name (RFC 6066), and internal_error, which Caddy and others send.
const NO_CERTIFICATE: &[&str] = &["TLS alert 112", "TLS alert 80"];
/// Other names tried at most.
const MOST: usize = 2;

fn check(case: &Case<'_>) -> Judgement {
    let (Some(written), Some(host)) = (&case.path.route.host, case.path.route.asked_host()) else { return Ok(None) };
    if !case.path.route.tls {
        return Ok(None);
    }
    let Some(declared) = certificate::declared(case)? else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let Some(entrance) = gateway.entrance(true) else { return Ok(None) };
    if let Some(refused) = case.failures.iter().find(|o| is_refused(o)) {
        return broken_off(case, &declared, refused, &host);
    }
    if let Some(misdirected) = case.answers().find(|o| o.response().is_some_and(|r| r.status == 421 && r.tls.is_some())) {
        return answered_421(case, misdirected, &host);
    }
    let Some((index, secret)) = declared.entry(written) else { return Ok(None) };
    let served = certificate::served(case, entrance.address, Some(&host))?;
    let Some(served) = served.into_iter().find(|s| !fits(s.certificate, written, &host)) else { return Ok(None) };
    if served.is_built_in() || certificate::is_shown_to_strangers(case, entrance.address, served.certificate)? {
        return Ok(None);
    }
    let (namespace, name) = (case.namespace(), served.name());
    let names = &served.certificate.names;
    let names = if names.is_empty() { name.clone() } else { names.iter().take(3).cloned().collect::<Vec<_>>().join(", ") };
    let wants = format!("{} names Secret {namespace}/{secret} for {written}", case.target());
    let message = format!("{} shows a certificate for {names} to clients of {host}, and {wants}.", gateway_name(case));
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(case.target(), &format!("spec.tls[{index}].secretName"))
        .saw(served.seen)
        .states(&wants)
        .proof(format!("TLS handshake with {} for {host} → certificate {name}, for {names} only", entrance.address), wants)
        .fix(format!("Put a certificate for {written} into Secret {namespace}/{secret}, or name the Secret that holds one."))
        .command(certificate::show(namespace, secret, "-ext subjectAltName"))
        .command(format!("kubectl -n {namespace} edit ingress {}", case.target().key.name))
        .into())
}

/// Whether clients may take a certificate: a common name does where there is nothing else, and single names below a wildcard do.
fn fits(certificate: &Certificate, written: &str, host: &str) -> bool {
    let bare = certificate.names.is_empty() && certificate.common_name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(host));
    let below =
        |name: &String| written.strip_prefix('*').is_some_and(|parent| name.to_ascii_lowercase().ends_with(&parent.to_ascii_lowercase()));
    certificate.covers(host) || bare || certificate.names.iter().any(below)
}

/// Whether a handshake ended as it does for a name that nothing is known for.
fn is_refused(seen: &Observation) -> bool {
    match &seen.outcome {
        Outcome::Broken { signature: Signature::TlsAlert, detail, .. } => {
            NO_CERTIFICATE.iter().any(|a| detail.starts_with(&format!("{a} ")))
        }
        // Envoy closes the connection where no listener is for the name.
        Outcome::Broken { signature: Signature::EofEarly | Signature::RstEarly, detail, .. } => {
            detail.ends_with("during the TLS handshake")
        }
        _ => false,
    }
}

fn broken_off(case: &Case<'_>, declared: &Declared, refused: &Observation, host: &str) -> Judgement {
    let Some(to) = refused.probe.address() else { return Ok(None) };
    let others = other_names(case, declared, host);
    let names: Vec<Option<&str>> = others.iter().map(|n| Some(n.as_str())).chain([None]).collect();
    let tried = case.ask_all(names.iter().map(|n| certificate::handshake(case, to, *n)).collect())?;
    let works = tried.into_iter().find(|o| matches!(o.outcome, Outcome::TlsEstablished(_)));
    let says_so = refused.outcome_text().starts_with(NO_CERTIFICATE[0]);
    if works.is_none() && !says_so {
        return Err(Missing::Fact("the gateway finishes no TLS handshake at all, so the name need not be what it refuses".into()));
    }
    let confidence = if works.is_some() { Confidence::Proven } else { Confidence::Likely };
    let passing =
        works.map_or_else(|| format!("{}: this alert is for names that nothing is known for", refused.outcome_text()), ToString::to_string);
    let finding = begin(
        case,
        confidence,
        format!("{} breaks off the TLS handshake for {host}: it has no certificate or listener for that name.", gateway_name(case)),
        refused,
    )
    .on_route(case, "spec.tls")
    .proof(refused.to_string(), passing);
    if case.path.container.is_some() {
        let finding = finding.fix(format!("Give the gateway a certificate for {host}, and let it listen for that name."));
        return Ok(reload(case).into_iter().fold(finding, |finding, command| finding.command(command)).into());
    }
    Ok(finding
        .fix(format!("Put a certificate for {host} into the Secret that spec.tls names, and let the gateway listen for that name."))
        .command(format!("kubectl -n {} get ingress {} -o jsonpath='{{.spec.tls}}'", case.namespace(), case.target().key.name))
        .into())
}

/// The gateway at the beginning of a sentence.
fn gateway_name(case: &Case<'_>) -> String {
    case.gateway_name().replacen('g', "G", 1)
}

fn begin(case: &Case<'_>, confidence: Confidence, message: String, seen: &Observation) -> crate::causes::FindingBuilder {
    let finding = CAUSE.finding(confidence, message).saw(seen);
    let states = |secret| format!("{} names Secret {}/{secret} for it", case.target(), case.namespace());
    let ingress = case.snapshot.ingress(&case.target().key);
    let entry = ingress.known().and_then(|i| certificate::entry(i, case.path.route.host.as_deref()?).map(|(_, s)| states(s)));
    match entry {
        Some(text) => finding.states(text),
        None => finding,
    }
}

/// Names of other routes that the same gateway should know: of TLS entries of the class, or of its configuration.
fn other_names(case: &Case<'_>, declared: &Declared, host: &str) -> Vec<String> {
    let is_other = |n: &&String| *n != host && !n.starts_with("*.");
    let Declared::Ingress(ingress) = declared else {
        let routes = case.path.container.iter().flat_map(|route| &route.configuration.routes);
        let names: BTreeSet<&String> = routes.filter_map(|r| r.host.as_ref()).filter(is_other).collect();
        return names.into_iter().take(MOST).cloned().collect();
    };
    let others = case.snapshot.ingresses().filter(|i| i.class == ingress.class && i.meta.namespace == ingress.meta.namespace);
    let names: BTreeSet<&String> = others.flat_map(|i| &i.tls).flat_map(|t| &t.hosts).filter(is_other).collect();
    names.into_iter().take(MOST).cloned().collect()
}

/// RFC 9110 §15.5.20: the connection is not for this host.
fn answered_421(case: &Case<'_>, seen: &Observation, host: &str) -> Judgement {
    let walked = case.walked()?;
    let Some(own) = walked.iter().map(|v| v.seen).find(|o| o.response().is_some()) else { return Ok(None) };
    if walked.iter().any(|v| v.seen.response().is_some_and(|r| r.status == 421)) {
        return Ok(None);
    }
    let to = seen.probe.address().map_or_else(|| host.to_owned(), |a| a.to_string());
    Ok(begin(
        case,
        Confidence::Likely,
        format!(
            "{} answers 421 for {host}: the server name of the handshake and the host lead to different listeners.",
            gateway_name(case)
        ),
        seen,
    )
    .on_route(case, "spec.tls")
    .proof(seen.to_string(), format!("{own}, the route's own endpoint"))
    .fix("Give the host one certificate, one listener and one set of TLS options.")
    .command(format!("openssl s_client -connect {to} -servername {host} </dev/null"))
    .into())
}
