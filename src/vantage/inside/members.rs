//! The processes of a pod or container, found by their control groups; and those of a network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::evidence::inside::membership::PodUid;
use crate::evidence::inside::process;

/// A process of a pod. Its start tells it from a later process of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// When it started, in ticks since the node did.
    pub started: u64,
    /// Its number on the node.
    pub pid: u32,
}

/// Whose processes are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// Those in the control groups of a pod or container.
    Pod(PodUid),
    /// Those in the network namespace of this process, as an engine's.
    Network(u32),
}

/// The processes of a pod, the oldest first: that is the one that holds the pod's namespaces. Of a network, the process that it is known by
/// comes first. Passes over those that end meanwhile.
pub fn of(proc: &Path, whose: &Whose) -> io::Result<Vec<Member>> {
    let owner = Owner::of(proc, whose);
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse().ok()) else { continue };
        if owner.has(proc, pid) {
            found.extend(started(proc, pid).map(|started| Member { started, pid }));
        }
    }
    found.sort_by_key(|member| (*whose != Whose::Network(member.pid), *member));
    Ok(found)
}

/// Whether a process still is the one that it was, and whose it was.
pub fn is_still(proc: &Path, member: Member, whose: &Whose) -> bool {
    Owner::of(proc, whose).has(proc, member.pid) && started(proc, member.pid) == Some(member.started)
}

/// The process outside of these that started them: a container runtime's helper, which stands in the network, the namespaces and the tree of
/// files of the node or engine.
pub fn runtime(proc: &Path, members: &[Member]) -> Option<u32> {
    let mut pid = members.first()?.pid;
    // Nobody is his own ancestor, but numbers are given anew.
    for _ in members {
        pid = process::state(&stat(proc, pid)?).ok()?.parent;
        if members.iter().all(|member| member.pid != pid) {
            return Some(pid).filter(|pid| *pid > 0);
        }
    }
    None
}

/// What tells the processes that are meant.
enum Owner<'a> {
    Pod(&'a PodUid),
    /// The namespace as its link names it; none where it cannot be seen.
    Network(Option<PathBuf>),
}

impl<'a> Owner<'a> {
    fn of(proc: &Path, whose: &'a Whose) -> Self {
        match whose {
            Whose::Pod(uid) => Owner::Pod(uid),
            Whose::Network(pid) => Owner::Network(network(proc, *pid)),
        }
    }

    fn has(&self, proc: &Path, pid: u32) -> bool {
        match self {
            Owner::Pod(uid) => {
                let groups = fs::read_to_string(proc.join(pid.to_string()).join("cgroup"));
                groups.is_ok_and(|groups| uid.owns(&groups).unwrap_or(false))
            }
            Owner::Network(of) => of.is_some() && network(proc, pid) == *of,
        }
    }
}

fn network(proc: &Path, pid: u32) -> Option<PathBuf> {
    fs::read_link(proc.join(pid.to_string()).join("ns/net")).ok()
}

fn stat(proc: &Path, pid: u32) -> Option<String> {
    fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()
}

fn started(proc: &Path, pid: u32) -> Option<u64> {
    process::state(&stat(proc, pid)?).ok().map(|state| state.started)
}
