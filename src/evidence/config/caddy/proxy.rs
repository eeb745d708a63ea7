//! A reverse proxy of Caddy and the servers that it dials.

use std::time::Duration;

use crate::evidence::config::limits::{RANGE, SERVERS};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::authority;
use crate::evidence::config::{HostHeader, Lookup, Place, Server, Upstream};
use crate::probe::Scheme;

/// The minor version of Caddy 2 since which a server of HTTPS gets its own address as Host header.
const OWN_HOST_SINCE: u32 = 11;

/// A reverse proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxy {
    /// The servers.
    pub servers: Vec<Server>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether HTTP/2 is spoken without TLS.
    pub h2c: bool,
    /// The server name sent in TLS.
    pub server_name: Option<String>,
    /// Whether certificates are not checked.
    pub insecure: bool,
    /// How long a server may be silent.
    pub read_timeout: Option<Duration>,
    /// The Host header that it sets, as written.
    pub host: Option<String>,
    /// Beginnings of the path that it takes away.
    pub strips: Vec<String>,
    /// The path that it asks for, as written.
    pub rewrite: Option<String>,
}

impl Proxy {
    /// Adds a server as written: `app`, `app:80`, `:80`, `https://app`, `app:8080-8083`. What is not understood is noted.
    pub fn dial(&mut self, text: &str, place: &Place, notes: &mut Notes) {
        let (scheme, address) = text.split_once("://").map_or((None, text), |(s, a)| (Some(s), a));
        match scheme {
            None | Some("http") => {}
            Some("https") => self.tls = true,
            Some("h2c") => self.h2c = true,
            Some(other) => return notes.add(place, format!("the scheme {other} is not understood")),
        }
        let address = address.strip_prefix("tcp/").unwrap_or(address);
        if address.contains("unix/") {
            return notes.add(place, "a server at a socket file is not looked at");
        }
        let default = if scheme == Some("https") { 443 } else { 80 };
        let Some((host, ports)) = host_and_ports(address, default) else {
            return notes.add(place, format!("the server {text} is not understood"));
        };
        let left = SERVERS.saturating_sub(self.servers.len());
        if left < ports.len() {
            notes.add(place, "there are more servers than are kept");
        }
        for port in ports.into_iter().take(left) {
            self.servers.push(Server { host: host.clone(), port, backup: false, place: place.clone(), container: None });
        }
    }

    /// The upstream that it makes. The container's image says which version of Caddy it is, if anything does.
    pub fn upstream(&self, image: &str, place: &Place, notes: &mut Notes) -> Upstream {
        Upstream {
            name: None,
            scheme: match (self.tls, self.h2c) {
                (true, _) => Scheme::Https,
                (false, true) => Scheme::H2c,
                (false, false) => Scheme::Http,
            },
            servers: self.servers.clone(),
            lookup: Lookup::WhileRunning,
            host_header: self.host_header(image, place, notes),
            path_prefix: None,
            server_name: self.server_name.clone(),
            verifies: !self.insecure,
            read_timeout: self.read_timeout.filter(|t| !t.is_zero()),
            largest_head: None,
        }
    }

    fn host_header(&self, image: &str, place: &Place, notes: &mut Notes) -> HostHeader {
        let first = self.servers.first();
        let own = || first.map_or(HostHeader::Client, |s| HostHeader::Fixed(s.to_string()));
        match self.host.as_deref() {
            None if self.tls => match minor_version(image) {
                Some(minor) if minor < OWN_HOST_SINCE => HostHeader::Client,
                Some(_) => own(),
                None => {
                    notes.add(place, "since version 2.11 a server of HTTPS gets its own name as Host header; the version is not known");
                    HostHeader::Client
                }
            },
            None | Some("{host}" | "{http.request.host}" | "{hostport}" | "{http.request.hostport}") => HostHeader::Client,
            Some("{upstream_hostport}" | "{http.reverse_proxy.upstream.hostport}") => own(),
            Some("{upstream_host}" | "{http.reverse_proxy.upstream.host}") => {
                first.map_or(HostHeader::Client, |s| HostHeader::Fixed(s.host.clone()))
            }
            Some(text) if text.contains('{') => {
                notes.add(place, format!("the Host header {text} is not understood"));
                HostHeader::Client
            }
            Some(text) => HostHeader::Fixed(text.to_owned()),
        }
    }
}

/// The minor version in an image's tag, as in `caddy:2.8-alpine`.
fn minor_version(image: &str) -> Option<u32> {
    let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
    let mut numbers = tag.trim_start_matches('v').split(['.', '-']);
    (numbers.next()? == "2").then(|| numbers.next()?.parse().ok()).flatten()
}

fn host_and_ports(address: &str, default: u16) -> Option<(String, Vec<u16>)> {
    if let Some((host, range)) = address.rsplit_once(':')
        && let Some((first, last)) = range.split_once('-')
    {
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        let (host, _) = host_and_port(host, default)?;
        return (first > 0 && first <= last && last - first < RANGE).then(|| (host, (first..=last).collect()));
    }
    host_and_port(address, default).map(|(host, port)| (host, vec![port]))
}

/// Without a host it is the gateway itself.
fn host_and_port(address: &str, default: u16) -> Option<(String, u16)> {
    if let Some(port) = address.strip_prefix(':') {
        return Some(("localhost".into(), port.parse().ok().filter(|p| *p != 0)?));
    }
    if address.is_empty() {
        return Some(("localhost".into(), default));
    }
    let (host, port) = authority(address)?;
    Some((host, port.unwrap_or(default)))
}
