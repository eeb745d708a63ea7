use jiff::{SignedDuration, Timestamp};

use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::reload;
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::{Certificate, Signature};
use crate::snapshot::objects::{Kind, ObjectRef};

use super::certificate;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-cert-expired",
    summary: "the certificate that the gateway shows has expired, or is not valid yet",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsVerify],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway ends TLS for the host with a certificate whose validity is over, or has not begun.

## What you see
Browsers show a full-page warning, programs refuse to connect, a CDN in front answers 526. No HTTP status is there to see, and requests
that do not verify work, so dashboards stay green.

## How we know
The handshake for the host shows the certificate, and its last or first day is compared with the time of that handshake. What counts is
the certificate that is served, not the Secret: a gateway may hold an older one.

## How to fix
Renew the certificate. Where the Secret holds a newer one already, find out why the gateway has not taken it up.

## Looks like
`gateway-default-cert` and `gateway-sni-mismatch`: a certificate for another name. A wrong clock makes a good certificate look so: compare
the time of the machines.

## Limits
Only the leaf is looked at, not the chain above it. Nothing is said before the last day. Certificates that gateways make for themselves
are left alone.
",
    check,
};

/// Clocks may differ by so much; a certificate that begins within it may be valid already where its clients are.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

fn check(case: &Case<'_>) -> Judgement {
    let route = &case.path.route;
    // A plain request that is sent to https ends there, too.
    let over_tls = route.tls || case.answers().any(|o| o.response().is_some_and(|r| r.tls.is_some()));
    if !over_tls {
        return Ok(None);
    }
    let Some(declared) = certificate::declared(case)? else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let Some(entrance) = gateway.entrance(true) else { return Ok(None) };
    let host = route.asked_host();
    let served = certificate::served(case, entrance.address, host.as_deref())?;
    let entry = route.host.as_deref().and_then(|h| declared.entry(h));
    let outside = served.into_iter().filter(|s| !s.is_built_in()).find_map(|s| state(s.certificate, s.seen.at).map(|state| (s, state)));
    let Some((served, state)) = outside else { return Ok(None) };
    // One for another name is the other fault, and the first one to mend.
    if host.as_ref().is_some_and(|h| !served.certificate.covers(h)) {
        return Ok(None);
    }
    let namespace = case.namespace();
    let clients = host.clone().unwrap_or_else(|| "clients without a server name".into());
    let mut finding = CAUSE
        .finding(state.confidence, format!("The certificate that {} shows for {clients} {}.", case.gateway_name(), state.text))
        .saw(served.seen)
        .states(format!("certificate {} by {}: {}", served.name(), served.certificate.issuer, state.validity))
        .proof(served.seen.to_string(), state.validity);
    if case.path.container.is_some() {
        let finding = finding.on_route(case, "").fix("Renew the certificate that the gateway's configuration names, and have it taken up.");
        return Ok(reload(case).into_iter().fold(finding, |finding, command| finding.command(command)).into());
    }
    finding = match entry {
        Some((index, secret)) => finding
            .object(case.target(), &format!("spec.tls[{index}].secretName"))
            .fix(format!("Renew the certificate in Secret {namespace}/{secret}; if it is a new one, the gateway has not taken it up."))
            .command(certificate::show(namespace, secret, "-dates"))
            .command(certificate::renew(namespace, secret)),
        None => finding
            .object(case.target(), "spec.tls")
            .fix("Renew the gateway's default certificate, or name a Secret with a valid one in spec.tls.")
            .command(format!("{} -o wide", ObjectRef { kind: Kind::Service, key: gateway.service.meta.key() }.kubectl("get"))),
    };
    Ok(finding.into())
}

struct State {
    text: &'static str,
    validity: String,
    confidence: Confidence,
}

/// What is wrong with a certificate's validity at a time.
fn state(certificate: &Certificate, at: Timestamp) -> Option<State> {
    let over = certificate.not_after.filter(|end| *end < at);
    let early = certificate.not_before.filter(|begin| *begin > at);
    match (over, early) {
        (Some(end), _) => {
            Some(State { text: "has expired", validity: format!("its validity ended at {end}"), confidence: Confidence::Proven })
        }
        (None, Some(begin)) => {
            let confidence = if begin.duration_since(at) > SKEW { Confidence::Proven } else { Confidence::Likely };
            Some(State { text: "is not valid yet", validity: format!("its validity begins at {begin}"), confidence })
        }
        (None, None) => None,
    }
}
