//! How a pod looks names up: its resolv.conf.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Domains and servers that are kept of a file at most.
const MOST: usize = 32;

/// What a resolv.conf says (resolv.conf(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// The servers, the first one first.
    #[serde(default)]
    pub servers: Vec<IpAddr>,
    /// Domains that complete a name, in order.
    #[serde(default)]
    pub search: Vec<String>,
    /// A name with fewer dots is completed before it is tried as it is.
    #[serde(default = "one")]
    pub ndots: usize,
}

fn one() -> usize {
    1
}

impl Resolver {
    /// Reads a resolv.conf. Of several `search` lines the last one counts.
    pub fn parse(text: &str) -> Self {
        let mut resolver = Resolver { servers: Vec::new(), search: Vec::new(), ndots: one() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if resolver.servers.len() < MOST => {
                    // A link-local server has its interface after a %.
                    let address = words.next().and_then(|w| w.split('%').next()).and_then(|w| w.parse::<IpAddr>().ok());
                    resolver.servers.extend(address);
                }
                Some("search" | "domain") => resolver.search = words.take(MOST).map(|d| d.trim_end_matches('.').to_owned()).collect(),
                Some("options") => {
                    let ndots = words.filter_map(|w| w.strip_prefix("ndots:")?.parse().ok()).next_back();
                    // The C libraries' limit.
                    resolver.ndots = ndots.map_or(resolver.ndots, |n: usize| n.min(15));
                }
                _ => {}
            }
        }
        resolver.search.retain(|domain| !domain.is_empty());
        resolver
    }

    /// The whole names that are tried before a name as it is written, in order.
    pub fn tried_before(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') || name.matches('.').count() >= self.ndots {
            return Vec::new();
        }
        self.search.iter().map(|domain| format!("{name}.{domain}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_file_is_read() {
        let resolver = Resolver::parse(
            "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example.\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\noptions ndots:5 edns0\n# nameserver 192.0.2.1\n",
        );
        assert_eq!(resolver.servers, ["10.96.0.10".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
        assert_eq!(resolver.search.last().map(String::as_str), Some("corp.example"));
        assert_eq!(resolver.ndots, 5);
    }

    #[test]
    fn names_with_few_dots_are_completed_first() {
        let resolver = Resolver::parse("search a.test b.test\noptions ndots:2\n");
        assert_eq!(resolver.tried_before("partner.dev"), ["partner.dev.a.test", "partner.dev.b.test"]);
        assert!(resolver.tried_before("api.partner.dev").is_empty());
        assert!(resolver.tried_before("partner.dev.").is_empty());
        assert_eq!(Resolver::parse("").tried_before("partner.dev"), Vec::<String>::new());
    }
}
