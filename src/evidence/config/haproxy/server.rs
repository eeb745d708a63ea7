//! Servers of HAProxy's backends.

use std::net::IpAddr;

use super::syntax::Line;
use crate::evidence::config::limits::SERVERS;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{authority, excerpt};
use crate::evidence::config::{Lookup, Server};
use crate::probe::Scheme;

/// A `server` line, as far as it matters.
#[derive(Clone, Debug)]
pub struct ServerLine {
    /// Name or address.
    pub host: String,
    /// Its port; none for the port that the client came in at.
    pub port: Option<u16>,
    /// Whether it is used only where the others fail.
    pub backup: bool,
    /// What is spoken to it.
    pub scheme: Scheme,
    /// Whether its certificate is checked.
    pub verifies: bool,
    /// The server name sent in TLS, where it is fixed.
    pub server_name: Option<String>,
    /// When its name is looked up.
    pub lookup: Lookup,
    line: Line,
}

impl ServerLine {
    /// The server, for clients that came in at a port.
    pub fn server(&self, came_in_at: Option<u16>) -> Option<Server> {
        let port = self.port.or(came_in_at)?;
        Some(Server { host: self.host.clone(), port, backup: self.backup, place: self.line.place.clone(), container: None })
    }
}

/// The servers of a backend's lines; `defaults` are its `default-server` lines, outer ones first.
pub fn servers(lines: &[Line], defaults: &[&Line], verifies_by_default: bool, notes: &mut Notes) -> Vec<ServerLine> {
    let mut servers = Vec::new();
    for line in lines {
        let at = match line.word(0) {
            "server" => 2,
            // All of a template's servers have the same name, which may have many addresses.
            "server-template" => 3,
            _ => continue,
        };
        let mut parameters = Parameters { verifies: verifies_by_default, ..Parameters::default() };
        for line in defaults {
            parameters.take(line.words.get(1..).unwrap_or_default());
        }
        parameters.take(line.words.get(at + 1..).unwrap_or_default());
        if parameters.is_off {
            continue;
        }
        let Some((host, port)) = address(line.word(at)) else {
            notes.add(&line.place, format!("the address {} is not that of a TCP server that is known", excerpt(line.word(at))));
            continue;
        };
        if parameters.sends_proxy {
            notes.add(&line.place, "gets the PROXY protocol in front of each request, which is not said when it is asked directly");
        }
        servers.push(parameters.server(host, port, line));
        if servers.len() == SERVERS {
            notes.add(&line.place, format!("only the first {SERVERS} servers are taken"));
            break;
        }
    }
    servers
}

/// Address and port of `app:3000`, `ipv4@10.0.0.1:80`, `::1:80`.
fn address(text: &str) -> Option<(String, Option<u16>)> {
    let text = match text.split_once('@') {
        Some(("ipv4" | "ipv6" | "tcp" | "tcp4" | "tcp6", rest)) => rest,
        Some(_) => return None,
        None => text,
    };
    if text.matches(':').count() > 1 && !text.starts_with('[') {
        let (host, port) = text.rsplit_once(':')?;
        return authority(&format!("[{host}]:{port}"));
    }
    authority(text.strip_suffix(':').unwrap_or(text))
}

/// What follows a server's address.
#[derive(Default)]
struct Parameters {
    backup: bool,
    /// Whether it gets no requests.
    is_off: bool,
    tls: bool,
    verifies: bool,
    http2: bool,
    server_name: Option<String>,
    resolves: bool,
    sends_proxy: bool,
}

impl Parameters {
    fn take(&mut self, words: &[String]) {
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "backup" => self.backup = true,
                "no-backup" => self.backup = false,
                "disabled" => self.is_off = true,
                "enabled" => self.is_off = false,
                "weight" => self.is_off |= words.next() == Some("0"),
                "ssl" => self.tls = true,
                "no-ssl" => self.tls = false,
                "verify" => self.verifies = words.next() != Some("none"),
                "no-verify" => self.verifies = false,
                "proto" => self.http2 = words.next() == Some("h2"),
                // Where both are offered, HTTP/1.1 works as well.
                "alpn" => self.http2 = words.next() == Some("h2"),
                "sni" => self.server_name = words.next().and_then(fixed_name),
                "resolvers" => self.resolves = words.next().is_some(),
                "send-proxy" | "send-proxy-v2" | "send-proxy-v2-ssl" | "send-proxy-v2-ssl-cn" => self.sends_proxy = true,
                "no-send-proxy" | "no-send-proxy-v2" => self.sends_proxy = false,
                // Their values may look like other parameters.
                "cookie" | "crt" | "ca-file" | "crl-file" | "check-sni" | "check-alpn" | "check-proto" | "id" | "track" | "namespace" => {
                    words.next();
                }
                _ => {}
            }
        }
    }

    fn server(self, host: String, port: Option<u16>, line: &Line) -> ServerLine {
        let scheme = match (self.tls, self.http2) {
            (false, false) => Scheme::Http,
            (false, true) => Scheme::H2c,
            (true, false) => Scheme::Https,
            (true, true) => Scheme::H2,
        };
        let lookup = if self.resolves && host.parse::<IpAddr>().is_err() { Lookup::WhileRunning } else { Lookup::AtStart };
        let (verifies, server_name) = (self.tls && self.verifies, self.server_name.filter(|_| self.tls));
        ServerLine { host, port, backup: self.backup, scheme, verifies, server_name, lookup, line: line.clone() }
    }
}

/// The name of `str(shop.example)`; others are taken from the request.
fn fixed_name(sample: &str) -> Option<String> {
    Some(sample.strip_prefix("str(")?.strip_suffix(')')?.trim_matches(['"', '\'']).to_owned())
}
