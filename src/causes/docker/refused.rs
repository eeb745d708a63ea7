//! A container that refuses the port that the gateway's upstream names, and what it listens on instead: the twin of
//! [`crate::causes::ports`] on a Docker engine, and like it one look that several causes share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::SignedDuration;

use super::state;
use crate::api::Confidence;
use crate::causes::ports::{self, Elsewhere, Grade, Hints, Source, Table};
use crate::causes::{Behind, Case, EndpointView, FindingBuilder, Missing};
use crate::evidence::inside::Listens;
use crate::path::{ContainerRoute, ServerPath};
use crate::probe::Signature;
use crate::snapshot::objects::docker::{Container, Publication};

/// What runs for less than this may still be about to listen.
const SETTLING: SignedDuration = SignedDuration::from_secs(15);
/// Where the engine's own DNS listens in the network of every container, on ports of its choice.
const ENGINE_DNS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11));

/// A container that refuses the port that the upstream names.
#[derive(Clone, Debug)]
pub struct Refused<'a> {
    /// The route.
    pub route: &'a ContainerRoute,
    /// The server of the upstream.
    pub server: &'a ServerPath,
    /// The container. Where several live in one network, the one that the address belongs to, or the first that is not the gateway.
    pub container: &'a Arc<Container>,
    /// The request that was refused.
    pub view: EndpointView<'a>,
    /// Where it went.
    pub to: SocketAddr,
    /// What the container's programs are told about where to listen.
    pub hints: Hints,
    /// What its listen table says of the port, where somebody could look.
    pub table: Option<Table<'a>>,
    /// Another port of it that answers.
    pub elsewhere: Option<Elsewhere<'a>>,
    /// Whether it was started so shortly before that it may not listen yet.
    pub is_young: bool,
    /// The containers that live in its network, without the gateway.
    members: Vec<&'a Arc<Container>>,
}

/// Why the port refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// The upstream names the port of the host that this port of the container is published at.
    Published(&'a Publication, Confidence),
    /// The upstream names another port than the program listens on.
    Port(Confidence),
    /// The program listens on loopback, or another single address, alone.
    Address,
    /// It listens for the other IP family alone.
    Family,
    /// It was only just started.
    Starting,
    /// Nobody in the container listens at all.
    NotListening,
    /// The port is open: something before it refuses, or it was opened just now.
    Open,
    /// Nobody could look, and nothing else answers: it may be the address or the port.
    Unclear,
}

/// The first container on the route that runs and refuses the port that the upstream names.
pub fn refused<'a>(case: &Case<'a>) -> Result<Option<Refused<'a>>, Missing> {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    for view in case.walked_with(&[Signature::Refused])? {
        let (Some(to), Some(owner)) = (view.endpoint.socket(), view.endpoint.container.as_ref()) else { continue };
        let members = members(route, owner);
        let Some(container) = members.iter().find(|c| c.id == owner.id).or(members.first()).copied() else { continue };
        let Some(server) = route.servers.iter().find(|s| s.leads_to(to)) else { continue };
        if state::reason(&route.host, container, Some(view.seen)).is_none() {
            return refusal(case, route, server, container, view, to, members).map(Some);
        }
    }
    Ok(None)
}

/// The running containers that live in the same network as one of them, but for the gateway.
pub fn members<'a>(route: &'a ContainerRoute, of: &'a Arc<Container>) -> Vec<&'a Arc<Container>> {
    let owner = route.host.netns_owner(of).unwrap_or(of);
    let lives_there = |c: &&Arc<Container>| route.host.netns_owner(c).is_some_and(|o| o.id == owner.id);
    let is_there = |c: &&Arc<Container>| c.runs() && c.id != route.gateway.id && !state::has_dead_netns(&route.host, c);
    route.host.containers.iter().filter(is_there).filter(lives_there).collect()
}

