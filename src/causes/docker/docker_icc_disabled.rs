use super::lost::{self, Elsewhere, Way};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-icc-disabled",
    summary: "the network that both are on keeps its containers from talking to each other",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout],
    explains: &["docker-forward-drop", "docker-stale-ip-after-recreate", "listen-backlog-full"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway and the container behind it are on one network, whose option `com.docker.network.bridge.enable_icc` is `false`: the engine drops packets between its containers.

## What you see
504 after the connect time-out. The name resolves, the container runs, and its port is open.

## How we know
A connection from inside the gateway is not answered, the network that both are on has the option, and the same connection is answered from the engine's host or inside the container itself.

## How to fix
Put both on a network without the option. It cannot be changed on a network that exists.

## Looks like
`docker-different-networks`: they share no network. `docker-user-chain-drop`, `docker-forward-drop`: the network lets them talk, and a rule of the host does not.

## Limits
Where nobody can ask from elsewhere the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    for lost in lost::lost(case)?.into_iter().filter(lost::Lost::is_silent) {
        let Way::Bridge(network, container) = lost.way else { continue };
        if network.lets_containers_talk() {
            continue;
        }
        let elsewhere = lost.answered_elsewhere(case)?;
        let confidence = match elsewhere {
            Elsewhere::Answered(_) => Confidence::Proven,
            Elsewhere::Unknown => Confidence::Likely,
            Elsewhere::Lost => continue,
        };
        let gateway = &lost.route.gateway;
        let message = format!(
            "{} and {} are on network {}, which does not let its containers talk to each other (enable_icc=false).",
            gateway.name, container.name, network.name
        );
        let option = format!("network {} has the option com.docker.network.bridge.enable_icc=false", network.name);
        let mut finding = CAUSE
            .finding(confidence, message)
            .object(&network.reference(), "Options[com.docker.network.bridge.enable_icc]")
            .object(&container.reference(), "")
            .saw(lost.seen)
            .states(option.clone());
        let mut passing = option;
        if let Some(answer) = elsewhere.answer() {
            finding = finding.saw(answer);
            passing = format!("{answer} (from {}); {passing}", answer.vantage);
        }
        return Ok(finding
            .proof(lost.failing_line(), passing)
            .fix("Connect both to a network without that option.")
            .command("docker network create app")
            .command(format!("docker network connect app {}", gateway.name))
            .command(format!("docker network connect{} app {}", alias(&lost, container), container.name))
            .into());
    }
    Ok(None)
}

/// The option that gives a container the name that the gateway uses, where it uses one.
fn alias(lost: &lost::Lost<'_>, container: &crate::snapshot::objects::docker::Container) -> String {
    let named = lost.route.servers.iter().map(|s| s.server.host.as_str()).find(|host| host.parse::<std::net::IpAddr>().is_err());
    named.filter(|name| *name != container.name.as_str()).map_or_else(String::new, |name| format!(" --alias {name}"))
}
