use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Behind, Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "nested-gateway-502",
    summary: "a proxy inside the pod made the error",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::Relayed],
    explains: &["app-returns-5xx"],
    since: "0.1.0",
    docs: r"
## What it means
Behind the gateway stands another proxy (a sidecar, nginx before an application server), and that one cannot reach what is behind it.

## What you see
502, 503 or 504 with the inner proxy's own error page.

## How we know
The pod, asked directly, answers with an error page that a known proxy makes.

## How to fix
Look at the inner proxy: its log says which address it cannot reach. The outer gateway is not at fault.

## Looks like
`app-returns-5xx`: the application's own page. The gateway's own 502 looks alike; the direct request tells them apart.

## Limits
What is behind the inner proxy is not followed.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(&[Signature::Relayed])?;
    let page = |v: &crate::causes::EndpointView<'_>| {
        v.seen.response().filter(|r| matches!(r.status, 502..=504)).and_then(crate::evidence::pages::error_page_of)
    };
    let found: Vec<_> = views.iter().filter(|v| page(v).is_some()).collect();
    let Some(first) = found.first() else { return Ok(None) };
    let Some(proxy) = page(first) else { return Ok(None) };
    let status = first.seen.response().map(|r| r.status).unwrap_or_default();
    // A server of an upstream may be the proxy itself.
    let where_ = if case.path.container.is_some() { "among" } else { "inside" };
    let message = format!(
        "{proxy} {where_} the {} answers {status}: it cannot reach what is behind it ({}).",
        case.members_name(),
        case.share(found.len())
    );
    let evidence = format!("the {status} carries {proxy}'s own error page");
    let mut finding = CAUSE
        .finding(Confidence::Proven, message)
        .saw(first.seen)
        .states(&evidence)
        .proof(case.failing_line(), format!("{}, with {proxy}'s own error page", first.seen));
    finding = match first.behind() {
        Some(Behind::Pod(pod)) => {
            finding.behind(first).command(format!("kubectl -n {} logs {} --all-containers --since=5m", pod.meta.namespace, pod.meta.name))
        }
        _ => finding.read_log_of(first),
    };
    Ok(finding.fix("Look at the inner proxy's log for the address that it cannot reach, and mend that.").into())
}