fn refusal<'a>(
    case: &Case<'a>,
    route: &'a ContainerRoute,
    server: &'a ServerPath,
    container: &'a Arc<Container>,
    view: EndpointView<'a>,
    to: SocketAddr,
    members: Vec<&'a Arc<Container>>,
) -> Result<Refused<'a>, Missing> {
    let settles = |c: &&Arc<Container>| c.state.started.is_some_and(|at| view.seen.at.duration_since(at).abs() < SETTLING);
    let table = case.look_behind(Behind::Container(container))?.map(|look| Table::of(look, to.ip(), to.port()));
    let told = |c: &&Arc<Container>| (c.command.clone(), c.environment.clone());
    let (command, environment): (Vec<_>, Vec<_>) = members.iter().map(told).unzip();
    let hints = Hints::told(&command.concat(), &environment.concat());
    let is_young = members.iter().any(settles);
    let mut refused = Refused { route, server, container, view, to, hints, table, elsewhere: None, is_young, members };
    refused.elsewhere = ports::best(case, to.ip(), refused.candidates())?;
    Ok(refused)
}

impl<'a> Refused<'a> {
    /// Why it refuses: by the listen table, else by what answers and what is declared.
    pub fn fault(&self) -> Fault<'a> {
        let Some(table) = &self.table else { return self.fault_from_outside() };
        match table.at {
            _ if self.is_nobodys() => self.fault_where_nobody_listens(),
            Listens::Everywhere(_) | Listens::ThatAddress(_) => Fault::Open,
            // A port that nothing declares, and that its program keeps to itself, is not the one that was meant.
            _ if !self.is_agreed() && self.serves_elsewhere() => Fault::Port(Confidence::Proven),
            Listens::OtherFamilyOnly(_) => Fault::Family,
            _ => Fault::Address,
        }
    }

    /// Whether nobody in the container listens on the port: what the engine itself listens on there is not the container's.
    fn is_nobodys(&self) -> bool {
        self.table.is_some_and(|t| t.at.listener().is_none_or(|l| l.address == ENGINE_DNS))
    }

    fn fault_where_nobody_listens(&self) -> Fault<'a> {
        use Confidence::{Likely, Proven};
        let open = self.open_ports();
        if !self.listens_at_all() {
            return if self.is_young { Fault::Starting } else { Fault::NotListening };
        }
        if self.is_young && !self.serves_elsewhere() {
            return Fault::Starting;
        }
        let answers = |port: u16| self.elsewhere.as_ref().is_some_and(|e| e.port == port && e.grade > Grade::Accepts);
        match self.published().filter(|p| open.contains(&p.port)) {
            Some(published) => Fault::Published(published, if answers(published.port) { Proven } else { Likely }),
            None if self.serves_elsewhere() || matches!(open.as_slice(), [one] if answers(*one)) => Fault::Port(Proven),
            None => Fault::Port(Likely),
        }
    }

    fn fault_from_outside(&self) -> Fault<'a> {
        use Confidence::{Likely, Proven};
        let named = |e: &Elsewhere<'_>| e.source > Source::Common;
        if self.is_young && !(self.serves_elsewhere() && self.elsewhere.as_ref().is_some_and(named)) {
            return Fault::Starting;
        }
        let agreed = self.is_agreed();
        if let Some(published) = self.published().filter(|_| !agreed) {
            let answers = self.elsewhere.as_ref().is_some_and(|e| e.port == published.port && e.grade > Grade::Accepts);
            return Fault::Published(published, if answers { Proven } else { Likely });
        }
        match &self.elsewhere {
            Some(found) if !agreed && named(found) && found.grade == Grade::Serves => Fault::Port(Proven),
            Some(found) if !agreed && found.grade > Grade::Accepts => Fault::Port(Likely),
            // What is told to keep to loopback does; what answers elsewhere is something beside it.
            Some(found) if agreed && named(found) && found.grade == Grade::Serves && self.loopback().is_none() => Fault::Port(Likely),
            None if !agreed && self.declared().next().is_some() => Fault::Port(Likely),
            _ => Fault::Unclear,
        }
    }

    /// The port that the upstream names.
    pub fn port(&self) -> u16 {
        self.to.port()
    }

    /// The setting that binds the port to loopback.
    pub fn loopback(&self) -> Option<&str> {
        self.hints.loopback_at(self.port())
    }

    /// The port that was most likely meant: the one that answers, else the only one that is open, else the first that is declared.
    pub fn meant(&self) -> Option<u16> {
        let only = || match self.open_ports().as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        let declared = || self.declared().find(|p| *p != self.port() && self.table.is_none());
        self.elsewhere.as_ref().map(|e| e.port).or_else(only).or_else(declared)
    }

    /// Where the upstream sends requests, for messages: `shop-gateway-1 (/etc/nginx/conf.d/default.conf:5) sends requests to app:3000`.
    pub fn sends(&self) -> String {
        format!("{} sends requests to {}", super::meant::written(self.route, self.server), self.server.server)
    }

    /// Adds to a finding what was seen of the port, with the line that decides.
    pub fn evidence(&self, finding: FindingBuilder) -> FindingBuilder {
        let mut finding = finding
            .object(&self.route.gateway.reference(), &self.server.server.place.to_string())
            .object(&self.container.reference(), "")
            .saw(self.view.seen);
        if let Some(found) = &self.elsewhere {
            finding = finding.saw(found.seen);
        }
        let failing = self.view.seen.to_string();
        match (&self.table, &self.elsewhere) {
            (Some(table), found) => {
                let line = match table.at.listener() {
                    Some(listener) if !self.is_nobodys() => table.bound_line(listener),
                    _ => table.closed_line(self.meant()),
                };
                let answered = found.as_ref().filter(|_| self.is_nobodys()).map(|e| e.seen.to_string());
                finding.looked(table.look, line.clone()).proof(failing, answered.unwrap_or(line))
            }
            (None, Some(found)) => finding.proof(failing, found.seen.to_string()).command(self.deciding_command()),
            (None, None) => finding.proof(failing, self.deciding_line()).command(self.deciding_command()),
        }
    }

    /// The one look that tells loopback, another port and no listener apart.
    fn deciding_command(&self) -> String {
        format!("docker exec {} cat /proc/net/tcp /proc/net/tcp6", self.container.name)
    }

    fn deciding_line(&self) -> String {
        let port = self.port();
        format!("{}: 0100007F:{port:04X} in state 0A is port {port} on 127.0.0.1; no {port:04X} is another port", self.deciding_command())
    }

    /// The publication on the host whose port the upstream names in place of the container's.
    fn published(&self) -> Option<&'a Publication> {
        let port = self.port();
        self.members.iter().flat_map(|c| &c.published).find(|p| p.host_port == port && p.port != port)
    }

    /// Ports that the container declares, or publishes.
    fn declared(&self) -> impl Iterator<Item = u16> {
        self.members.iter().flat_map(|c| c.published.iter().map(|p| p.port).chain(c.exposed.iter().copied()))
    }

    /// Whether the container says that it listens on the port.
    fn is_agreed(&self) -> bool {
        let port = self.port();
        self.declared().any(|p| p == port) || self.hints.ports().any(|(p, _)| p == port)
    }

    fn serves_elsewhere(&self) -> bool {
        self.elsewhere.as_ref().is_some_and(|e| e.grade == Grade::Serves)
    }

    fn listens_at_all(&self) -> bool {
        let own = self.own_ports();
        let listeners = self.table.iter().flat_map(|t| &t.look.inside.listeners);
        listeners.filter(|l| l.address != ENGINE_DNS).any(|l| !own.contains(&l.port))
    }

    /// The other ports that take what comes to the address.
    fn open_ports(&self) -> Vec<u16> {
        let own = self.own_ports();
        let ports = self.table.iter().flat_map(|t| t.look.inside.ports().into_iter().filter(|port| t.is_open(*port)));
        ports.filter(|port| *port != self.port() && !own.contains(port)).collect()
    }

    /// The gateway's own ports, where both live in one network.
    fn own_ports(&self) -> Vec<u16> {
        if self.to.ip().is_loopback() { self.route.configuration.listeners.iter().map(|l| l.port).collect() } else { Vec::new() }
    }

    fn candidates(&self) -> Vec<(u16, Source)> {
        let told = self.hints.ports().map(|(p, _)| (p, Source::Told));
        let listening = self.open_ports().into_iter().map(|p| (p, Source::Listening));
        let numbers = self.hints.numbers().map(|p| (p, Source::Common));
        // On its own loopback a gateway has ports of its own that nobody declares.
        let common = ports::common().filter(|_| !self.to.ip().is_loopback());
        let all = self.declared().map(|p| (p, Source::Declared)).chain(told).chain(listening).chain(numbers).chain(common);
        let own = self.own_ports();
        let mut found: Vec<(u16, Source)> = Vec::new();
        for (port, source) in all {
            let is_new = port != self.port() && !own.contains(&port) && !found.iter().any(|(p, _)| *p == port);
            if is_new && self.table.is_none_or(|t| t.is_open(port)) {
                found.push((port, source));
            }
        }
        found
    }
}
