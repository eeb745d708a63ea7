//! Who listens where, judged by the kernel's own rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Inside, Listener};

/// Whether a socket takes what comes to an address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens<'a> {
    /// On every address of the family.
    Everywhere(&'a Listener),
    /// On that very address.
    ThatAddress(&'a Listener),
    /// The port is open on a loopback address alone.
    LoopbackOnly(&'a Listener),
    /// The port is open on all addresses, or the same sort of address, of the other IP family alone.
    OtherFamilyOnly(&'a Listener),
    /// The port is open on another single address alone.
    AnotherAddress(&'a Listener),
    /// Nobody listens on the port.
    Nobody,
}

impl Inside {
    /// Whether a socket takes what comes to an address and port, and if not, what the port is open for.
    pub fn listens_at(&self, ip: IpAddr, port: u16) -> Listens<'_> {
        let ip = ip.to_canonical();
        let mut found = Listens::Nobody;
        for listener in self.at(port) {
            let this = self.takes(listener, ip);
            if this.rank() < found.rank() {
                found = this;
            }
        }
        found
    }

    /// The sockets that take what comes to an address and port; several where a program shares its port (SO_REUSEPORT).
    pub fn serving(&self, ip: IpAddr, port: u16) -> impl Iterator<Item = &Listener> {
        let ip = ip.to_canonical();
        self.at(port).filter(move |l| matches!(self.takes(l, ip), Listens::Everywhere(_) | Listens::ThatAddress(_)))
    }

    /// The ports that somebody listens on, whatever the address.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.listeners.iter().map(|l| l.port).collect()
    }

    /// The sockets of a port.
    pub fn at(&self, port: u16) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |l| l.port == port)
    }

    /// The listeners in a few words: `0.0.0.0:8080 (python3), [::]:9090`, or that there is none.
    pub fn listening_text(&self) -> String {
        const SHOWN: usize = 8;
        let mut texts: Vec<String> = self.listeners.iter().take(SHOWN).map(Listener::to_string).collect();
        match self.listeners.len() {
            0 => return "nobody listens".into(),
            all if all > SHOWN => texts.push(format!("{} more", all - SHOWN)),
            _ => {}
        }
        texts.dedup();
        format!("listening: {}", texts.join(", "))
    }

    fn takes<'a>(&self, listener: &'a Listener, ip: IpAddr) -> Listens<'a> {
        let bound = listener.address;
        match (bound.is_unspecified(), bound == ip) {
            _ if bound.is_loopback() && !ip.is_loopback() => Listens::LoopbackOnly(listener),
            (true, _) if bound.is_ipv4() == ip.is_ipv4() || self.takes_both(listener) => Listens::Everywhere(listener),
            (_, true) => Listens::ThatAddress(listener),
            _ if bound.is_ipv4() != ip.is_ipv4() => Listens::OtherFamilyOnly(listener),
            _ => Listens::AnotherAddress(listener),
        }
    }

    /// Whether `[::]` takes IPv4 as well. Where the kernel did not say, it does unless the port has a socket of IPv4 of its own, which could
    /// not be opened beside it otherwise.
    fn takes_both(&self, listener: &Listener) -> bool {
        let own_v4 = || self.at(listener.port).any(|l| l.address.is_ipv4());
        listener.address.is_ipv6() && listener.v6_only.map_or_else(|| !own_v4(), |only| !only)
    }
}

