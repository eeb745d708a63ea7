//! Apache's virtual hosts: where each listens, and which hosts reach it.

use std::net::IpAddr;

use crate::evidence::config::Listener;
use crate::evidence::config::directive::Directive;
use crate::evidence::config::limits::{LISTENERS, ROUTES, cut};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{bound, excerpt, is_name};

/// The hosts that routes are for, each with the listeners that they come in at.
pub type Claims = Vec<(Option<String>, Vec<Listener>)>;

/// A virtual host, or the server outside of them.
#[derive(Debug)]
pub struct Host<'c> {
    /// Its directives; nothing for the main server.
    pub directives: Option<&'c [Directive]>,
    /// The requests that reach it.
    pub claims: Claims,
}

/// The virtual hosts, and last the main server for the listeners that none of them has.
pub fn hosts<'c>(main: &'c [Directive], listeners: &mut [Listener], notes: &mut Notes) -> Vec<Host<'c>> {
    let mut blocks: Vec<&Directive> = main.iter().filter(|d| d.name == "virtualhost" && d.block.is_some()).collect();
    if let Some(first) = blocks.first().map(|b| &b.place) {
        cut(&mut blocks, ROUTES, "virtual hosts", first, notes);
    }
    let mut own: Vec<Vec<Listener>> = blocks.iter().map(|block| listeners_of(block, listeners, notes)).collect();
    share_tls(main, &blocks, &mut own, listeners);
    let mut taken: Vec<Listener> = Vec::new();
    let mut hosts = Vec::new();
    for (block, own) in blocks.into_iter().zip(own) {
        // The first virtual host of a socket gets what no other one is for.
        let default_at: Vec<Listener> = own.iter().filter(|l| !taken.contains(l)).cloned().collect();
        taken.extend(default_at.iter().cloned());
        hosts.push(Host { directives: Some(block.inner()), claims: claims(block, &own, default_at, notes) });
    }
    let of_none: Vec<Listener> = listeners.iter().filter(|l| !taken.contains(l)).cloned().collect();
    if !of_none.is_empty() || listeners.is_empty() {
        hosts.push(Host { directives: None, claims: vec![(None, of_none)] });
    }
    hosts
}

/// The sockets that `Listen` opens.
pub fn listeners(main: &[Directive], notes: &mut Notes) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for listen in main.iter().filter(|d| d.name == "listen") {
        match socket(listen.arg()) {
            Some((address, Some(port))) => {
                let tls = listen.at(1).eq_ignore_ascii_case("https");
                listeners.push(Listener { name: None, address: address.unwrap_or(IpAddr::from([0, 0, 0, 0])), port, tls });
            }
            _ => notes.add(&listen.place, format!("`Listen {}` is not understood", excerpt(listen.arg()))),
        }
    }
    if let Some(first) = main.iter().find(|d| d.name == "listen") {
        cut(&mut listeners, LISTENERS, "listeners", &first.place, notes);
    }
    listeners.sort();
    listeners.dedup();
    listeners
}

/// Address and port of `80`, `*:80`, `_default_:443`, `[::]:80`, `10.0.0.1`; no address for any, and no port for every.
fn socket(text: &str) -> Option<(Option<IpAddr>, Option<u16>)> {
    let any = |host: &str| matches!(host, "*" | "_default_" | "");
    let address = |host: &str| if any(host) { Some(None) } else { bound(host).map(Some) };
    if let Ok(port) = text.parse() {
        return Some((None, Some(port)));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = if port == "*" { None } else { Some(port.parse().ok()?) };
            Some((address(host)?, port))
        }
        _ => Some((address(text)?, None)),
    }
}

/// The listeners whose connections a virtual host may get.
fn listeners_of(block: &Directive, listeners: &[Listener], notes: &mut Notes) -> Vec<Listener> {
    let mut own = Vec::new();
    for text in block.args.iter().take(LISTENERS) {
        let Some((address, port)) = socket(text) else {
            notes.add(&block.place, format!("<VirtualHost {}> is not understood", excerpt(text)));
            continue;
        };
        let fits = |l: &&Listener| {
            let same_address = address.is_none_or(|a| a.is_unspecified() || l.address.is_unspecified() || a == l.address);
            same_address && port.is_none_or(|port| port == l.port)
        };
        own.extend(listeners.iter().filter(fits).cloned());
        if !listeners.iter().any(|l| fits(&l)) {
            notes.add(&block.place, format!("no `Listen` opens {}", excerpt(text)));
        }
    }
    own.sort();
    own.dedup();
    own
}

/// A socket speaks TLS where the first virtual host of it has `SSLEngine on`, or the main server where there is none.
fn share_tls(main: &[Directive], blocks: &[&Directive], own: &mut [Vec<Listener>], listeners: &mut [Listener]) {
    let speaks = |directives: &[Directive]| directives.iter().any(|d| d.name == "sslengine" && d.arg().eq_ignore_ascii_case("on"));
    let of_main = speaks(main);
    for listener in listeners.iter_mut() {
        let before = listener.clone();
        let of_hosts = || blocks.iter().zip(own.iter()).find(|(_, own)| own.contains(&before)).map(|(block, _)| speaks(block.inner()));
        listener.tls |= of_main || of_hosts().unwrap_or(false);
        for same in own.iter_mut().flatten().filter(|l| **l == before) {
            same.tls = listener.tls;
        }
    }
}

fn claims(block: &Directive, own: &[Listener], default_at: Vec<Listener>, notes: &mut Notes) -> Claims {
    let names = block.inner().iter().filter(|d| matches!(d.name.as_str(), "servername" | "serveralias"));
    let mut claims: Claims = Vec::new();
    for (name, place) in names.flat_map(|d| d.args.iter().map(move |a| (a, &d.place))).take(ROUTES) {
        match host(name) {
            Some(host) => claims.push((host, own.to_vec())),
            None => notes.add(place, format!("the hosts of {} are not known", excerpt(name))),
        }
    }
    if claims.is_empty() && default_at.is_empty() && !own.is_empty() {
        notes.add(&block.place, "no known host reaches this virtual host: another one is the first of its port");
    }
    if claims.is_empty() && !default_at.is_empty() {
        claims.push((None, default_at));
    }
    claims
}

/// The host of a name such as `https://shop.example:443` or `*.shop.example`; none for any. Nothing where it is another pattern.
fn host(name: &str) -> Option<Option<String>> {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    let name = name.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if name == "*" {
        return Some(None);
    }
    is_name(name.strip_prefix("*.").unwrap_or(&name)).then_some(Some(name))
}
