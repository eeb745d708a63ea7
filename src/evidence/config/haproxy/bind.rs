//! Where HAProxy's frontends listen.

use std::net::IpAddr;

use super::syntax::Line;
use crate::evidence::config::Listener;
use crate::evidence::config::limits::RANGE;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{bound, excerpt};

/// What is no TCP socket that clients can use.
const OTHER: &[&str] = &["/", "unix@", "abns@", "abnsz@", "fd@", "sockpair@", "rhttp@", "quic4@", "quic6@", "udp@", "udp4@", "udp6@"];

/// The listeners of a `bind` line.
pub fn listeners(bind: &Line, notes: &mut Notes) -> Vec<Listener> {
    let has = |word: &str| bind.words.iter().skip(2).any(|w| w == word);
    if has("accept-proxy") {
        notes.add(&bind.place, "expects the PROXY protocol, so that it is not asked directly");
        return Vec::new();
    }
    let mut listeners = Vec::new();
    for address in bind.word(1).split(',').filter(|a| !OTHER.iter().any(|o| a.starts_with(o))) {
        match socket(address) {
            Some((address, ports)) => listeners.extend(ports.map(|port| Listener { name: None, address, port, tls: has("ssl") })),
            None => notes.add(&bind.place, format!("`bind {}` is not understood", excerpt(address))),
        }
    }
    listeners
}

/// Address and ports of `:80`, `*:80`, `10.0.0.1:80-82`, `[::]:443`, `:::443`.
fn socket(text: &str) -> Option<(IpAddr, std::ops::RangeInclusive<u16>)> {
    let (family, text) = match text.split_once('@') {
        Some((family @ ("ipv4" | "ipv6" | "tcp" | "tcp4" | "tcp6"), rest)) => (family, rest),
        Some(_) => return None,
        None => ("", text),
    };
    let (host, ports) = text.rsplit_once(':')?;
    let address = match host {
        "" | "*" if family.ends_with('6') => IpAddr::from([0_u16; 8]),
        host => bound(host)?,
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last && last - first < RANGE).then_some((address, first..=last))
}
