//! Which pod or container a process belongs to, by the path of its control group.
//!
//! The kubelet names a pod's group by the pod's uid: `kubepods-burstable-pod<uid with _>.slice` with the systemd driver,
//! `kubepods/burstable/pod<uid>` with cgroupfs, below whatever else a node puts in front.

use procfs_core::{FromBufRead, ProcResult, ProcessCGroups};

/// Digits of a container's id.
const CONTAINER_ID: usize = 64;

/// The uid of a pod, or the id of a container, as its control group's name has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodUid(String);

impl PodUid {
    /// Takes what a kubelet may have for a uid, or an engine for a container's id: letters, digits and hyphens.
    pub fn parse(uid: &str) -> Option<Self> {
        let plain = (8..=64).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then(|| PodUid(uid.to_owned()))
    }

    /// Whether a directory of a control group tree is this pod's.
    ///
    /// Docker and Podman name a container's group by its id: `docker-<id>.scope` with the systemd driver, `docker/<id>` with cgroupfs. The group
    /// of Podman's monitor, `libpod-conmon-<id>.scope`, stands beside the container's and is not it.
    pub fn names(&self, directory: &str) -> bool {
        let scope = directory.strip_suffix(".scope").unwrap_or(directory);
        let container = scope.strip_prefix("docker-").or_else(|| scope.strip_prefix("libpod-")).unwrap_or(scope);
        if self.0.len() == CONTAINER_ID && container == self.0 {
            return true;
        }
        let Some(slice) = directory.strip_suffix(".slice") else {
            return directory.strip_prefix("pod") == Some(self.0.as_str());
        };
        // systemd takes a hyphen for a step down in its tree.
        let uid = slice.rsplit_once('-').map_or(slice, |(_, last)| last);
        uid.strip_prefix("pod").is_some_and(|uid| uid == self.0.replace('-', "_"))
    }

    /// Whether a process is in one of this pod's groups, by its `/proc/PID/cgroup`. CRI-O's monitors of containers may be there, too, and stand in
    /// the node's namespaces (`conmon_cgroup = "pod"`): they are not the pod's.
    pub fn owns(&self, cgroup: &str) -> ProcResult<bool> {
        // Nearly every process of a machine is somebody else's, and to parse is dear.
        if !cgroup.contains(&self.0) && !cgroup.contains(&self.0.replace('-', "_")) {
            return Ok(false);
        }
        let groups = ProcessCGroups::from_buf_read(cgroup.as_bytes())?;
        let is_monitor = |path: &str| path.split('/').any(|directory| directory.starts_with("crio-conmon-"));
        Ok(groups.into_iter().any(|group| group.pathname.split('/').any(|directory| self.names(directory)) && !is_monitor(&group.pathname)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab";

    fn owns(cgroup: &str) -> bool {
        PodUid::parse(UID).expect("a uid").owns(cgroup).expect("lines of a control group")
    }

    #[test]
    fn the_engines_monitor_is_not_the_pods() {
        let slice = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podb8a6b4c2_1d3e_4f5a_9b7c_0123456789ab.slice";
        assert!(owns(&format!("0::/{slice}/crio-5d2a.scope\n")));
        assert!(!owns(&format!("0::/{slice}/crio-conmon-5d2a.scope\n")));
    }

    #[test]
    fn every_engine_and_driver_names_the_pod() {
        for cgroup in [
            // containerd, systemd, v2
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podb8a6b4c2_1d3e_4f5a_9b7c_0123456789ab.slice/cri-containerd-5d2a.scope\n",
            // the same from the control group namespace of another pod, whose own part of the path is left out
            "0::/../../kubepods-burstable-podb8a6b4c2_1d3e_4f5a_9b7c_0123456789ab.slice/cri-containerd-5d2a.scope\n",
            // CRI-O, guaranteed
            "0::/kubepods.slice/kubepods-podb8a6b4c2_1d3e_4f5a_9b7c_0123456789ab.slice/crio-0a1b.scope/container\n",
            // containerd, cgroupfs, v2
            "0::/kubepods/besteffort/podb8a6b4c2-1d3e-4f5a-9b7c-0123456789ab/9f8e\n",
            // Docker, cgroupfs, v1
            "12:pids:/kubepods/burstable/podb8a6b4c2-1d3e-4f5a-9b7c-0123456789ab/c0ffee\n11:memory:/\n1:name=systemd:/kubepods\n",
            // Docker, systemd, v1
            "4:cpu,cpuacct:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podb8a6b4c2_1d3e_4f5a_9b7c_0123456789ab.slice/docker-c0ffee.scope\n",
            // a node that is a container itself
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podb8a6b4c2_1d3e_4f5a_9b7c_0123456789ab.slice/cri-containerd-1.scope\n",
        ] {
            assert!(owns(cgroup), "{cgroup}");
        }
    }

    #[test]
    fn what_only_looks_like_the_pod_is_not_it() {
        for cgroup in [
            "0::/system.slice/containerd.service\n",
            "0::/kubepods/burstable/podb8a6b4c2-1d3e-4f5a-9b7c-0123456789abc/9f8e\n",
            "0::/kubepods/burstable/pod/b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab\n",
            "0::/kubepods/burstable/b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab\n",
            "",
        ] {
            assert!(!owns(cgroup), "{cgroup}");
        }
    }

    #[test]
    fn a_static_pod_goes_by_the_hash_of_its_file() {
        let uid = PodUid::parse("3f1b9c0a8d7e6f5a4b3c2d1e0f9a8b7c").expect("a uid");
        let cgroup = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f1b9c0a8d7e6f5a4b3c2d1e0f9a8b7c.slice/x.scope\n";
        assert!(uid.owns(cgroup).expect("lines of a control group"));
    }

    #[test]
    fn a_container_goes_by_its_id() {
        let id = "18bd304568ff4a5303678ee26166f964c2417245925e0144e1641ed2856a7e5a";
        let owns = |cgroup: &str| PodUid::parse(id).expect("an id").owns(cgroup).expect("lines of a control group");
        for cgroup in [
            // systemd, v2, and the same for a user's own engine
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{id}.scope\n"),
            // cgroupfs, v1
            format!("8:pids:/docker/{id}\n4:memory:/docker/{id}\n0::/\n"),
            // Podman
            format!("0::/machine.slice/libpod-{id}.scope/container\n"),
            format!("0::/libpod_parent/libpod-{id}\n"),
            // an init of its own, which makes groups below the container's
            format!("0::/docker/{id}/init.scope\n"),
            // from the control group namespace of a neighbour
            format!("0::/../{id}\n"),
        ] {
            assert!(owns(&cgroup), "{cgroup}");
        }
        for cgroup in [
            "0::/docker/18bd304568ff\n".to_owned(),
            format!("0::/docker/{id}0\n"),
            format!("0::/system.slice/docker-{}.scope\n", &id[1..]),
            // Podman's monitor
            format!("0::/machine.slice/libpod-conmon-{id}.scope\n"),
            format!("0::/libpod_parent/libpod-conmon-{id}\n"),
        ] {
            assert!(!owns(&cgroup), "{cgroup}");
        }
    }

    #[test]
    fn a_uid_that_could_match_anything_is_refused() {
        for uid in ["", "a", "../../etc/passwd", "b8a6b4c2_1d3e", "b8a6b4c2 1d3e"] {
            assert_eq!(PodUid::parse(uid), None, "{uid}");
        }
    }
}
