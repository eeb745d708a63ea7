use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, remedy};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-not-http-on-port",
    summary: "the port speaks another protocol than HTTP",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::HdrBad],
    explains: &["app-closes-connection"],
    since: "0.1.0",
    docs: r"
## What it means
What listens on the port is no HTTP server: mail, SSH, a database, a metrics or debug port.

## What you see
502 on HAProxy, Caddy and Apache, 500 on Traefik; nginx and Apache may even pass the bytes on as a 200.

## How we know
The first bytes that come are those of another protocol, or no HTTP response at all.

## How to fix
Point the Service at the port that serves HTTP, or do not route HTTP to this one.

## Looks like
`backend-plain-to-tls-pod` answers with TLS records; `http1-to-h2-backend` with HTTP/2 frames. Both are told apart by their first bytes.

## Limits
Protocols in which the client speaks first stay silent or hang up; those look like an application that does.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(&[Signature::HdrBad])?;
    let other = |v: &&crate::causes::EndpointView<'_>| matches!(&v.seen.outcome, crate::probe::Outcome::Broken { first_bytes, .. } if !first_bytes.is_empty() && !first_bytes.starts_with(b"HTTP/"));
    let found: Vec<_> = views.iter().filter(other).collect();
    let Some(first) = found.first() else { return Ok(None) };
    let crate::probe::Outcome::Broken { first_bytes, .. } = &first.seen.outcome else { return Ok(None) };
    let protocol = protocol_of(first_bytes);
    let port = first.endpoint.port.unwrap_or_default();
    let message = format!("Port {port} of the {} speaks {protocol}, not HTTP ({}).", case.members_name(), case.share(found.len()));
    let mut finding = CAUSE
        .finding(Confidence::Proven, message)
        .saw(first.seen)
        .proof(case.failing_line(), first.seen.to_string())
        .backend(case, "spec.ports[].targetPort");
    finding = match case.service_ref() {
        Some(service) => finding.fix("Point the Service's targetPort at the port that serves HTTP.").command(service.kubectl("edit")),
        None => remedy::reload(case)
            .into_iter()
            .fold(finding.fix("Write the port that serves HTTP into the gateway's upstream."), |finding, command| finding.command(command)),
    };
    Ok(finding.into())
}

/// The protocol that a greeting belongs to, as far as its first bytes say.
///
/// Sources: RFC 4253 §4.2 (SSH), RFC 5321 §4.2 and RFC 959 (SMTP and FTP both greet with 220), RFC 1939 (POP3), RFC 3501 (IMAP),
/// the RESP specification (Redis), the MySQL client/server protocol (packet length, sequence 0, version 10).
fn protocol_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'S', b'S', b'H', b'-', ..] => "SSH",
        [b'2', b'2', b'0', b' ' | b'-', ..] => "SMTP or FTP",
        [b'+', b'O', b'K', ..] => "POP3 or Redis",
        [b'-', b'E', b'R', b'R', ..] | [b'-', b'D', b'E', b'N', ..] => "Redis",
        [b'*', b' ', b'O', b'K', ..] => "IMAP",
        [_, _, 0, 0, 10, ..] => "MySQL",
        [b'A', b'M', b'Q', b'P', ..] => "AMQP",
        [b'E', b'R', b'R', b'O', b'R', ..] => "memcached or another text protocol",
        _ => "another protocol",
    }
}
