use std::time::Duration;

use super::{gateway_pod, names};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::path::dns::{self, KNOWN_NAME};
use crate::probe::dns::RESEND;
use crate::probe::{Observation, Probe, Question, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "dns-5s-delay",
    summary: "single datagrams to the DNS are lost, and each costs a resolver five seconds",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ReadTimeout],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A resolver sends its questions for A and AAAA together, from one port. On the way through the DNS Service's address one of the two is lost, most often since the kernel tracks both as
one new connection at once (conntrack's `insert_failed`), or since the network loses datagrams. The resolver asks again only after five seconds.

## What you see
Requests that take 5 or 10 seconds longer than others, and time-outs where the gateway or its client does not wait so long. CPU and application are idle meanwhile.

## How we know
A name that every cluster has is looked up several times from inside the gateway's pod, as its own resolver does it: some answers come at once, and some only once the question was
sent again. The same name, asked of each DNS server directly and not through the Service, is never late.

## How to fix
NodeLocal DNSCache, whose questions are not translated; or `single-request-reopen` in the gateway's `dnsConfig` (musl does not know it), or DNS over TCP (`use-vc`).

## Looks like
`coredns-down`: no answer at all. A DNS server that is slow answers late wherever it is asked. `app-never-answers`: the endpoint itself is silent.

## Limits
Needs an agent on the gateway's node, and a route whose gateway looks a name up and that was slow or silent. Losses are rare by nature: a few look-ups may meet none. Where
the servers are late as well when they are asked directly, but not always, the finding is Likely.
",
    check,
};

/// Look-ups from inside the gateway's pod, and at each server.
const OWN: u8 = 8;
const DIRECT: u8 = 3;
/// Servers that are asked directly.
const SERVERS: usize = 3;
/// Late look-ups that mean something.
const SEVERAL: usize = 2;
/// A request that took so long has waited for somebody.
const SLOW: Duration = Duration::from_secs(1);

fn check(case: &Case<'_>) -> Judgement {
    let Some(wanted) = names::looked_up(case)? else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let slow = |o: &&Observation| o.signature() == Some(Signature::ReadTimeout) || o.took >= SLOW;
    if !case.failures.iter().any(slow) || dns::servers(case.snapshot).is_empty() {
        return Ok(None);
    }
    let own = Probe { timeout: case.timeout, ..Probe::new(Question::Resolve { name: KNOWN_NAME.into(), server: None }) };
    let first = case.ask(own.clone())?;
    let Some(pod) = gateway_pod(case, first) else {
        return Err(Missing::Fact("no agent looks names up as the gateway's pod does".into()));
    };
    let direct = names::probes(case, KNOWN_NAME).into_iter().take(SERVERS);
    let direct: Vec<Probe> = direct.flat_map(|probe| (0..DIRECT).map(move |n| probe.again(n))).collect();
    let all = (0..OWN).map(|n| own.again(n)).chain(direct.iter().cloned());
    case.ask_all(all.collect())?;
    let own = case.ask_all((0..OWN).map(|n| own.again(n)).collect())?;
    let direct = case.ask_all(direct)?;
    let mut all_late = own.into_iter().filter(|o| is_late(o));
    let (late, many) = (all_late.next(), all_late.count() + 1 >= SEVERAL);
    let prompt = direct.iter().copied().find(|o| !is_late(o) && !names::is_silent(o));
    let (Some(late), Some(prompt), true) = (late, prompt, many) else { return Ok(None) };
    let never = !direct.iter().any(|o| is_late(o) || names::is_silent(o));
    let confidence = if never && wanted.sure { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "Look-ups of the gateway {} lose single datagrams on their way to the cluster's DNS: a resolver waits five seconds for each before it can find {}.",
        pod.reference(),
        wanted.name
    );
    let says = "an answer came only once the question was sent again";
    Ok(CAUSE
        .finding(confidence, message)
        .object(&pod.reference(), "spec.dnsConfig")
        .saw(late)
        .states(format!("{}, through its own resolv.conf: {says}", late.probe))
        .saw(prompt)
        .proof(format!("{late}, and {says}"), format!("{prompt}, at once"))
        .fix("Run NodeLocal DNSCache, or let the gateway's resolver ask one question after the other.")
        .command("conntrack -S | grep -v insert_failed=0   # on the gateway's node")
        .command(names::dns_option(case, gateway, &serde_json::json!({"name": "single-request-reopen"})))
        .into())
}

/// Whether an answer came, and only after a datagram was sent again.
fn is_late(observation: &Observation) -> bool {
    !names::is_silent(observation) && observation.took >= RESEND
}
