//! Listening sockets, as the kernel tells over netlink (`sock_diag(7)`).
//!
//! A netlink socket belongs to the network namespace that its thread was in when it was opened, whoever uses it later.

use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use crate::evidence::inside::Listener;
use crate::evidence::inside::sockets::Socket;

/// The kernel's answers come in parts of at most 32 KiB.
const PART: usize = 64 * 1024;

/// Opens a netlink socket in this thread's network namespace.
pub fn open() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?)
}

/// Every listening TCP socket of the namespace that a netlink socket was opened in.
pub fn listening(netlink: BorrowedFd<'_>) -> io::Result<Vec<Socket>> {
    let mut found = dump(netlink, AF_INET, SocketId::new_v4())?;
    found.extend(dump(netlink, AF_INET6, SocketId::new_v6())?);
    Ok(found)
}

fn dump(netlink: BorrowedFd<'_>, family: u8, socket_id: SocketId) -> io::Result<Vec<Socket>> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let question =
        InetRequest { family, protocol: IPPROTO_TCP, extensions: ExtensionFlags::empty(), states: StateFlags::LISTEN, socket_id };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(question).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    send(netlink, &bytes, SendFlags::empty())?;

    let mut found = Vec::new();
    let mut part = vec![0; PART];
    loop {
        let (_, length) = recv(netlink, part.as_mut_slice(), RecvFlags::TRUNC)?;
        let mut rest = part.get(..length).ok_or_else(|| io::Error::other("a part of an answer is too long"))?;
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => found.push(socket(&response)),
                NetlinkPayload::Done(_) => return Ok(found),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::Overrun(_) => return Err(io::Error::other("the kernel lost a part of its answer")),
                _ => {}
            }
            // Messages stand at multiples of four bytes.
            let step = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(4);
            rest = rest.get(step..).unwrap_or_default();
        }
    }
}

fn socket(response: &InetResponse) -> Socket {
    let header = &response.header;
    let v6_only = response.nlas.iter().find_map(|nla| match nla {
        Nla::SkV6Only(only) => Some(*only),
        _ => None,
    });
    let bound: IpAddr = header.socket_id.source_address;
    let listener = Listener {
        address: bound.to_canonical(),
        port: header.socket_id.source_port,
        v6_only: v6_only.filter(|_| bound.to_canonical().is_ipv6()),
        queue: header.recv_queue,
        backlog: Some(header.send_queue),
        process: None,
    };
    Socket { listener, inode: header.inode.into() }
}
