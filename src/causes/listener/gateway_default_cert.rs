use std::net::SocketAddr;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When, known};
use crate::path::ContainerRoute;
use crate::probe::Signature;
use crate::snapshot::objects::Kind;

use super::certificate::{self, Served};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-default-cert",
    summary: "the gateway shows its default certificate instead of the route's",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsName],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Ingress names a Secret with a certificate for the host, and the gateway answers that host with the certificate that it shows to
every unknown name. It could not use the Secret: it is missing, of another type, without a usable key pair, or in another namespace.
Of a container, its configuration names what is to get the certificate, a certificate resolver of Traefik, and that one has got none.

## What you see
Browsers warn, clients that verify refuse, a CDN in front answers 526. Requests without verification work, so dashboards stay green.

## How we know
The TLS handshake for the host shows a certificate that does not cover it. It carries a name that gateways give to their built-in
certificate, or it is the same that the gateway shows for a name that cannot exist.

## How to fix
Put a Secret of type `kubernetes.io/tls` with a certificate for the host into the Ingress' own namespace, under the name in `spec.tls`.
Of a container, see in the gateway's log why the resolver gets none: it is not declared, or the authority cannot reach the gateway.

## Looks like
`gateway-sni-mismatch`: a certificate for another name that is not the default one, since a Secret was found and holds the wrong one.

## Limits
Secrets are not read, so which of the reasons it is stands in the gateway's log. An Ingress whose TLS entry names no Secret wants
the default certificate, and is left alone; so is a container's configuration that names nobody to get one.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    match case.target().kind {
        Kind::Ingress => of_ingress(case),
        Kind::Container => of_container(case),
        _ => Ok(None),
    }
}

fn of_ingress(case: &Case<'_>) -> Judgement {
    let Some(written) = &case.path.route.host else { return Ok(None) };
    let ingress = case.snapshot.ingress(&case.target().key);
    let Some(ingress) = known(&ingress, "the Ingress")? else { return Ok(None) };
    let Some((index, secret)) = certificate::entry(ingress, written) else { return Ok(None) };
    let Some(shown) = shown(case)? else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let (service, namespace) = (gateway.service.meta.key(), case.namespace());
    let wants = format!("{} names Secret {namespace}/{secret} for {written}", case.target());
    Ok(shown
        .finding(&format!("Gateway Service {service}"), wants)
        .object(case.target(), &format!("spec.tls[{index}].secretName"))
        .fix(format!("Put a Secret {secret} of type kubernetes.io/tls with a certificate for {written} into namespace {namespace}."))
        .command(format!("kubectl -n {namespace} get secret {secret}"))
        .command(format!("kubectl -n {namespace} create secret tls {secret} --cert=tls.crt --key=tls.key"))
        .into())
}

fn of_container(case: &Case<'_>) -> Judgement {
    let Some((route, resolver)) = case.path.container.as_deref().and_then(|r| Some((r, r.resolver.as_ref()?))) else { return Ok(None) };
    let Some(shown) = shown(case)? else { return Ok(None) };
    let ContainerRoute { gateway, .. } = route;
    let wants = format!("{} names the certificate resolver {resolver} for it", case.path.route.field);
    Ok(shown
        .finding(&format!("Gateway {}", gateway.name), wants)
        .object(&gateway.reference(), &case.path.route.field)
        .fix(format!("See why {resolver} gets no certificate for {}, and mend that.", shown.host))
        .command(format!("docker logs {} 2>&1 | grep -iE 'acme|certificate|resolver'", gateway.name))
        .into())
}

/// The default certificate, shown for a host.
struct Shown<'a> {
    host: String,
    to: SocketAddr,
    served: Served<'a>,
}

/// The default certificate, where clients of the route get it. None where theirs covers the host or is another one.
fn shown<'a>(case: &Case<'a>) -> Result<Option<Shown<'a>>, Missing> {
    let Some(host) = case.path.route.asked_host() else { return Ok(None) };
    let Some(entrance) = case.gateway()?.and_then(|gateway| gateway.entrance(true)) else { return Ok(None) };
    let served = certificate::served(case, entrance.address, Some(&host))?;
    let Some(served) = served.into_iter().find(|s| !s.certificate.covers(&host)) else { return Ok(None) };
    if !served.is_built_in() && !certificate::is_shown_to_strangers(case, entrance.address, served.certificate)? {
        return Ok(None);
    }
    Ok(Some(Shown { host, to: entrance.address, served }))
}

impl Shown<'_> {
    fn finding(&self, gateway: &str, wants: String) -> FindingBuilder {
        let (host, name) = (&self.host, self.served.name());
        let message = format!("{gateway} shows its default certificate ({name}) for {host}, though {wants}.");
        let failing = format!("TLS handshake with {} for {host} → certificate {name}, not for {host}", self.to);
        CAUSE.finding(Confidence::Proven, message).states(&wants).proof(failing, wants)
    }
}
