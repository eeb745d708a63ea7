//! Probes sent by this process, from the network that it stands in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::Vantage;
use crate::evidence::inside::Hosts;
use crate::probe::{Observation, Outcome, Probe, Question, Signature, dns, http, io, special, tcp, tls};

/// Probes under way at once, in all and to one address.
const IN_FLIGHT: usize = 256;
const IN_FLIGHT_PER_ADDRESS: usize = 16;

/// This process as a vantage.
#[derive(Debug)]
pub struct Local {
    name: String,
    servers: Vec<SocketAddr>,
    hosts: Hosts,
    allow_loopback: bool,
    all: Semaphore,
    by_address: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

impl Local {
    /// A vantage that resolves names at these servers.
    pub fn new(name: impl Into<String>, servers: Vec<SocketAddr>) -> Self {
        Local {
            name: name.into(),
            servers,
            hosts: Hosts::default(),
            allow_loopback: false,
            all: Semaphore::new(IN_FLIGHT),
            by_address: Mutex::new(HashMap::new()),
        }
    }

    /// Knows these names without a server, as from `/etc/hosts`.
    #[must_use]
    pub fn knowing(self, hosts: Hosts) -> Self {
        Local { hosts, ..self }
    }

    /// Allows loopback addresses: in a container, where a gateway may have its own upstream, and in tests of this process.
    #[must_use]
    pub fn allowing_loopback(mut self) -> Self {
        self.allow_loopback = true;
        self
    }

    /// Checks the address once more where it is connected to, whatever the plan has checked before.
    fn refusal(&self, to: SocketAddr) -> Option<String> {
        let ip = to.ip().to_canonical();
        let kind = special(ip).filter(|_| !(ip.is_loopback() && self.allow_loopback))?;
        Some(format!("{ip} is a {kind} address, which is never probed"))
    }

    fn address_limit(&self, ip: IpAddr) -> Arc<Semaphore> {
        let mut limits = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for a semaphore that only this map holds; what is not in use is forgotten.
        if limits.len() > 4 * IN_FLIGHT {
            limits.retain(|_, s| Arc::strong_count(s) > 1);
        }
        limits.entry(ip).or_insert_with(|| Arc::new(Semaphore::new(IN_FLIGHT_PER_ADDRESS))).clone()
    }

    async fn send(&self, probe: &Probe) -> (Outcome, std::time::Duration) {
        if probe.from.is_some() {
            return (Outcome::NotSent("no agent asks from inside pods here".into()), std::time::Duration::ZERO);
        }
        if let Some(why) = probe.address().filter(|_| !is_lookup(probe)).and_then(|to| self.refusal(to)) {
            return (Outcome::NotSent(why), std::time::Duration::ZERO);
        }
        let limit = probe.address().map(|to| self.address_limit(to.ip()));
        let _all = self.all.acquire().await;
        let _one = match &limit {
            Some(limit) => Some(limit.acquire().await),
            None => None,
        };
        let begun = Instant::now();
        // The probes keep the limit themselves; this is for what they do not see, such as a write that blocks.
        let outcome = tokio::time::timeout(probe.timeout + probe.timeout / 4, self.put(probe)).await;
        (outcome.unwrap_or_else(|_| io::broken(Signature::ReadTimeout, "")), begun.elapsed())
    }

    async fn put(&self, probe: &Probe) -> Outcome {
        let within = |signature| move |_| io::broken(signature, "");
        match &probe.question {
            Question::Resolve { name, server: Some(server) } => dns::resolve(name, &[*server], probe.timeout).await,
            Question::Resolve { name, server: None } if !self.hosts.addresses(name).is_empty() => {
                Outcome::Resolved(self.hosts.addresses(name))
            }
            Question::Resolve { .. } if self.servers.is_empty() => Outcome::NotSent("no DNS server is configured here".into()),
            Question::Resolve { name, server: None } => dns::resolve(name, &self.servers, probe.timeout).await,
            Question::Connect { to } => {
                let connected = tokio::time::timeout(probe.timeout, tcp::connect(*to)).await;
                connected.unwrap_or_else(within(Signature::ConnTimeout))
            }
            Question::Handshake { to, server_name, alpn } => tls::handshake(*to, server_name.as_deref(), alpn, probe.timeout).await,
            Question::Request(request) => http::request(request, probe.timeout).await,
            Question::Size { to } => size(*to, probe.timeout).await,
            Question::Look(_) => Outcome::NotSent("nobody looks inside from here".into()),
            Question::Log(_) => Outcome::NotSent("no engine's logs are read from here".into()),
        }
    }
}

#[cfg(target_os = "linux")]
async fn size(to: IpAddr, limit: std::time::Duration) -> Outcome {
    crate::probe::mtu::measure(to, limit).await
}

#[cfg(not(target_os = "linux"))]
async fn size(_: IpAddr, _: std::time::Duration) -> Outcome {
    Outcome::NotSent("the size of packets is measured on Linux alone".into())
}

fn is_lookup(probe: &Probe) -> bool {
    matches!(probe.question, Question::Resolve { .. })
}

impl Vantage for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let at = Timestamp::now();
            let (outcome, took) = self.send(probe).await;
            Observation { probe: probe.clone(), vantage: self.name.clone(), at, took, outcome }
        })
    }
}
