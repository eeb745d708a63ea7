//! The processes of a pod, found by their control groups.

use std::fs;
use std::io;
use std::path::Path;

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

/// The processes of a pod, the oldest first: that is the one that holds the pod's namespaces. Passes over those that end meanwhile.
pub fn of(proc: &Path, uid: &PodUid) -> io::Result<Vec<Member>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse().ok()) else { continue };
        if is_owned(proc, pid, uid) {
            found.extend(started(proc, pid).map(|started| Member { started, pid }));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a process still is the one that it was, and the pod's.
pub fn is_still(proc: &Path, member: Member, uid: &PodUid) -> bool {
    is_owned(proc, member.pid, uid) && started(proc, member.pid) == Some(member.started)
}

/// The process outside the pod that started it: its container runtime's, which stands in the node's own namespaces and tree of files.
pub fn runtime(proc: &Path, members: &[Member]) -> Option<u32> {
    let mut pid = members.first()?.pid;
    // Nobody is his own ancestor, but numbers are given anew.
    for _ in members {
        pid = state(proc, pid)?.parent;
        if members.iter().all(|member| member.pid != pid) {
            return Some(pid).filter(|pid| *pid > 0);
        }
    }
    None
}

fn is_owned(proc: &Path, pid: u32, uid: &PodUid) -> bool {
    let groups = fs::read_to_string(proc.join(pid.to_string()).join("cgroup"));
    groups.is_ok_and(|groups| uid.owns(&groups).unwrap_or(false))
}

fn started(proc: &Path, pid: u32) -> Option<u64> {
    state(proc, pid).map(|state| state.started)
}

fn state(proc: &Path, pid: u32) -> Option<process::State> {
    process::state(&fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?).ok()
}
