//! Looks into a pod: reads what the kernel shows of its sockets, processes and limits.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::groups::Groups;
use super::members::{self, Member, Whose};
use super::namespace::within;
use super::{Error, Roots};
use crate::evidence::inside::sockets::{self, Socket};
use crate::evidence::inside::{Descriptors, Inside, Listener, Process, Processes, Resolver, Usage, addresses, groups, process};

/// The most that is read of a table of routes.
const LONGEST_TABLE: u64 = 1 << 20;

/// Looks into a pod, whose sockets are seen through a netlink socket of its network namespace, or else in its first process' tables.
///
/// Of a network that is nobody's own, as a host's, only the sockets, their owners and what the kernel counts there are seen.
pub fn into(roots: &Roots, whose: &Whose, netlink: Result<OwnedFd, Error>) -> Result<Inside, Error> {
    let members = members::of(&roots.proc, whose).map_err(Error::Processes)?;
    let first = members.first().ok_or(Error::NoProcess)?;
    let folder = roots.proc.join(first.pid.to_string());
    let by_netlink = netlink.ok().and_then(|socket| super::sockets::listening(socket.as_fd()).ok());
    let sockets = by_netlink.map_or_else(|| tables(&folder), Ok).map_err(Error::Sockets)?;
    let seen = Seen::of(&roots.proc, &members, &sockets);
    // Some nodes let nobody look at their first process; what started the pod sees as much.
    let runtime = members::runtime(&roots.proc, &members).map(|pid| roots.proc.join(pid.to_string()));
    let (pod, is_pod) = match whose {
        Whose::Pod(uid) => (Groups::of(&roots.groups, uid).or_else(|| Groups::of(&runtime.as_ref()?.join(GROUPS), uid)), true),
        Whose::Network(_) => (None, false),
    };
    Ok(Inside {
        listeners: listeners(sockets, &seen.owners),
        turned_away: fs::read_to_string(folder.join("net/netstat")).ok().and_then(|text| sockets::turned_away(&text)),
        descriptors: seen.descriptors.filter(|_| is_pod),
        pids: pod.as_ref().and_then(Groups::pids),
        cpu: pod.as_ref().and_then(Groups::cpu),
        memory: pod.as_ref().and_then(Groups::memory),
        pressure: pod.as_ref().and_then(Groups::pressure),
        processes: is_pod.then_some(seen.processes),
        conntrack: runtime.iter().chain([&roots.proc.join("1")]).find_map(|process| conntrack(&roots.proc, process)),
        resolver: super::resolver::of(&roots.proc, &members),
        addresses: if is_pod { Vec::new() } else { own_addresses(&folder) },
    })
}

/// Looks at this process' own network: its sockets, what the kernel counts there, and how names are looked up. Nothing of whose it is.
pub fn around() -> Result<Inside, Error> {
    let own = Path::new("/proc/self");
    let by_netlink = super::sockets::open().and_then(|socket| super::sockets::listening(socket.as_fd())).ok();
    let sockets = by_netlink.map_or_else(|| tables(own), Ok).map_err(Error::Sockets)?;
    let read = |file: &Path| fs::read_to_string(file).ok();
    Ok(Inside {
        listeners: listeners(sockets, &HashMap::new()),
        turned_away: read(&own.join("net/netstat")).and_then(|text| sockets::turned_away(&text)),
        resolver: read(Path::new("/etc/resolv.conf")).map(|text| Resolver::parse(&text)).filter(|r| !r.servers.is_empty()),
        addresses: own_addresses(own),
        ..Inside::default()
    })
}

/// The addresses of a process' namespace. A host with many routes has a long table of them, of which the beginning is read.
fn own_addresses(folder: &Path) -> Vec<IpAddr> {
    let read = |name: &str| -> io::Result<String> {
        let mut text = String::new();
        File::open(folder.join("net").join(name))?.take(LONGEST_TABLE).read_to_string(&mut text)?;
        Ok(text)
    };
    addresses::parse(&read("fib_trie").unwrap_or_default(), &read("if_inet6").unwrap_or_default())
}

/// The tables of a process' namespace. Without IPv6 in the kernel there is only one.
fn tables(folder: &Path) -> io::Result<Vec<Socket>> {
    let read = |name: &str| match fs::read_to_string(folder.join("net").join(name)) {
        Ok(table) => sockets::listening(&table).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound && name == "tcp6" => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut found = read("tcp")?;
    found.extend(read("tcp6")?);
    Ok(found)
}

fn listeners(sockets: Vec<Socket>, owners: &HashMap<u64, Process>) -> Vec<Listener> {
    let owned = |socket: Socket| Listener { process: owners.get(&socket.inode).cloned(), ..socket.listener };
    let mut listeners: Vec<Listener> = sockets.into_iter().map(owned).collect();
    listeners.sort_by_key(|l| (l.port, l.address));
    listeners
}

/// What the pod's processes show.
struct Seen {
    processes: Processes,
    descriptors: Option<Descriptors>,
    /// The first process that has a socket open, by the socket's inode.
    owners: HashMap<u64, Process>,
}

impl Seen {
    /// Passes over processes that end meanwhile.
    fn of(proc: &Path, members: &[Member], sockets: &[Socket]) -> Self {
        let mut seen = Seen { processes: Processes::default(), descriptors: None, owners: HashMap::new() };
        for member in members {
            let folder = proc.join(member.pid.to_string());
            let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
            let Some(state) = read("stat").and_then(|text| process::state(&text).ok()) else { continue };
            seen.processes.add(&state);
            let pid = read("status").and_then(|text| process::own_number(&text)).unwrap_or(member.pid);
            let process = Process { name: state.name, pid };
            // Whose descriptors may not be seen owns nothing that is known.
            let Ok(open) = open_sockets(&folder) else { continue };
            for inode in open.sockets.iter().filter(|inode| sockets.iter().any(|s| s.inode == **inode)) {
                seen.owners.entry(*inode).or_insert_with(|| process.clone());
            }
            if let Some(limit) = read("limits").and_then(|text| process::descriptor_limit(&text)) {
                seen.keep_fullest(Descriptors { process, usage: Usage { used: open.count, limit } });
            }
        }
        seen
    }

    fn keep_fullest(&mut self, descriptors: Descriptors) {
        let share = |d: &Descriptors| d.usage.limit.map(|limit| d.usage.used * 1000 / limit.max(1));
        if self.descriptors.as_ref().is_none_or(|fullest| share(&descriptors) > share(fullest)) {
            self.descriptors = Some(descriptors);
        }
    }
}

/// A process' descriptors: how many, and the inodes of those that are sockets.
struct Open {
    count: u64,
    sockets: Vec<u64>,
}

fn open_sockets(folder: &Path) -> io::Result<Open> {
    let mut open = Open { count: 0, sockets: Vec::new() };
    for entry in fs::read_dir(folder.join("fd"))? {
        open.count += 1;
        let Ok(link) = fs::read_link(entry?.path()) else { continue };
        let inode = link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
        open.sockets.extend(inode);
    }
    Ok(open)
}

/// Where a process sees the control groups.
const GROUPS: &str = "root/sys/fs/cgroup";

/// Tracked connections of the network namespace that a process of the node is in.
fn conntrack(proc: &Path, process: &Path) -> Option<Usage> {
    let folder = proc.join("sys/net/netfilter");
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let namespace = File::open(process.join("ns/net")).ok()?;
    let both = within(&namespace, || Some((read("nf_conntrack_count")?, read("nf_conntrack_max")?)));
    both.ok().flatten().and_then(|(count, limit)| groups::usage(&count, &limit))
}
