//! A pod's control groups: what it may use, and what it does.

use std::fs;
use std::path::{Path, PathBuf};

use crate::evidence::inside::groups;
use crate::evidence::inside::membership::PodUid;
use crate::evidence::inside::{Cpu, Memory, Pressure, Usage};

/// How deep below the root a pod's group is looked for; nodes that are containers themselves have it deepest.
const DEPTH: usize = 6;

/// The control groups of a pod: its own and those of its containers, for a controller each.
#[derive(Clone, Debug)]
pub struct Groups {
    root: PathBuf,
    /// Whether all controllers share one tree (version 2).
    unified: bool,
    /// The pod's group below a tree's root.
    pod: PathBuf,
}

impl Groups {
    /// Looks for a pod's group below the root of all trees. Nothing where it cannot be seen.
    ///
    /// The path that `/proc/PID/cgroup` states cannot be used: from another control group namespace its beginning is missing.
    pub fn of(root: &Path, uid: &PodUid) -> Option<Self> {
        let unified = root.join("cgroup.controllers").exists();
        let tree = if unified { root.to_owned() } else { root.join("pids") };
        let pod = find(&tree, uid, DEPTH)?.strip_prefix(&tree).ok()?.to_owned();
        Some(Groups { root: root.to_owned(), unified, pod })
    }

    /// Processes and threads.
    pub fn pids(&self) -> Option<Usage> {
        self.fullest("pids", "pids.current", "pids.max")
    }

    /// Memory, and who was killed for want of it.
    pub fn memory(&self) -> Option<Memory> {
        let (current, limit, events) = match self.unified {
            true => ("memory.current", "memory.max", "memory.events"),
            false => ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"),
        };
        let usage = self.fullest("memory", current, limit)?;
        let mut all = self.each("memory").filter_map(|group| groups::oom_kills(&read(&group, events)?));
        // Version 2 counts what happened below in the pod's group, version 1 in each group alone.
        let oom_kills = if self.unified { all.next() } else { all.reduce(|a, b| a + b) };
        Some(Memory { usage, oom_kills })
    }

    /// CPU time of the group that waits for it most.
    pub fn cpu(&self) -> Option<Cpu> {
        let all = self.each("cpu").filter_map(|group| groups::cpu(&read(&group, "cpu.stat")?));
        all.max_by_key(|cpu| cpu.throttled * 1000 / cpu.periods)
    }

    /// Stalled time of the whole pod.
    pub fn pressure(&self) -> Option<Pressure> {
        let pod = self.each("cpu").next()?;
        let of = |file: &str| groups::pressure(&read(&pod, file)?);
        let pressure = Pressure { cpu: of("cpu.pressure"), memory: of("memory.pressure"), io: of("io.pressure") };
        (pressure != Pressure::default()).then_some(pressure)
    }

    /// The figure of the group that has used most of its limit; of the pod's own where none has one.
    fn fullest(&self, controller: &str, current: &str, limit: &str) -> Option<Usage> {
        let all: Vec<Usage> =
            self.each(controller).filter_map(|group| groups::usage(&read(&group, current)?, &read(&group, limit)?)).collect();
        let share = |usage: &Usage| usage.limit.map(|limit| u128::from(usage.used) * 1000 / u128::from(limit.max(1)));
        all.iter().rev().max_by_key(|usage| share(usage)).copied()
    }

    /// The pod's group and those below it, of one controller.
    fn each(&self, controller: &str) -> impl Iterator<Item = PathBuf> + use<> {
        let tree = if self.unified { self.root.clone() } else { self.root.join(controller) };
        let pod = tree.join(&self.pod);
        let containers = folders(&pod);
        std::iter::once(pod).chain(containers)
    }
}

fn find(folder: &Path, uid: &PodUid, depth: usize) -> Option<PathBuf> {
    let inner = folders(folder);
    let named = |path: &&PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|name| uid.names(name));
    if let Some(found) = inner.iter().find(named) {
        return Some(found.clone());
    }
    // Services and containers hold no pods.
    let holds = |path: &&PathBuf| path.extension().is_none_or(|e| e != "service" && e != "scope");
    inner.iter().filter(holds).filter(|_| depth > 1).find_map(|path| find(path, uid, depth - 1))
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect();
    found.sort();
    found
}

fn read(group: &Path, file: &str) -> Option<String> {
    fs::read_to_string(group.join(file)).ok()
}
