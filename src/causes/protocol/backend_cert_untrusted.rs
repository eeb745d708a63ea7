use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::upstream::{self, Shown};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-cert-untrusted",
    summary: "the gateway does not trust who issued the pods' certificate",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsVerify],
    explains: &["backend-cert-name-mismatch"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway speaks TLS to the pods and checks their certificate. It is self-signed, or from an authority that the gateway does not know.

## What you see
500 on Traefik and Apache, 502 on Caddy and nginx, 503 on HAProxy and Envoy; the gateway's log speaks of an unknown authority, or of the name.

## How we know
The request through the gateway fails with the gateway's own error. The same request, put to the pods by a client that trusts everybody, is
answered, over a certificate that is in time and that nobody vouches for.

## How to fix
Give the gateway the authority's certificate for these backends. Not checking at all would let anybody in between pose as the pods.

## Looks like
`backend-cert-expired`, whatever the issuer; `backend-cert-name-mismatch`, where the issuer may be trusted and the name is wrong.

## Limits
Which authorities a gateway trusts is not read. A certificate that is not self-signed is only Likely to be the reason.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let shown = upstream::shown(case)?;
    let found = upstream::at_fault(case, &shown, |s| distrust(s).is_some());
    let Some((first, confidence)) = found.first().and_then(|s| Some((s, distrust(s)?))) else { return Ok(None) };
    let by =
        if first.certificate.self_signed { "is self-signed".to_owned() } else { format!("was issued by {}", first.certificate.issuer) };
    let message =
        format!("The certificate ({}) of the backends of {} {by}, which the gateway does not trust.", first.name(), case.backend_name());
    let mut finding = CAUSE
        .finding(confidence, message)
        .saw(first.failure)
        .saw(first.answer)
        .states(format!("the certificate {} {by}", first.name()))
        .proof(first.failure.to_string(), format!("{}, by a client that checks no certificate", first.answer));
    finding = finding.backend(case, "metadata.annotations");
    Ok(finding.remedy(Change::Trust.at(case)).into())
}

/// How sure it is that a certificate is turned down for its issuer; nothing where it is turned down for something else.
fn distrust(shown: &Shown<'_>) -> Option<Confidence> {
    if shown.is_out_of_time() {
        return None;
    }
    match (shown.certificate.self_signed, shown.own_authorities, shown.is_named()) {
        (true, false, _) if shown.sure => Some(Confidence::Proven),
        (true, false, _) => Some(Confidence::Likely),
        // A wrong name is a sure thing, and an issuer that may be trusted is not.
        (_, _, Some(false)) => None,
        _ if shown.sure => Some(Confidence::Likely),
        _ => Some(Confidence::Possible),
    }
}
