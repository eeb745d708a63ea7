//! A pod's own resolv.conf.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

use super::members::Member;
use crate::evidence::inside::Resolver;
use crate::probe::dns;

/// The longest that is read.
const LONGEST: u64 = 64 * 1024;
/// Processes that are tried: not every container has the file.
const TRIED: usize = 8;

/// The DNS servers of a pod; none where no process' file can be read.
pub fn servers(proc: &Path, members: &[Member]) -> Vec<SocketAddr> {
    files(proc, members).map(|text| dns::servers_of(&text)).find(|servers| !servers.is_empty()).unwrap_or_default()
}

/// How a pod looks names up, by the first of its processes that has a file with servers.
pub fn of(proc: &Path, members: &[Member]) -> Option<Resolver> {
    files(proc, members).map(|text| Resolver::parse(&text)).find(|resolver| !resolver.servers.is_empty())
}

fn files(proc: &Path, members: &[Member]) -> impl Iterator<Item = String> {
    members.iter().take(TRIED).filter_map(|member| read(&proc.join(member.pid.to_string())).ok())
}

/// Reads `/etc/resolv.conf` as the process has it. What its links lead to stays below its own root, and a pipe in its place is not waited for.
fn read(folder: &Path) -> io::Result<String> {
    let root = open(folder.join("root"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(root, "etc/resolv.conf", flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    File::from(file).take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
