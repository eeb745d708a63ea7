use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::Kind;

use super::certificate;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-default-cert",
    summary: "the gateway shows its default certificate instead of the route's",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Kubernetes,
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
`gateway-sni-mismatch`: a certificate for another name that is not the default one, since a Secret was found and holds the wrong one.

## Limits
Secrets are not read, so which of the reasons it is stands in the gateway's log. An Ingress whose TLS entry names no Secret wants
the default certificate, and is left alone.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let (Some(written), Some(host)) = (&case.path.route.host, case.path.route.asked_host()) else { return Ok(None) };
    if case.target().kind != Kind::Ingress {
        return Ok(None);
    }
    let ingress = case.snapshot.ingress(&case.target().key);
    let Some(ingress) = known(&ingress, "the Ingress")? else { return Ok(None) };
    let Some((index, secret)) = certificate::entry(ingress, written) else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let Some(entrance) = gateway.entrance(true) else { return Ok(None) };
    let served = certificate::served(case, entrance.address, Some(&host))?;
    let Some(served) = served.into_iter().find(|s| !s.certificate.covers(&host)) else { return Ok(None) };
    if !served.is_built_in() && !certificate::is_shown_to_strangers(case, entrance.address, served.certificate)? {
        return Ok(None);
    }
    let name = served.name();
    let (service, namespace) = (gateway.service.meta.key(), case.namespace());
    let wants = format!("{} names Secret {namespace}/{secret} for {written}", case.target());
    Ok(CAUSE
        .finding(
            Confidence::Proven,
            format!("Gateway Service {service} shows its default certificate ({name}) for {host}, though {wants}."),
        )
        .object(case.target(), &format!("spec.tls[{index}].secretName"))
        .states(&wants)
        .proof(format!("TLS handshake with {} for {host} → certificate {name}, not for {host}", entrance.address), wants)
        .fix(format!("Put a Secret {secret} of type kubernetes.io/tls with a certificate for {written} into namespace {namespace}."))
        .command(format!("kubectl -n {namespace} get secret {secret}"))
        .command(format!("kubectl -n {namespace} create secret tls {secret} --cert=tls.crt --key=tls.key"))
        .into())
}
