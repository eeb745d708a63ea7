//! Where nginx' locations send requests, and what upstreams get.

use std::collections::BTreeMap;
use std::time::Duration;

use super::path::{Location, forwarded};
use super::scope::{Scope, variables};
use crate::evidence::config::directive::Directive;
use crate::evidence::config::limits::{SERVERS, cut};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{authority, duration, excerpt, size};
use crate::evidence::config::{HostHeader, Lookup, Server, Upstream};
use crate::probe::Scheme;

/// The `upstream` blocks, by their names in lower case.
pub type Groups = BTreeMap<String, Group>;

/// An `upstream` block.
#[derive(Clone, Debug)]
pub struct Group {
    name: String,
    servers: Vec<Server>,
    lookup: Lookup,
}

/// The `upstream` blocks of the `http` block.
pub fn groups(http: &[Directive], notes: &mut Notes) -> Groups {
    let blocks = http.iter().filter(|d| d.name == "upstream" && d.block.is_some());
    blocks.map(|block| (block.arg().to_ascii_lowercase(), group(block, notes))).collect()
}

fn group(block: &Directive, notes: &mut Notes) -> Group {
    let written = || block.inner().iter().filter(|d| d.name == "server");
    let resolves = |d: &Directive| d.args.iter().any(|a| a == "resolve");
    // A name that is looked up but once is as good as all: the whole upstream may lead to where nobody is any more.
    let lookup = if written().all(resolves) { Lookup::WhileRunning } else { Lookup::AtStart };
    if let Some(lua) = block.inner().iter().find(|d| d.name.starts_with("balancer_by_lua")) {
        notes.add(&lua.place, "servers that Lua picks are not known");
    }
    let mut servers = written().filter_map(|d| server(d, notes)).collect();
    cut(&mut servers, SERVERS, "servers", &block.place, notes);
    Group { name: block.arg().to_owned(), servers, lookup }
}

fn server(written: &Directive, notes: &mut Notes) -> Option<Server> {
    let has = |word: &str| written.args.iter().skip(1).any(|a| a == word);
    if has("down") {
        return None;
    }
    if written.args.iter().any(|a| a.starts_with("service=")) {
        notes.add(&written.place, "servers of an SRV record are not known");
        return None;
    }
    let Some((host, port)) = authority(written.arg()) else {
        let what = if written.arg().starts_with("unix:") { "is a socket and not followed" } else { "is not understood" };
        notes.add(&written.place, format!("`server {}` {what}", excerpt(written.arg())));
        return None;
    };
    // Whatever is spoken to it: without a port nginx takes 80.
    Some(Server { host, port: port.unwrap_or(80), backup: has("backup"), place: written.place.clone(), container: None })
}

/// A `proxy_pass` or `grpc_pass` with what holds where it stands.
#[derive(Clone, Copy)]
pub struct Pass<'c> {
    /// The directive.
    pub directive: &'c Directive,
    /// Where it stands.
    pub scope: &'c Scope<'c>,
    /// The location whose requests it gets.
    pub location: &'c Location,
    /// The first name of the server around it.
    pub server_name: &'c str,
}

/// The parts of what follows `proxy_pass`, with variables put in place.
struct Target {
    scheme: Scheme,
    authority: String,
    /// What follows the authority.
    path: String,
    /// Whether it was written with variables.
    varies: bool,
}

impl<'c> Pass<'c> {
    /// The upstream. Nothing, but a note, where it is not HTTP over TCP or not known.
    pub fn upstream(self, groups: &Groups, notes: &mut Notes) -> Option<Upstream> {
        let target = self.target(notes)?;
        let group = groups.get(&target.authority.to_ascii_lowercase());
        let (name, servers, lookup) = match group {
            Some(group) => (Some(group.name.clone()), group.servers.clone(), group.lookup),
            None => self.single(&target, notes)?,
        };
        let host_header = self.host_header(notes);
        let verifies = self.scope.is_on(&self.param("ssl_verify"));
        let read_timeout = self.scope.find(&self.param("read_timeout")).and_then(|d| duration(d.arg(), Duration::from_secs(1)));
        let largest_head = self.scope.find(&self.param("buffer_size")).and_then(|d| size(d.arg()));
        let server_name = self.server_name(&target, notes);
        let path_prefix = forwarded(&self, &target.path, target.varies, notes);
        Some(Upstream {
            name,
            scheme: target.scheme,
            servers,
            lookup,
            host_header,
            path_prefix,
            server_name,
            verifies,
            read_timeout,
            largest_head,
        })
    }

    /// The name of a parameter of the module that passes: `proxy_…`, `grpc_…`.
    fn param(&self, name: &str) -> String {
        format!("{}_{name}", self.directive.name.trim_end_matches("_pass"))
    }

