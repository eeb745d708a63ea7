use std::net::IpAddr;
use std::time::Duration;

use super::gateway_pod;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, Missing, Platform, When};
use crate::probe::{Method, Observation, Outcome, PathSize, Probe, Question, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "mtu-black-hole",
    summary: "large packets between the gateway and the pods are lost without a word",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ReadTimeout, Signature::BodyCut],
    explains: &["app-never-answers", "accept-without-service", "app-content-length-short"],
    since: "0.1.0",
    docs: r"
## What it means
Some link between the gateway and the endpoint carries smaller packets than the interfaces at its ends take for good, mostly since a tunnel (VXLAN, WireGuard, a VPN) adds its own
header. Who cannot pass a packet on says so by ICMP, and that is filtered: senders never learn of it, and send the same packet again and again.

## What you see
Connections open, small answers come, and large ones hang: 504, a body that is cut by a time-out, a TLS handshake that stops at the certificate. Health checks are small, so everything
is green.

## How we know
An endpoint is silent to the route's request, or cuts its answer, while it answers a HEAD of the same URL (in TLS: it accepts the connection). Then echoes of several sizes that may not
be fragmented are sent to it from inside the gateway's pod, at most 12: small ones come back, and those of the interface's size never do.

## How to fix
Set the pods' MTU in the network's configuration to what the path carries (the nodes' MTU less 50 for VXLAN, less 60 to 80 for WireGuard), or let ICMP of type 3, code 4 through; until
then clamp the segment size of TCP on the nodes.

## Looks like
`app-never-answers`: nothing comes at all, not even a small answer. A slow application answers a HEAD late as well, and all sizes of packets come back.

## Limits
Needs an agent on the gateway's node; without one the packets are sent from elsewhere, if they can be at all, and the finding is Likely. Nothing can be said where echoes are not
answered at all. An echo shows both ways together, but its answer may be cut in pieces on the way back where the request may not: a link that is too small only from the
endpoint to the gateway is not seen.
",
    check,
};

/// Twelve packets and their patience.
const LIMIT: Duration = Duration::from_secs(4);
/// Endpoints that packets are sent to at most.
const MOST: usize = 3;

fn check(case: &Case<'_>) -> Judgement {
    let mut views = case.walked_with(&[Signature::ReadTimeout, Signature::BodyCut])?;
    views.truncate(MOST);
    if views.is_empty() {
        return Ok(None);
    }
    case.ask_all(views.iter().map(|view| small_twin(case, *view)).collect())?;
    let mut unknown = None;
    for view in views {
        match swallowed(case, view) {
            Ok(Some(found)) => return Ok(finding(case, &found).into()),
            Ok(None) => {}
            Err(missing @ Missing::Probes(_)) => return Err(missing),
            Err(missing) => unknown = Some(missing),
        }
    }
    unknown.map_or(Ok(None), Err)
}

/// An endpoint whose large answers are lost.
struct Swallowed<'a> {
    view: EndpointView<'a>,
    to: IpAddr,
    small: &'a Observation,
    sizes: &'a Observation,
    passes: u16,
    assumed: u16,
}

fn swallowed<'a>(case: &Case<'a>, view: EndpointView<'a>) -> Result<Option<Swallowed<'a>>, Missing> {
    let small = case.ask(small_twin(case, view))?;
    if small.signature().is_some_and(|s| s != Signature::Relayed) {
        return Ok(None);
    }
    let to = view.endpoint.address;
    let sizes = case.ask(Probe { timeout: LIMIT, ..Probe::new(Question::Size { to }) })?;
    let Outcome::Measured(size @ PathSize { assumed, .. }) = sizes.outcome else { return Ok(None) };
    if size.passes.is_none() {
        return Err(Missing::Fact(format!("{to} answers no echo")));
    }
    Ok(size.swallows_above().map(|passes| Swallowed { view, to, small, sizes, passes, assumed }))
}

/// What is asked with a small answer: a HEAD in plain text, and a bare connection where a certificate would come first.
fn small_twin(case: &Case<'_>, view: EndpointView<'_>) -> Probe {
    let mut probe = view.seen.probe.clone();
    match (case.path.backend.scheme.is_tls(), probe.address()) {
        (true, Some(to)) => return case.connect_to(to),
        _ => probe.request_mut().into_iter().for_each(|request| request.method = Method::Head),
    }
    probe
}

fn finding(case: &Case<'_>, found: &Swallowed<'_>) -> crate::causes::FindingBuilder {
    let Swallowed { view, to, small, sizes, passes, assumed } = found;
    let inside = gateway_pod(case, sizes);
    let from = inside.map_or_else(|| "the gateway".to_owned(), |pod| format!("the gateway {}", pod.reference()));
    let confidence = if inside.is_some() { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "Packets of more than {passes} bytes between {from} and {to} are lost without a word, and both ends send up to {assumed}: large answers of Service {} hang.",
        case.service_name()
    );
    let mut finding = CAUSE.finding(confidence, message);
    if let Some(pod) = view.endpoint.pod.known() {
        finding = finding.object(&pod.reference(), "");
    }
    finding
        .saw(view.seen)
        .saw(small)
        .saw(sizes)
        .proof(view.seen.to_string(), format!("{small}; {sizes}"))
        .fix(format!("Set the MTU of the pods' network to what its path carries, not above {passes}."))
        .command(format!(
            "ping -M do -c 1 -s {} {to}   # from inside the gateway's pod: is lost; with -s {} it comes back",
            assumed - 28,
            passes - 28
        ))
        .command("iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu   # on the nodes, until then")
}
