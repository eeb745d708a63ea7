//! A pod's own files by which names are looked up.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

use super::members::Member;
use crate::evidence::inside::{Hosts, Resolver};
use crate::probe::dns;

const RESOLV_CONF: &str = "etc/resolv.conf";
const HOSTS: &str = "etc/hosts";
/// The longest that is read.
const LONGEST: u64 = 64 * 1024;
/// Processes that are tried: not every container has the file.
pub const TRIED: usize = 8;

/// How a pod looks names up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Its DNS servers; none where no process' file can be read.
    pub servers: Vec<SocketAddr>,
    /// What it knows without them.
    pub hosts: Hosts,
}

/// How a pod looks names up, with its hosts file or without.
pub fn names(proc: &Path, members: &[Member], with_hosts: bool) -> Names {
    let servers = files(proc, members, RESOLV_CONF).map(|text| dns::servers_of(&text)).find(|servers| !servers.is_empty());
    let hosts = files(proc, members, HOSTS).next().filter(|_| with_hosts).map(|text| Hosts::parse(&text));
    Names { servers: servers.unwrap_or_default(), hosts: hosts.unwrap_or_default() }
}

/// How a pod looks names up, by the first of its processes that has a file with servers.
pub fn of(proc: &Path, members: &[Member]) -> Option<Resolver> {
    files(proc, members, RESOLV_CONF).map(|text| Resolver::parse(&text)).find(|resolver| !resolver.servers.is_empty())
}

fn files(proc: &Path, members: &[Member], file: &str) -> impl Iterator<Item = String> {
    members.iter().take(TRIED).filter_map(move |member| read(&proc.join(member.pid.to_string()), file).ok())
}

/// Reads a file as the process has it. What its links lead to stays below its own root, and a pipe in its place is not waited for.
fn read(folder: &Path, file: &str) -> io::Result<String> {
    let root = open(folder.join("root"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(root, file, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    File::from(file).take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