    fn target(&self, notes: &mut Notes) -> Option<Target> {
        let written = self.directive.arg();
        let text = self.scope.substituted(written);
        let target = parts(&text, self.directive.name == "grpc_pass", self.speaks_http2());
        let Some((scheme, authority, path)) = target else {
            let what = match variables(&text).next() {
                Some((_, name)) => format!("depends on ${}, which is not set to one text here", excerpt(name)),
                None if text.contains("unix:") => "leads to a socket and is not followed".into(),
                None => "is not understood".into(),
            };
            notes.add(&self.directive.place, format!("`{} {}` {what}", self.directive.name, excerpt(written)));
            return None;
        };
        Some(Target { scheme, authority: authority.to_owned(), path: path.to_owned(), varies: written.contains('$') })
    }

    fn speaks_http2(&self) -> bool {
        self.scope.find("proxy_http_version").is_some_and(|d| d.arg().trim_end_matches(".0") == "2")
    }

    /// The upstream of a name or address that is no `upstream` block.
    fn single(&self, target: &Target, notes: &mut Notes) -> Option<(Option<String>, Vec<Server>, Lookup)> {
        let place = &self.directive.place;
        let (host, port) = authority(&target.authority)?;
        let is_name = host.parse::<std::net::IpAddr>().is_err();
        if target.varies && is_name && self.scope.find("resolver").is_none() {
            notes.add(place, format!("`{}` is in a variable and no `resolver` is set, so nginx cannot look it up", excerpt(&host)));
        }
        let port = port.unwrap_or(if target.scheme.is_tls() { 443 } else { 80 });
        let lookup = if target.varies { Lookup::WhileRunning } else { Lookup::AtStart };
        Some((None, vec![Server { host, port, backup: false, place: place.clone(), container: None }], lookup))
    }

    fn host_header(&self, notes: &mut Notes) -> HostHeader {
        let name = self.param("set_header");
        let Some(set) = self.scope.all(&name).filter(|d| d.arg().eq_ignore_ascii_case("host")).last() else {
            return HostHeader::Upstream;
        };
        let value = self.scope.substituted(set.args.get(1).map_or("", String::as_str));
        match value.as_str() {
            "$host" | "$http_host" | "$host:$server_port" | "$http_host:$server_port" | "$host:$http_port" => HostHeader::Client,
            "$proxy_host" => HostHeader::Upstream,
            "$server_name" => HostHeader::Fixed(self.server_name.to_owned()),
            text if variables(text).next().is_none() => HostHeader::Fixed(text.to_owned()),
            text => {
                notes.add(&set.place, format!("the Host header {} is not known; the client's is taken", excerpt(text)));
                HostHeader::Client
            }
        }
    }

    /// The server name of the TLS handshake. nginx sends none unless it is told to.
    fn server_name(&self, target: &Target, notes: &mut Notes) -> Option<String> {
        if !target.scheme.is_tls() || !self.scope.is_on(&self.param("ssl_server_name")) {
            return None;
        }
        let of_target = || target.authority.rsplit_once(':').map_or(target.authority.as_str(), |(host, _)| host).to_owned();
        let Some(set) = self.scope.find(&self.param("ssl_name")) else { return Some(of_target()) };
        let value = self.scope.substituted(set.arg());
        match value.as_str() {
            "$proxy_host" => Some(of_target()),
            "$server_name" => Some(self.server_name.to_owned()),
            text if variables(text).next().is_none() => Some(text.to_owned()),
            text => {
                notes.add(&set.place, format!("the server name {} is not known", excerpt(text)));
                None
            }
        }
    }
}

/// Scheme, authority and the rest of `http://app:3000/path`. Nothing where the authority is not a name or address with a port.
fn parts(text: &str, is_grpc: bool, is_http2: bool) -> Option<(Scheme, &str, &str)> {
    let (scheme, rest) = match (text.split_once("://"), is_grpc) {
        (Some(("http", rest)), false) => (if is_http2 { Scheme::H2c } else { Scheme::Http }, rest),
        (Some(("https", rest)), false) => (if is_http2 { Scheme::H2 } else { Scheme::Https }, rest),
        (Some(("grpc", rest)), true) => (Scheme::H2c, rest),
        (Some(("grpcs", rest)), true) => (Scheme::H2, rest),
        (None, true) => (Scheme::H2c, text),
        _ => return None,
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '$']).unwrap_or(rest.len()));
    let is_path = path.is_empty() || path.starts_with(['/', '?']) || super::path::is_whole(path);
    (is_path && authority(host).is_some()).then_some((scheme, host, path))
}