impl<'a> Listens<'a> {
    /// The socket that was found.
    pub fn listener(self) -> Option<&'a Listener> {
        match self {
            Listens::Everywhere(l) | Listens::ThatAddress(l) | Listens::LoopbackOnly(l) => Some(l),
            Listens::OtherFamilyOnly(l) | Listens::AnotherAddress(l) => Some(l),
            Listens::Nobody => None,
        }
    }

    /// Whether connections are taken.
    pub fn is_served(self) -> bool {
        matches!(self, Listens::Everywhere(_) | Listens::ThatAddress(_))
    }

    /// What tells most comes first.
    fn rank(self) -> u8 {
        match self {
            Listens::ThatAddress(_) => 0,
            Listens::Everywhere(_) => 1,
            Listens::OtherFamilyOnly(_) => 2,
            Listens::AnotherAddress(_) => 3,
            Listens::LoopbackOnly(_) => 4,
            Listens::Nobody => 5,
        }
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", std::net::SocketAddr::new(self.address, self.port))?;
        self.process.as_ref().map_or(Ok(()), |p| write!(f, " ({})", p.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(listeners: &[(&str, Option<bool>)]) -> Inside {
        let listener = |(address, v6_only): &(&str, Option<bool>)| Listener {
            address: address.parse().expect("an address"),
            port: 8080,
            v6_only: *v6_only,
            queue: 0,
            backlog: Some(128),
            process: None,
        };
        Inside { listeners: listeners.iter().map(listener).collect(), ..Inside::default() }
    }

    fn at<'a>(inside: &'a Inside, ip: &str) -> Listens<'a> {
        inside.listens_at(ip.parse().expect("an address"), 8080)
    }

    #[test]
    fn a_socket_on_every_address_takes_its_own_family() {
        let v4 = inside(&[("0.0.0.0", None)]);
        assert!(matches!(at(&v4, "10.244.1.7"), Listens::Everywhere(_)));
        assert!(matches!(at(&v4, "fd00::7"), Listens::OtherFamilyOnly(_)));
        assert!(matches!(at(&inside(&[("10.244.1.7", None)]), "::ffff:10.244.1.7"), Listens::ThatAddress(_)));
    }

    #[test]
    fn an_ipv6_socket_takes_both_families_unless_the_kernel_or_a_socket_beside_it_says_otherwise() {
        assert!(at(&inside(&[("::", None)]), "10.244.1.7").is_served());
        assert!(at(&inside(&[("::", Some(false))]), "10.244.1.7").is_served());
        assert!(matches!(at(&inside(&[("::", Some(true))]), "10.244.1.7"), Listens::OtherFamilyOnly(_)));
        assert!(matches!(at(&inside(&[("::", None), ("127.0.0.1", None)]), "10.244.1.7"), Listens::OtherFamilyOnly(_)));
        assert!(at(&inside(&[("::", Some(true)), ("0.0.0.0", None)]), "fd00::7").is_served());
    }

    #[test]
    fn loopback_is_told_from_another_address_and_from_nobody() {
        assert!(matches!(at(&inside(&[("127.0.0.1", None)]), "10.244.1.7"), Listens::LoopbackOnly(_)));
        assert!(matches!(at(&inside(&[("::1", None)]), "10.244.1.7"), Listens::LoopbackOnly(_)));
        assert!(matches!(at(&inside(&[("127.0.0.1", None), ("192.168.7.1", None)]), "10.244.1.7"), Listens::AnotherAddress(_)));
        assert_eq!(inside(&[("0.0.0.0", None)]).listens_at([10, 244, 1, 7].into(), 8081), Listens::Nobody);
        assert_eq!(at(&inside(&[]), "10.244.1.7"), Listens::Nobody);
    }

    #[test]
    fn listeners_are_shown_with_their_process_and_not_without_end() {
        let mut inside = inside(&[("0.0.0.0", None), ("::1", None)]);
        inside.listeners[0].process = Some(super::super::Process { name: "python3".into(), pid: 1 });
        assert_eq!(inside.listening_text(), "listening: 0.0.0.0:8080 (python3), [::1]:8080");
        inside.listeners = (1..=20).map(|port| Listener { port, ..inside.listeners[0].clone() }).collect();
        assert!(inside.listening_text().ends_with(", 12 more"));
        assert_eq!(Inside::default().listening_text(), "nobody listens");
    }
}
