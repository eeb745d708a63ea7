use super::gateway_pod;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::swallowed::{Swallowed, swallowed};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

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

fn check(case: &Case<'_>) -> Judgement {
    Ok(swallowed(case)?.and_then(|found| finding(case, &found).into()))
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
        .command(found.ping("pod"))
        .command("iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu   # on the nodes, until then")
}
