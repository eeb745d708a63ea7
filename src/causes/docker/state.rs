//! A container on the route that does not run as it should, and why.

use std::sync::Arc;

use super::meant::{self, Meant, Unresolved};
use crate::api::Confidence;
use crate::causes::{Case, Cause, FindingBuilder, Missing};
use crate::path::{ContainerRoute, Leads};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::docker::{Container, Host, NetworkMode, Status};

/// Starts in so short a time are a loop.
const LOOP: i64 = 60;
/// What the engine says where a published port is taken.
const PORT_TAKEN: &[&str] = &["port is already allocated", "address already in use"];

/// Why a container does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The port that it publishes is taken.
    PortTaken,
    /// The container whose network it lives in is gone, or was started anew.
    NetnsOwnerDead,
    /// It was never started, or could not be.
    NeverStarted,
    /// It used more memory than it may.
    Oom,
    /// It ends and is started again.
    Restarting,
    /// It ended.
    Exited,
    /// It is frozen.
    Paused,
}

/// A container on the route that does not run.
#[derive(Clone, Debug)]
pub struct Down<'a> {
    /// The route.
    pub route: &'a ContainerRoute,
    /// The container.
    pub container: &'a Arc<Container>,
    /// Why.
    pub reason: Reason,
    /// The name that leads to it and gives no address, where that is how it is known.
    pub name: Option<Unresolved<'a>>,
    /// The gateway's own request to it, where it has an address.
    pub seen: Option<&'a Observation>,
}

/// The container that keeps a route from working by not running: the gateway itself, or one that its upstream means.
pub fn down<'a>(case: &Case<'a>) -> Result<Option<Down<'a>>, Missing> {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    let name = meant::unresolved(case)?;
    if let Some(Unresolved { meant: Meant::Stopped(container), .. }) = &name
        && (route.gateway.runs() || name.as_ref().is_some_and(|n| n.said.is_some()))
    {
        let container = *container;
        return Ok(reason(&route.host, container, None).map(|reason| Down { route, container, reason, name, seen: None }));
    }
    if !route.gateway.runs() {
        let container = &route.gateway;
        return Ok(reason(&route.host, container, None).map(|reason| Down { route, container, reason, name: None, seen: None }));
    }
    behind(case, route)
}

/// A container that has an address, and whose state says why a request to it fails.
fn behind<'a>(case: &Case<'a>, route: &'a ContainerRoute) -> Result<Option<Down<'a>>, Missing> {
    let addressed = route.servers.iter().any(|s| matches!(&s.leads, Leads::Containers(_)));
    if !addressed {
        return Ok(None);
    }
    for view in case.walked()?.into_iter().filter(|v| v.seen.signature().is_some_and(|s| s != Signature::Relayed)) {
        let Some(container) = view.endpoint.container.as_ref() else { continue };
        if let Some(reason) = reason(&route.host, container, Some(view.seen)) {
            return Ok(Some(Down { route, container, reason, name: None, seen: Some(view.seen) }));
        }
    }
    Ok(None)
}

/// Why a container does not run; nothing where it does.
pub fn reason(host: &Host, container: &Arc<Container>, seen: Option<&Observation>) -> Option<Reason> {
    let state = &container.state;
    if container.runs() {
        let now = seen.map(|o| o.at);
        let young = now.zip(state.started).is_some_and(|(now, started)| (now.as_second() - started.as_second()).abs() < LOOP);
        return match () {
            () if has_dead_netns(host, container) => Some(Reason::NetnsOwnerDead),
            () if container.restarts > 1 && young => Some(if state.oom_killed { Reason::Oom } else { Reason::Restarting }),
            () => None,
        };
    }
    let error = state.error.to_ascii_lowercase();
    Some(match state.status {
        Status::Paused => Reason::Paused,
        _ if PORT_TAKEN.iter().any(|words| error.contains(words)) => Reason::PortTaken,
        _ if error.contains("network namespace")
            || (matches!(container.network_mode, NetworkMode::Container(_)) && host.netns_owner(container).is_none_or(|o| !o.runs())) =>
        {
            Reason::NetnsOwnerDead
        }
        Status::Created => Reason::NeverStarted,
        _ if !error.is_empty() && state.started.is_none() => Reason::NeverStarted,
        _ if state.oom_killed => Reason::Oom,
        Status::Restarting => Reason::Restarting,
        _ => Reason::Exited,
    })
}

/// Whether the network namespace that a running container lives in is not its owner's any more: the owner is gone, does not run, or was
/// started after it, and so got another one.
pub fn has_dead_netns(host: &Host, container: &Arc<Container>) -> bool {
    if !matches!(container.network_mode, NetworkMode::Container(_)) {
        return false;
    }
    match host.netns_owner(container) {
        None => true,
        Some(owner) => !owner.runs() || owner.state.started > container.state.started,
    }
}

impl Down<'_> {
    /// Whether it is the gateway itself.
    pub fn is_gateway(&self) -> bool {
        self.container.id == self.route.gateway.id
    }

    /// What it is on the route, for messages: `The gateway shop-gateway-1`, `shop-app-1, where shop-gateway-1 sends requests,`.
    pub fn subject(&self) -> String {
        if self.is_gateway() {
            format!("The gateway {}", self.container.name)
        } else {
            format!("{}, where {} sends requests,", self.container.name, self.route.gateway.name)
        }
    }

    /// How it fares, as a line of proof.
    pub fn state_line(&self) -> String {
        let state = &self.container.state;
        let mut text = format!("container {} is {}", self.container.name, state.status);
        if !self.container.runs() && state.exit_code != 0 {
            text.push_str(&format!(", exit code {}", state.exit_code));
        }
        if self.container.restarts > 0 {
            text.push_str(&format!(", restarted {} times", self.container.restarts));
        }
        if !state.error.is_empty() {
            text.push_str(&format!(", error: {}", state.error));
        }
        text
    }

    /// A finding about it, with what is known of every such container.
    pub fn finding(&self, case: &Case<'_>, cause: &Cause, message: String) -> Result<FindingBuilder, Missing> {
        let failing = match (&self.name, self.seen) {
            (Some(name), _) => name.failing_line(),
            (None, Some(seen)) => seen.to_string(),
            (None, None) => case.failing_line(),
        };
        let mut finding = cause.finding(Confidence::Proven, message).object(&self.container.reference(), "State");
        if let Some(name) = &self.name {
            finding = name.evidence(finding);
        }
        if let Some(seen) = self.seen {
            finding = finding.saw(seen);
        }
        finding = finding.states(self.state_line()).proof(failing, self.state_line());
        if let Some(last) = meant::log_of(case, self.container)?.iter().rev().map(|l| l.text.trim()).find(|l| !l.is_empty()) {
            finding = finding.logged(&self.container.name, last);
        }
        Ok(finding)
    }

    /// The command that shows its log.
    pub fn logs(&self) -> String {
        format!("docker logs --tail 50 {}", self.container.name)
    }
}
