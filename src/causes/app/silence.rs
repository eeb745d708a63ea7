//! Endpoints that accept and stay silent whatever they are asked.

use std::net::SocketAddr;

use crate::causes::{Behind, Case, EndpointView, Look, Missing};
use crate::probe::{Observation, Probe, Question, Scheme, Signature};

/// A silent endpoint, and what else it was asked in vain.
#[derive(Clone, Debug)]
pub struct Silence<'a> {
    /// The first silent endpoint.
    pub first: EndpointView<'a>,
    /// Its address and port.
    pub to: SocketAddr,
    /// Another path and a TLS handshake, both silent.
    pub others: Vec<&'a Observation>,
    /// How many of the walked endpoints are silent.
    pub silent: usize,
    /// What the queue of the silent socket says, where an agent could look.
    pub queue: Option<Queue<'a>>,
}

/// Whether the process takes the connections that the kernel completes.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'a> {
    /// The look into the pod or container.
    pub look: Look<'a>,
    /// Who takes them.
    pub taken: Taken,
}

/// Who takes the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The process: none waits.
    ByProcess,
    /// The kernel alone: those that asked here all still wait.
    ByKernel,
    /// Some wait; or the socket was not found.
    Unclear,
}

/// Looks for an endpoint that is silent on the route's path, on another one, and in a TLS handshake.
pub fn of<'a>(case: &Case<'a>) -> Result<Option<Silence<'a>>, Missing> {
    if case.path.backend.scheme != Scheme::Http {
        return Ok(None);
    }
    let views = case.walked_with(&[Signature::ReadTimeout])?;
    let Some(first) = views.first().copied() else { return Ok(None) };
    let Some(to) = first.endpoint.socket() else { return Ok(None) };
    let mut elsewhere = case.request_to(to, Scheme::Http);
    if let Some(request) = elsewhere.request_mut() {
        request.path = "/culprit-probe".into();
    }
    let shake = Probe {
        timeout: case.timeout,
        ..Probe::new(Question::Handshake { to, server_name: case.path.route.asked_host(), alpn: Vec::new() })
    };
    let others = case.ask_all(vec![elsewhere, shake])?;
    if others.iter().any(|o| o.signature() != Some(Signature::ReadTimeout)) {
        return Ok(None);
    }
    let queue = match first.behind() {
        Some(behind) => queue(case, behind, to, &others)?,
        None => None,
    };
    Ok(Some(Silence { first, to, others, silent: views.len(), queue }))
}

/// What the queue says. Connections wait for a moment wherever a node is busy, so that one where they do is looked at again after another try.
fn queue<'a>(case: &Case<'a>, behind: Behind<'_>, to: SocketAddr, asked: &[&'a Observation]) -> Result<Option<Queue<'a>>, Missing> {
    let Some(look) = case.look_behind(behind)? else { return Ok(None) };
    let before = waiting(look, to);
    let taken = match before {
        Some(Waiting { count: 0, .. }) => Taken::ByProcess,
        Some(before) if before.full || before.count > asked.len() => {
            case.ask_all(asked.last().map(|o| o.probe.again(1)).into_iter().collect())?;
            let after = case.look_again(behind)?.and_then(|look| waiting(look, to));
            if after.is_some_and(|after| after.count >= before.count) { Taken::ByKernel } else { Taken::Unclear }
        }
        Some(_) | None => Taken::Unclear,
    };
    Ok(Some(Queue { look, taken }))
}

/// Connections that wait to be taken.
#[derive(Clone, Copy)]
struct Waiting {
    count: usize,
    full: bool,
}

/// A connection that was closed here stays in the queue until the process takes it, so that each one asked shows. Nothing where no socket serves.
fn waiting(look: Look<'_>, to: SocketAddr) -> Option<Waiting> {
    let sockets: Vec<_> = look.inside.serving(to.ip(), to.port()).collect();
    let count = sockets.iter().map(|l| usize::try_from(l.queue).unwrap_or(usize::MAX)).sum();
    let full = sockets.iter().any(|l| l.is_full() == Some(true));
    (!sockets.is_empty()).then_some(Waiting { count, full })
}
