use crate::api::{Confidence, Hop, Severity};
use crate::causes::upstream::{self, Shown};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-cert-expired",
    summary: "the pods' certificate has expired or is not valid yet",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsVerify],
    explains: &["backend-cert-untrusted", "backend-cert-name-mismatch"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway speaks TLS to the pods and checks their certificate, and the certificate's time is over, or has not begun.

## What you see
500 on Traefik and Apache, 502 on Caddy and nginx, 503 on HAProxy and Envoy; the gateway's log says that the certificate has expired.

## How we know
The request through the gateway fails with the gateway's own error. The same request, put to the pods by a client that trusts everybody, is
answered, over a certificate whose validity does not cover now.

## How to fix
Renew the certificate and let the pods load it. Where it only has to come: compare the clocks of who issues it and of the gateway's node.

## Looks like
`backend-cert-untrusted` and `backend-cert-name-mismatch`: the certificate is in time and turned down for its issuer or its name. An expired
one that is also self-signed is named here, since gateways look at the time first.

## Limits
Gateways that do not check certificates (nginx and HAProxy unless told to) are not troubled. Where only the gateway's own configuration says
whether it checks, the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let shown = upstream::shown(case)?;
    let found = upstream::at_fault(case, &shown, Shown::is_out_of_time);
    let Some(first) = found.first() else { return Ok(None) };
    let certificate = first.certificate;
    let over = certificate.not_after.is_some_and(|end| end < first.at);
    let (short, span) = match (over, certificate.not_after, certificate.not_before) {
        (true, Some(end), _) => ("has expired", format!("expired at {end}")),
        (_, _, Some(begin)) => ("is not valid yet", format!("is not valid before {begin}")),
        _ => return Ok(None),
    };
    let confidence = if first.sure { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "The certificate ({}) of the backends of {} {short}, and the gateway turns it down ({} of {} asked).",
        first.name(),
        case.backend_name(),
        found.len(),
        first.of
    );
    let finding = CAUSE
        .finding(confidence, message)
        .saw(first.failure)
        .saw(first.answer)
        .states(format!("the certificate {} {span}", first.name()))
        .proof(first.failure.to_string(), format!("{}, over a certificate that {span}, by a client that checks none", first.answer));
    let address = first.answer.probe.address().map(|a| a.to_string()).unwrap_or_default();
    let finding = finding.backend(case, "");
    let finding = match case.path.container {
        Some(_) => finding.fix("Renew the certificate that the upstream shows and have it taken up there."),
        None => finding
            .fix("Renew the certificate that the pods serve and let them load it.")
            .command(format!("kubectl -n {} get certificates,secrets", case.namespace())),
    };
    Ok(finding
        .command(format!("openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -dates"))
        .into())
}
