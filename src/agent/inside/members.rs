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

fn is_owned(proc: &Path, pid: u32, uid: &PodUid) -> bool {
    let groups = fs::read_to_string(proc.join(pid.to_string()).join("cgroup"));
    groups.is_ok_and(|groups| uid.owns(&groups).unwrap_or(false))
}

fn started(proc: &Path, pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    process::state(&stat).ok().map(|state| state.started)
}
