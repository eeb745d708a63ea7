//! The largest packet that a path carries: bisection with ICMP echoes that may not be fragmented.
//!
//! An echo comes back with the size that it went out with, so one that is lost on the way back counts as lost too. Answers may be fragmented,
//! though: what only the way back cannot carry, and a router there cuts in pieces, is not seen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover, set_ipv6_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{Outcome, PathSize};

/// Echoes sent at most, and how long each is waited for.
const PACKETS: u8 = 12;
const PATIENCE: Duration = Duration::from_millis(200);
/// The largest packet that is sent.
const LARGEST: u16 = 9000;
/// Sizes that every path carries (RFC 791, RFC 8200 §5).
const SMALL_V4: u16 = 576;
const SMALL_V6: u16 = 1280;
/// How often the first small packet, and one of full size, may be lost before that means something.
const TRIES: u8 = 3;
/// A search that is so near to its end is over.
const NEAR: u16 = 8;

/// A search for the largest size that passes. It says what to send and takes what came of it; pure.
#[derive(Debug)]
struct Search {
    small: u16,
    full: u16,
    passes: Option<u16>,
    /// The smallest size that was lost, once packets of full size count as lost.
    fails: Option<u16>,
    tries: u8,
    sent: u8,
}

impl Search {
    fn new(small: u16, full: u16) -> Self {
        Search { small: small.min(full), full, passes: None, fails: None, tries: 0, sent: 0 }
    }

    /// The next size to send; none where the search is over.
    fn next(&self) -> Option<u16> {
        match (self.passes, self.fails) {
            _ if self.sent >= PACKETS => None,
            (None, _) => (self.tries < TRIES).then_some(self.small),
            (Some(passes), _) if passes >= self.full => None,
            (Some(_), None) => Some(self.full),
            (Some(passes), Some(fails)) => (fails - passes > NEAR).then_some(passes.midpoint(fails)),
        }
    }

    fn record(&mut self, size: u16, came_back: bool) {
        self.sent += 1;
        if came_back {
            (self.passes, self.tries) = (Some(size), 0);
            return;
        }
        self.tries += 1;
        let halved = self.fails.is_some();
        if self.passes.is_some() && (halved || self.tries >= TRIES) {
            self.fails = Some(size);
        }
    }
}

/// Finds the largest packet that comes back from an address.
pub async fn measure(to: IpAddr, limit: Duration) -> Outcome {
    let found = async {
        let mut echoes = Echoes::open(to)?;
        let small = if to.is_ipv4() { SMALL_V4 } else { SMALL_V6 };
        let full = assumed(to)?;
        let mut search = Search::new(small, full);
        while let Some(size) = search.next() {
            search.record(size, echoes.comes_back(size).await?);
        }
        // By now the network may have told what passes, and senders go by that.
        let assumed = assumed(to)?;
        Ok(PathSize { assumed, passes: search.passes.map(|passes| if assumed < full { assumed } else { passes }) })
    };
    match tokio::time::timeout(limit, found).await {
        Ok(Ok(size)) => Outcome::Measured(size),
        Ok(Err(error)) => not_measured(&error),
        Err(_) => Outcome::NotSent("the size of packets could not be measured in time".into()),
    }
}

fn not_measured(error: &io::Error) -> Outcome {
    Outcome::NotSent(format!("the size of packets cannot be measured from here: {error}"))
}

/// The size that the kernel takes the path to have: the interface's, or less where it was told so. Sends nothing.
fn assumed(to: IpAddr) -> io::Result<u16> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect((to, 9))?;
    let mtu = if to.is_ipv4() { ip_mtu(&socket)? } else { ipv6_mtu(&socket)? };
    Ok(u16::try_from(mtu).map_or(LARGEST, |mtu| mtu.min(LARGEST)))
}

/// A socket for echoes with one address.
struct Echoes {
    socket: UdpSocket,
    to: IpAddr,
    id: u16,
    sequence: u16,
}

