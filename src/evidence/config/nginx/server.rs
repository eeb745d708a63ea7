//! nginx' servers: where each listens, and which hosts reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::evidence::config::directive::Directive;
use crate::evidence::config::limits::{LISTENERS, RANGE, ROUTES, cut};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{authority, bound, excerpt, is_name};
use crate::evidence::config::{Listener, Place};

/// Most `server` blocks.
const BLOCKS: usize = 5_000;

/// A `server` block of the `http` block.
#[derive(Debug)]
pub struct Server<'c> {
    /// Its block.
    pub block: &'c Directive,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// The listeners where requests for unknown hosts are its own.
    pub default_at: Vec<Listener>,
    /// The hosts that it is for, as routes write them.
    pub hosts: Vec<String>,
    /// The name that nginx calls it by: its first one.
    pub name: String,
}

/// One `listen` that clients over TCP can use.
struct Listen {
    listener: Listener,
    default: bool,
}

/// The servers, in the order of the configuration.
pub fn servers<'c>(http: &'c [Directive], hostname: &str, notes: &mut Notes) -> Vec<Server<'c>> {
    let mut blocks: Vec<&Directive> = http.iter().filter(|d| d.name == "server" && d.block.is_some()).collect();
    if let Some(first) = blocks.first().map(|b| &b.place) {
        cut(&mut blocks, BLOCKS, "servers", first, notes);
    }
    let mut listens: Vec<Vec<Listen>> = blocks.iter().map(|block| listens_of(block, notes)).collect();
    share_tls(&mut listens);
    let defaults = defaults(&listens);
    let mut servers = Vec::new();
    for (number, (block, listens)) in blocks.into_iter().zip(&listens).enumerate() {
        let listeners: Vec<Listener> = listens.iter().map(|l| l.listener.clone()).collect();
        let is_default = |l: &&Listener| defaults.get(&socket_of(l)) == Some(&number);
        let (name, hosts) = hosts(block, hostname, notes);
        servers.push(Server { block, default_at: listeners.iter().filter(is_default).cloned().collect(), listeners, hosts, name });
    }
    servers
}

/// Address and port of a socket.
fn socket_of(listener: &Listener) -> (IpAddr, u16) {
    (listener.address, listener.port)
}

/// A socket speaks TLS where one of its servers says so.
fn share_tls(listens: &mut [Vec<Listen>]) {
    let tls: BTreeSet<(IpAddr, u16)> = listens.iter().flatten().filter(|l| l.listener.tls).map(|l| socket_of(&l.listener)).collect();
    for listen in listens.iter_mut().flatten() {
        listen.listener.tls |= tls.contains(&socket_of(&listen.listener));
    }
}

/// The default server of each socket by its number: the one that says so, else the first.
fn defaults(listens: &[Vec<Listen>]) -> BTreeMap<(IpAddr, u16), usize> {
    let all = || listens.iter().enumerate().flat_map(|(server, l)| l.iter().map(move |l| (server, l)));
    let mut found = BTreeMap::new();
    for (server, listen) in all().filter(|(_, l)| l.default).chain(all()) {
        found.entry(socket_of(&listen.listener)).or_insert(server);
    }
    found
}

fn listens_of(server: &Directive, notes: &mut Notes) -> Vec<Listen> {
    let written: Vec<&Directive> = server.inner().iter().filter(|d| d.name == "listen").collect();
    if written.is_empty() {
        return vec![Listen { listener: Listener::on(80, has_old_tls(server)), default: false }];
    }
    let mut listens = Vec::new();
    for listen in written {
        let has = |word: &str| listen.args.iter().skip(1).any(|a| a == word);
        if listen.arg().starts_with("unix:") || has("quic") {
            continue;
        }
        if has("proxy_protocol") {
            notes.add(&listen.place, "expects the PROXY protocol, so that it is not asked directly");
            continue;
        }
        let Some((address, ports)) = socket(listen.arg()) else {
            notes.add(&listen.place, format!("`listen {}` is not understood", excerpt(listen.arg())));
            continue;
        };
        let tls = has("ssl") || has_old_tls(server);
        let default = has("default_server") || has("default");
        listens.extend(ports.map(|port| Listen { listener: Listener { name: None, address, port, tls }, default }));
        if listens.len() > LISTENERS {
            break;
        }
    }
    cut(&mut listens, LISTENERS, "listeners", &server.place, notes);
    listens
}

/// `ssl on;`, which nginx knew until version 1.25.
fn has_old_tls(server: &Directive) -> bool {
    server.inner().iter().any(|d| d.name == "ssl" && d.arg() == "on")
}

/// Address and ports of `80`, `*:80`, `[::]:80`, `10.0.0.1`, `localhost:8000-8003`.
fn socket(text: &str) -> Option<(IpAddr, std::ops::RangeInclusive<u16>)> {
    if let Some(ports) = ports(text) {
        return Some((bound("")?, ports));
    }
    if let Some(address) = bound(text).filter(|_| !text.is_empty()) {
        return Some((address, 80..=80));
    }
    let (host, port) = text.rsplit_once(':')?;
    Some((bound(host).filter(|_| !host.is_empty())?, ports(port)?))
}

fn ports(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last && last - first < RANGE).then_some(first..=last)
}

/// The name that a server is called by, and the hosts that reach it.
fn hosts(server: &Directive, hostname: &str, notes: &mut Notes) -> (String, Vec<String>) {
    let written = server.inner().iter().filter(|d| d.name == "server_name");
    let names: Vec<(&str, &Place)> = written.flat_map(|d| d.args.iter().map(|a| (a.as_str(), &d.place))).collect();
    let mut hosts: Vec<String> = Vec::new();
    for (name, place) in &names {
        match *name {
            "$hostname" => hosts.push(hostname.to_ascii_lowercase()),
            name if name.starts_with('~') => {
                notes.add(place, format!("the hosts of the regular expression {} are not known", excerpt(name)));
            }
            name if name.ends_with(".*") => notes.add(place, format!("the hosts of {} are not known", excerpt(name))),
            name => hosts.extend(plain_hosts(name)),
        }
    }
    hosts.retain(|h| !h.is_empty());
    cut(&mut hosts, ROUTES, "names", &server.place, notes);
    let first = names.first().map_or(String::new(), |(name, _)| (*name).to_owned());
    (first, hosts)
}

/// The hosts of a name without a pattern but for a leading `*.`; none for `_` and the like, which no client asks for.
fn plain_hosts(name: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix('.') {
        Some(domain) if is_name(domain) => vec![domain.to_owned(), format!("*.{domain}")],
        _ if authority(name.strip_prefix("*.").unwrap_or(&name)).is_some_and(|(_, port)| port.is_none()) => vec![name],
        _ => Vec::new(),
    }
}
