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
    // Services and containers hold no pods; but a user's own services hold that user's engine.
    let users = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.starts_with("user@"));
    let holds = |path: &&PathBuf| path.extension().is_none_or(|e| e != "service" && e != "scope") || users(path);
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

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab";

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    }

    fn groups(root: &Path) -> Option<Groups> {
        Groups::of(root, &PodUid::parse(UID).expect("a uid"))
    }

    #[test]
    fn version_1_has_a_tree_for_each_controller() {
        let root = tempfile::tempdir().expect("a folder");
        let pod = format!("kubepods/burstable/pod{UID}");
        write(root.path(), &format!("pids/{pod}/pids.current"), "9\n");
        write(root.path(), &format!("pids/{pod}/pids.max"), "max\n");
        write(root.path(), &format!("pids/{pod}/c0ffee/pids.current"), "8\n");
        write(root.path(), &format!("pids/{pod}/c0ffee/pids.max"), "10\n");
        write(root.path(), &format!("memory/{pod}/memory.usage_in_bytes"), "4096\n");
        write(root.path(), &format!("memory/{pod}/memory.limit_in_bytes"), "9223372036854771712\n");
        write(root.path(), &format!("memory/{pod}/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
        write(root.path(), &format!("memory/{pod}/c0ffee/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        write(root.path(), &format!("cpu/{pod}/c0ffee/cpu.stat"), "nr_periods 10\nnr_throttled 5\nthrottled_time 1000\n");
        let groups = groups(root.path()).expect("the pod's group");
        assert_eq!(groups.pids(), Some(Usage { used: 8, limit: Some(10) }));
        assert_eq!(groups.memory(), Some(Memory { usage: Usage { used: 4096, limit: None }, oom_kills: Some(2) }));
        assert_eq!(groups.cpu().map(|cpu| cpu.throttled), Some(5));
        assert_eq!(groups.pressure(), None);
    }

    #[test]
    fn a_node_that_is_a_container_has_its_pods_deeper() {
        let root = tempfile::tempdir().expect("a folder");
        let slice = format!("kubelet-kubepods-besteffort-pod{}.slice", UID.replace('-', "_"));
        let pod = format!("docker/c0ffee/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/{slice}");
        write(root.path(), "cgroup.controllers", "pids\n");
        write(root.path(), &format!("{pod}/pids.current"), "3\n");
        write(root.path(), &format!("{pod}/pids.max"), "max\n");
        assert_eq!(groups(root.path()).and_then(|g| g.pids()), Some(Usage { used: 3, limit: None }));
    }

    #[test]
    fn the_containers_of_an_engine_are_found_by_their_ids() {
        let id = "18bd304568ff4a5303678ee26166f964c2417245925e0144e1641ed2856a7e5a";
        let pids = |root: &Path| Groups::of(root, &PodUid::parse(id).expect("an id")).and_then(|groups| groups.pids());
        let user = "user.slice/user-1000.slice/user@1000.service/user.slice";
        for group in [format!("system.slice/docker-{id}.scope"), format!("docker/{id}"), format!("{user}/docker-{id}.scope")] {
            let root = tempfile::tempdir().expect("a folder");
            write(root.path(), "cgroup.controllers", "pids\n");
            write(root.path(), &format!("{group}/pids.current"), "3\n");
            write(root.path(), &format!("{group}/pids.max"), "9\n");
            assert_eq!(pids(root.path()), Some(Usage { used: 3, limit: Some(9) }), "{group}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_known() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(groups(root.path()).is_none());
        write(root.path(), "cgroup.controllers", "pids\n");
        write(root.path(), &format!("system.slice/x.service/pod{UID}/pids.current"), "3\n");
        assert!(groups(root.path()).is_none());
        write(root.path(), &format!("kubepods/pod{UID}/memory.current"), "3\n");
        assert_eq!(groups(root.path()).map(|g| (g.pids(), g.memory(), g.cpu())), Some((None, None, None)));
    }
}
