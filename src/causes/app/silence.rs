//! Endpoints that accept and stay silent whatever they are asked.

use std::net::SocketAddr;

use crate::causes::{Case, EndpointView, Missing};
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
    Ok(Some(Silence { first, to, others, silent: views.len() }))
}