impl Echoes {
    /// Needs CAP_NET_RAW.
    fn open(to: IpAddr) -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let at = SocketAddr::new(to, 0);
        let protocol = if to.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let socket = Socket::new(Domain::for_address(at), Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        // No fragments, and whatever the kernel was told of the path before does not count.
        if to.is_ipv4() {
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?;
        } else {
            set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?;
        }
        socket.connect(&at.into())?;
        // The runtime's type for sockets of datagrams, whatever they hold.
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Echoes { socket, to, id: NEXT.fetch_add(1, Ordering::Relaxed), sequence: 0 })
    }

    /// Sends one packet of a size, and waits whether its echo comes back. What the network says of the size counts as lost.
    async fn comes_back(&mut self, size: u16) -> io::Result<bool> {
        self.sequence += 1;
        match self.socket.send(&echo(self.to, self.id, self.sequence, size)).await {
            Err(error) if !is_told(&error) => return Err(error),
            Err(_) => return Ok(false),
            Ok(_) => {}
        }
        let until = Instant::now() + PATIENCE;
        let mut buffer = vec![0; usize::from(LARGEST)];
        loop {
            match timeout_at(until, self.socket.recv(&mut buffer)).await {
                Err(_) => return Ok(false),
                Ok(Err(error)) if is_told(&error) => return Ok(false),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(length)) if answers(self.to, &buffer[..length]) == Some((self.id, self.sequence)) => return Ok(true),
                Ok(Ok(_)) => {}
            }
        }
    }
}

/// Whether an error is what the network, or this end, says of a packet: too big, or not to be delivered.
fn is_told(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let told = [Errno::MSGSIZE, Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::CONNREFUSED, Errno::NOPROTOOPT];
    error.raw_os_error().is_some_and(|code| told.iter().any(|e| e.raw_os_error() == code))
}

/// ICMP's own header.
const HEADER: u16 = 8;

/// An echo request (RFC 792, RFC 4443 §4.1) whose packet has a size, its IP header included.
fn echo(to: IpAddr, id: u16, sequence: u16, size: u16) -> Vec<u8> {
    let (ip_header, kind) = if to.is_ipv4() { (20, 8) } else { (40, 128) };
    let mut message = vec![0; usize::from(size.saturating_sub(ip_header).max(HEADER))];
    message[0] = kind;
    message[4..6].copy_from_slice(&id.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    // That of ICMPv6 covers addresses, and the kernel fills it in.
    if to.is_ipv4() {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// The Internet checksum (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let mut sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whose echo reply a received packet is; nothing where it is another message. Those of IPv4 come with their IP header.
fn answers(from: IpAddr, packet: &[u8]) -> Option<(u16, u16)> {
    let (kind, at) = if from.is_ipv4() { (0, usize::from(packet.first()? & 0x0f) * 4) } else { (129, 0) };
    let message = packet.get(at..)?;
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    (*message.first()? == kind).then_some((word(4)?, word(6)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a path that carries packets up to a size; what it found, and in how many packets.
    fn search(carries: u16, full: u16) -> (Option<u16>, u8) {
        let mut search = Search::new(SMALL_V4, full);
        while let Some(size) = search.next() {
            assert!(size <= full);
            search.record(size, size <= carries);
        }
        (search.passes, search.sent)
    }

    #[test]
    fn a_path_that_carries_everything_costs_two_packets() {
        assert_eq!(search(1500, 1500), (Some(1500), 2));
    }

    #[test]
    fn a_smaller_path_is_found_to_a_few_bytes_within_twelve_packets() {
        for full in [1500, 9000] {
            for carries in [600, 1280, 1372, 1400, 1450, 1492] {
                let (found, sent) = search(carries, full);
                let (found, room) = (found.unwrap(), full / 100);
                assert!(sent <= PACKETS && found <= carries && carries - found <= room.max(NEAR), "{carries} of {full}: {found}, {sent}");
            }
        }
    }

    #[test]
    fn an_address_without_echoes_says_nothing() {
        assert_eq!(search(0, 1500), (None, TRIES));
    }

    #[test]
    fn one_lost_packet_of_full_size_means_nothing() {
        let mut search = Search::new(SMALL_V4, 1500);
        for (size, came_back) in [(SMALL_V4, false), (SMALL_V4, true), (1500, false), (1500, false), (1500, true)] {
            assert_eq!(search.next(), Some(size));
            search.record(size, came_back);
        }
        assert_eq!((search.next(), search.passes), (None, Some(1500)));
    }

    #[test]
    fn an_echo_has_the_size_that_is_asked_for_and_a_right_checksum() {
        let to: IpAddr = Ipv4Addr::new(10, 0, 0, 7).into();
        let message = echo(to, 7, 9, 1400);
        assert_eq!((message.len(), checksum(&message)), (1380, 0));
        let mut reply = vec![0x45; 20];
        reply.extend(&message);
        assert_eq!(answers(to, &reply), None);
        reply[20] = 0;
        assert_eq!(answers(to, &reply), Some((7, 9)));
        assert_eq!(answers(to, &reply[..24]), None);
        let to: IpAddr = Ipv6Addr::LOCALHOST.into();
        assert_eq!(echo(to, 7, 9, 1280).len(), 1240);
    }
}
