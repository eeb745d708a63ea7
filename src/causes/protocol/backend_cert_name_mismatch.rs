use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::upstream::{self, Shown};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-cert-name-mismatch",
    summary: "the pods' certificate does not carry the name that the gateway looks for",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsName],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway speaks TLS to the pods and checks their certificate, and the name or address that it looks for is not among the certificate's.
Gateways that dial pods by address look for that address, unless they are told a name.

## What you see
500 on Traefik, 502 on Caddy and nginx; the log says `cannot validate certificate for 10.0.0.7 because it doesn't contain any IP SANs`, or
`certificate is valid for A, not B`.

## How we know
The request through the gateway fails with the gateway's own error. The same request, put to the pods by a client that trusts everybody, is
answered, over a certificate in time that lacks the name.

## How to fix
Tell the gateway which name to look for; the finding says where. Or issue the certificate for the name that it looks for.

## Looks like
`backend-cert-untrusted`: a self-signed certificate is turned down whatever its name. `backend-sni-missing`: another certificate, with
the right name, is shown to clients that send one.

## Limits
Only gateways whose name to look for follows from objects are judged: Traefik, and nginx with `proxy-ssl-name`.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let shown = upstream::shown(case)?;
    let wrong = |s: &Shown<'_>| !s.is_out_of_time() && s.is_named() == Some(false);
    let found = upstream::at_fault(case, &shown, wrong);
    let Some(first) = found.first() else { return Ok(None) };
    let Some(expected) = &first.expected else { return Ok(None) };
    let names = if first.certificate.names.is_empty() { "no name".to_owned() } else { first.certificate.names.join(", ") };
    let confidence = if first.sure { Confidence::Proven } else { Confidence::Likely };
    let message =
        format!("The certificate of the backends of {} is for {names}; the gateway looks for {expected} in it.", case.backend_name());
    let mut finding = CAUSE
        .finding(confidence, message)
        .saw(first.failure)
        .saw(first.answer)
        .states(format!("the certificate is for {names}"))
        .proof(first.failure.to_string(), format!("{}, by a client that checks no certificate", first.answer));
    finding = finding.backend(case, "metadata.annotations");
    Ok(finding.remedy(Change::ExpectName(first.certificate.names.first().map(String::as_str)).at(case)).into())
}
