//! What the listen table of a pod says of a port that refuses.

use std::net::{IpAddr, SocketAddr};

use super::is_auxiliary;
use super::pod::declared;
use crate::causes::look::Look;
use crate::evidence::inside::{Listener, Listens};
use crate::snapshot::objects::Pod;

/// The sockets of a pod, as they matter to one of its addresses and ports.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The look into the pod.
    pub look: Look<'a>,
    /// Who listens at the address and port.
    pub at: Listens<'a>,
    ip: IpAddr,
    port: u16,
}

impl<'a> Table<'a> {
    /// Reads the table for an address and port.
    pub fn of(look: Look<'a>, ip: IpAddr, port: u16) -> Self {
        Table { look, at: look.inside.listens_at(ip, port), ip, port }
    }

    /// Whether the port is open, and not for this address: whatever is asked again, it refuses.
    pub fn is_bound_elsewhere(&self) -> bool {
        matches!(self.at, Listens::LoopbackOnly(_) | Listens::OtherFamilyOnly(_) | Listens::AnotherAddress(_))
    }

    /// Whether another port of the pod takes what comes to the address.
    pub fn is_open(&self, port: u16) -> bool {
        self.look.inside.listens_at(self.ip, port).is_served()
    }

    /// The other ports that take what comes to the address. On the host's network these are other programs' as well, so there are none.
    pub fn open_ports(&self, pod: &Pod) -> Vec<u16> {
        let ports = if pod.host_network { Default::default() } else { self.look.inside.ports() };
        ports.into_iter().filter(|port| *port != self.port && self.is_open(*port)).collect()
    }

    /// The open ports that may be for users: those that are not declared as an operator's.
    pub fn users_ports(&self, pod: &Pod) -> Vec<u16> {
        let scraped = pod.meta.annotations.get("prometheus.io/port").and_then(|p| p.parse::<u16>().ok());
        let auxiliary = |port: u16| scraped == Some(port) || declared(pod).any(|(p, name)| p == port && name.is_some_and(is_auxiliary));
        self.open_ports(pod).into_iter().filter(|port| !auxiliary(*port)).collect()
    }

    /// The deciding line where the port is open for something else: `inside pod shop/web-1: 127.0.0.1:8080 is listened on by python3`.
    pub fn bound_line(&self, listener: &Listener) -> String {
        self.look.line(self.bound(listener))
    }

    fn bound(&self, listener: &Listener) -> String {
        let at = SocketAddr::new(listener.address, listener.port);
        let alone = match self.at {
            Listens::OtherFamilyOnly(_) if at.is_ipv6() => ", for IPv6 alone",
            Listens::OtherFamilyOnly(_) => ", for IPv4 alone",
            _ => "",
        };
        format!("{at} is listened on by {}{alone}", listener.owner())
    }

    /// Whether no connection waits in the port's queues.
    pub fn is_idle(&self) -> bool {
        self.look.inside.serving(self.ip, self.port).all(|l| l.queue == 0)
    }

    /// The deciding line where the port is open: `inside pod shop/web-1: 0.0.0.0:8080 is listened on by python3, and its queue is empty`.
    pub fn open_line(&self) -> String {
        match self.at.listener() {
            Some(listener) => format!("{}, and its queue is empty", self.bound_line(listener)),
            None => self.closed_line(None),
        }
    }

    /// The deciding line where nobody listens on the port at the address: who listens on which one instead.
    pub fn closed_line(&self, instead: Option<u16>) -> String {
        let here = self.at.listener().map_or_else(|| format!("nobody listens on {}", self.port), |listener| self.bound(listener));
        let listener = instead.and_then(|port| self.look.inside.serving(self.ip, port).next());
        let there = listener.map(|l| format!("; {} is listened on by {}", SocketAddr::new(l.address, l.port), l.owner()));
        self.look.line(here + &there.unwrap_or_default())
    }
}
