//! The processes of a pod or container, found by their control groups; and those of a network.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// Who is found in a pass over all processes that is no older need not be looked for again.
const FRESH: Duration = Duration::from_millis(500);
/// Pods and containers whose processes are remembered.
const REMEMBERED: usize = 4096;

/// What was found before: all processes are gone through only where those that are remembered are there no more, and once for all who ask at
/// the same time.
#[derive(Debug, Default)]
pub struct Known {
    remembered: Mutex<HashMap<Whose, Vec<Member>>>,
    pass: Mutex<Option<Pass>>,
}

/// The control groups of all processes, as they were read one after the other.
#[derive(Debug)]
struct Pass {
    begun: Instant,
    groups: Vec<(u32, String)>,
}

impl Known {
    /// As [`of`], for somebody who asked at that time.
    pub fn members(&self, proc: &Path, whose: &Whose, asked: Instant) -> io::Result<Vec<Member>> {
        let Whose::Pod(uid) = whose else { return of(proc, whose) };
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(whose).cloned().unwrap_or_default();
        if remembered.first().is_some_and(|member| is_still(proc, *member, whose)) {
            return Ok(remembered);
        }
        let members = self.found(proc, uid, asked)?;
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(whose.clone(), members.clone());
        Ok(members)
    }

    /// Whoever comes while a pass is made waits for it. Who is not there in one that was begun before the question may have come since, and who is
    /// may have gone.
    fn found(&self, proc: &Path, uid: &PodUid, asked: Instant) -> io::Result<Vec<Member>> {
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = pass.as_ref().filter(|last| last.begun + FRESH > asked) {
            let mut members = last.members(proc, uid);
            members.retain(|member| Owner::Pod(uid).has(proc, member.pid));
            if !members.is_empty() || last.begun >= asked {
                return Ok(members);
            }
        }
        let made = Pass::over(proc)?;
        let members = made.members(proc, uid);
        *pass = Some(made);
        Ok(members)
    }
}

impl Pass {
    fn over(proc: &Path) -> io::Result<Self> {
        let begun = Instant::now();
        let groups_of = |pid: u32| Some((pid, groups(proc, pid).ok()?));
        Ok(Pass { begun, groups: numbers(proc)?.into_iter().filter_map(groups_of).collect() })
    }

    fn members(&self, proc: &Path, uid: &PodUid) -> Vec<Member> {
        let own = self.groups.iter().filter(|(_, groups)| uid.owns(groups).unwrap_or(false));
        let mut members: Vec<Member> = own.filter_map(|(pid, _)| member(proc, *pid)).collect();
        members.sort();
        members
    }
}

/// The processes of a pod, the oldest first: that is the one that holds the pod's namespaces. Of a network, the process that it is known by
/// comes first. Passes over those that end meanwhile.
pub fn of(proc: &Path, whose: &Whose) -> io::Result<Vec<Member>> {
    let owner = Owner::of(proc, whose);
    let own = numbers(proc)?.into_iter().filter(|pid| owner.has(proc, *pid));
    let mut found: Vec<Member> = own.filter_map(|pid| member(proc, pid)).collect();
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
            Owner::Pod(uid) => groups(proc, pid).is_ok_and(|groups| uid.owns(&groups).unwrap_or(false)),
            Owner::Network(of) => of.is_some() && network(proc, pid) == *of,
        }
    }
}

/// The numbers of all processes.
fn numbers(proc: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(proc)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

fn member(proc: &Path, pid: u32) -> Option<Member> {
    Some(Member { started: started(proc, pid)?, pid })
}

fn groups(proc: &Path, pid: u32) -> io::Result<String> {
    fs::read_to_string(proc.join(pid.to_string()).join("cgroup"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(proc: &Path, pid: u32, container: &str) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("cgroup"), format!("0::/docker/{container}\n")).expect("a file");
        // Its start is the 22nd of 52 fields.
        let (before, after) = ("0 ".repeat(17), "0 ".repeat(30));
        fs::write(folder.join("stat"), format!("{pid} (web) S 1 {before}{pid} {after}\n")).expect("a file");
    }

    #[test]
    fn one_pass_serves_all_who_ask_and_who_came_since_is_found_in_the_next() {
        let proc = tempfile::tempdir().expect("a folder");
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let of = |id: &str| Whose::Pod(PodUid::parse(id).expect("an id"));
        let pids = |known: &Known, id: &str, asked| -> Vec<u32> {
            known.members(proc.path(), &of(id), asked).expect("a folder").iter().map(|member| member.pid).collect()
        };
        run(proc.path(), 7, &a);
        let (known, begun) = (Known::default(), Instant::now());
        assert_eq!(pids(&known, &a, begun), [7]);
        // Nobody asked for it since the pass: it is not looked for again.
        run(proc.path(), 8, &b);
        assert_eq!(pids(&known, &b, begun), [0; 0]);
        assert_eq!(pids(&known, &b, Instant::now()), [8]);
        // One that ended is not remembered for good.
        fs::remove_dir_all(proc.path().join("7")).expect("a folder");
        assert_eq!(pids(&known, &a, Instant::now()), [0; 0]);
    }
}
