//! This very process' network as a vantage that can look, too: what a helper is in a container's network.

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::Vantage;
use super::inside::look;
use super::local::Local;
use crate::evidence::inside::Hosts;
use crate::probe::{Observation, Outcome, Probe, Question, dns};

/// This process in the network that it shares with a container. An engine gives it that container's files of names as well.
#[derive(Debug)]
pub struct Here {
    local: Local,
}

impl Here {
    /// With the names that this process' files have.
    pub fn new() -> Self {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let local = Local::new("helper", dns::servers_of(&read("/etc/resolv.conf")));
        Here { local: local.knowing(Hosts::parse(&read("/etc/hosts"))).allowing_loopback() }
    }
}

impl Default for Here {
    fn default() -> Self {
        Here::new()
    }
}

impl Vantage for Here {
    fn name(&self) -> &str {
        self.local.name()
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        if !matches!(probe.question, Question::Look(_)) {
            return self.local.ask(probe);
        }
        Box::pin(async move {
            let (at, begun) = (Timestamp::now(), std::time::Instant::now());
            let looked = tokio::task::spawn_blocking(look::around).await;
            let outcome = match looked {
                Ok(Ok(inside)) => Outcome::Seen(Box::new(inside)),
                Ok(Err(error)) => Outcome::NotSent(error.to_string()),
                Err(error) => Outcome::NotSent(format!("the look ended: {error}")),
            };
            Observation { probe: probe.clone(), vantage: self.name().to_owned(), at, took: begun.elapsed(), outcome }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::PodRef;

    #[tokio::test]
    async fn a_look_shows_who_listens_in_this_network() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Here::new().ask(&Probe::new(Question::Look(PodRef::docker_host()))).await;
        let Outcome::Seen(inside) = seen.outcome else { panic!("the look failed: {:?}", seen.outcome) };
        assert_eq!(inside.at(port).next().map(|l| l.address.is_loopback()), Some(true));
        assert_eq!((inside.processes, inside.pids), (None, None));
    }
}
