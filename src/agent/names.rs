//! Where the controller's replicas are: the addresses of its headless Service.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::probe::{DnsFailure, Outcome, dns};

/// Limit of one look-up.
const LIMIT: Duration = Duration::from_secs(2);

/// A host and port, and how its name is looked up.
#[derive(Clone, Debug)]
pub struct Names {
    host: String,
    port: u16,
    servers: Vec<SocketAddr>,
    /// Whole names to try; the one that was found last comes first.
    candidates: Vec<String>,
}

/// A text that is no `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address such as culprit-agents.culprit-system.svc:8443")]
pub struct NoAddress(String);

impl Names {
    /// Parses `host:port`, to be looked up as a resolv.conf says.
    pub fn new(address: &str, resolv_conf: &str) -> Result<Self, NoAddress> {
        let wrong = || NoAddress(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|p| *p != 0).ok_or_else(wrong)?;
        if host.is_empty() {
            return Err(wrong());
        }
        let within = search_of(resolv_conf).map(|domain| format!("{host}.{domain}"));
        let candidates = within.chain([host.to_owned()]).collect();
        Ok(Names { host: host.to_owned(), port, servers: dns::servers_of(resolv_conf), candidates })
    }

    /// The host, without its port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The addresses that the name has now.
    pub async fn addresses(&mut self) -> Result<BTreeSet<SocketAddr>, DnsFailure> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(BTreeSet::from([SocketAddr::new(ip, self.port)]));
        }
        let mut last = DnsFailure::Unreachable;
        for position in 0..self.candidates.len() {
            match dns::resolve(&self.candidates[position], &self.servers, LIMIT).await {
                Outcome::Resolved(ips) => {
                    self.candidates[..=position].rotate_right(1);
                    return Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect());
                }
                Outcome::NotResolved(failure @ (DnsFailure::NxDomain | DnsFailure::NoData)) => last = failure,
                // Another name would not be answered either.
                Outcome::NotResolved(failure) => return Err(failure),
                _ => {}
            }
        }
        Err(last)
    }
}

/// The domains that a resolv.conf searches; the last such line counts (resolv.conf(5)).
fn search_of(resolv_conf: &str) -> impl Iterator<Item = &str> {
    let line = resolv_conf.lines().filter_map(|l| l.trim().strip_prefix("search ")).next_back();
    line.unwrap_or_default().split_ascii_whitespace().map(|domain| domain.trim_end_matches('.')).filter(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLV_CONF: &str =
        "search culprit-agents.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn a_name_is_tried_within_each_domain_and_then_by_itself() {
        let names = Names::new("culprit-agents.culprit-system.svc:8443", RESOLV_CONF).unwrap();
        assert_eq!(names.candidates[2], "culprit-agents.culprit-system.svc.cluster.local");
        assert_eq!(names.candidates[3], names.host());
        assert_eq!(names.candidates.len(), 4);
    }

    #[tokio::test]
    async fn an_address_needs_no_look_up() {
        let mut names = Names::new("[fd00::7]:8443", "").unwrap();
        assert_eq!(names.addresses().await, Ok(BTreeSet::from(["[fd00::7]:8443".parse().unwrap()])));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "culprit", "culprit:", ":8443", "culprit:0", "culprit:70000"] {
            assert!(Names::new(text, "").is_err(), "{text}");
        }
    }
}
