//! Many pods of one node: a process in a network namespace of its own for each.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use culprit::probe::PodRef;
use culprit::vantage::inside::Roots;
use tempfile::TempDir;

/// The pods; they end with their value.
pub struct Many {
    processes: Vec<Child>,
    trees: TempDir,
    /// Control groups of the machine that the processes were put into.
    groups: Vec<PathBuf>,
}

impl Many {
    /// Starts so many, all at once.
    pub fn start(count: usize) -> Self {
        assert!(rustix::process::geteuid().is_root(), "network namespaces need root");
        let trees = TempDir::new().expect("a folder");
        let mut processes: Vec<Child> = (0..count).map(process).collect();
        for process in &mut processes {
            let said = process.stdout.take().map(|out| BufReader::new(out).lines().next());
            assert!(matches!(said, Some(Some(Ok(line))) if line == "ready"), "a pod's process does not begin");
        }
        let many = Many { processes, trees, groups: Vec::new() };
        many.make_trees();
        many
    }

    /// The pods as probes name them.
    pub fn references(&self) -> Vec<PodRef> {
        (0..self.processes.len()).map(|n| PodRef { namespace: "shop".into(), name: format!("web-{n}"), uid: uid(n) }).collect()
    }

    /// An address that only one of them has, and a port where it refuses.
    pub fn closed_port(&self, number: usize) -> SocketAddr {
        SocketAddr::new(address(number), 1)
    }

    /// Process and control group trees that call the processes these pods'.
    pub fn roots(&self) -> Roots {
        Roots { proc: self.trees.path().join("proc"), groups: self.trees.path().join("cgroup") }
    }

    /// Puts the processes into control groups of this machine that are called as the pods' are.
    pub fn enter_groups(&mut self) {
        let tree = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].into_iter().find(|t| Path::new(t).join("cgroup.procs").exists());
        let tree = PathBuf::from(tree.expect("a tree of control groups")).join(format!("kubepods-{}", std::process::id()));
        self.groups.push(tree.clone());
        for (number, process) in self.processes.iter().enumerate() {
            let group = tree.join(format!("pod{}", uid(number)));
            fs::create_dir_all(&group).expect("a control group");
            fs::write(group.join("cgroup.procs"), process.id().to_string()).expect("a process of the group");
            self.groups.push(group);
        }
    }

    fn make_trees(&self) {
        let groups = self.trees.path().join("cgroup");
        fs::create_dir_all(&groups).expect("a folder");
        fs::write(groups.join("cgroup.controllers"), "pids\n").expect("a file");
        for (number, process) in self.processes.iter().enumerate() {
            let own = Path::new("/proc").join(process.id().to_string());
            let folder = self.trees.path().join(own.strip_prefix("/").expect("an absolute path"));
            fs::create_dir_all(&folder).expect("a folder");
            for part in ["stat", "status", "limits", "fd", "ns", "net", "root"] {
                symlink(own.join(part), folder.join(part)).expect("a link");
            }
            let group = format!("kubepods/burstable/pod{}", uid(number));
            fs::write(folder.join("cgroup"), format!("0::/{group}/1\n")).expect("a file");
            fs::create_dir_all(groups.join(&group)).expect("a folder");
            fs::write(groups.join(&group).join("pids.current"), format!("{number}\n")).expect("a file");
            fs::write(groups.join(&group).join("pids.max"), "1000\n").expect("a file");
        }
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        for group in self.groups.iter().rev() {
            let _ = fs::remove_dir(group);
        }
    }
}

fn uid(number: usize) -> String {
    format!("{number:08}-2222-2222-2222-222222222222")
}

fn address(number: usize) -> IpAddr {
    let [.., high, low] = u32::try_from(number).expect("few pods").to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 98, high, low))
}

/// A process that has its address, says so, and waits.
fn process(number: usize) -> Child {
    let script = format!("ip link set lo up && ip address add {}/32 dev lo && echo ready && exec sleep 900", address(number));
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().expect("unshare and iproute2 are installed")
}
