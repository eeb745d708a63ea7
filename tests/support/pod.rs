//! A pod without a cluster: a network namespace, a process in it, and process and control group trees that call it a pod's.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use culprit::probe::PodRef;
use culprit::vantage::inside::Roots;
use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{RData, Record, RecordType};
use tempfile::TempDir;

/// The pod's address, in its own namespace alone.
pub const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 99, 0, 7));
/// Answers HTTP on every address.
pub const WEB: u16 = 8080;
/// Listens on loopback alone.
pub const LOOPBACK: u16 = 9090;
/// Listens on every address of IPv6 alone.
pub const V6_ONLY: u16 = 9091;
/// Never accepts, and its queue is short and full.
pub const FULL: u16 = 7070;
/// The only name that the pod's DNS server knows, and its address.
pub const NAME: &str = "inside.test";
/// Set in the process that stands for the pod's.
pub const ROLE: &str = "CULPRIT_POD";
const UID: &str = "b8a6b4c2-1d3e-4f5a-9b7c-0123456789ab";

/// The pod; ends with its value.
pub struct Pod {
    name: String,
    process: Child,
    trees: TempDir,
}

/// The network namespace of a pod that this process starts under a name.
pub fn namespace(name: &str) -> String {
    format!("culprit-{name}-{}", std::process::id())
}

impl Pod {
    /// Starts this very binary as the pod's process, which has to call [`serve`] where [`ROLE`] is set.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "network namespaces need root");
        let name = namespace(name);
        ip(&["netns", "add", &name]);
        let resolver = Path::new("/etc/netns").join(&name);
        fs::create_dir_all(&resolver).expect("a folder for the namespace's files");
        fs::write(resolver.join("resolv.conf"), format!("nameserver {ADDRESS}\n")).expect("a resolv.conf");
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        ip(&["-n", &name, "address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]);
        let mut process = Command::new("ip")
            .args(["netns", "exec", &name])
            .arg(std::env::current_exe().expect("this binary"))
            .args(arguments)
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process in the namespace");
        let trees = TempDir::new().expect("a folder");
        fs::set_permissions(trees.path(), fs::Permissions::from_mode(0o755)).expect("a folder that all may read");
        // The process writes nothing, and shows that it is ready by its sockets.
        let tables = PathBuf::from("/proc").join(process.id().to_string()).join("net/tcp");
        let is_ready = || fs::read_to_string(&tables).is_ok_and(|t| t.contains(&format!(":{FULL:04X} 00000000:0000 0A 00000000:00000002")));
        for _ in 0..500 {
            assert!(process.try_wait().expect("a child's state").is_none(), "the pod's process has ended");
            if is_ready() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(is_ready(), "the pod's process does not listen");
        let pod = Pod { name, process, trees };
        pod.make_trees();
        pod
    }

    /// The pod as a probe names it.
    pub fn reference(&self) -> PodRef {
        PodRef { namespace: "shop".into(), name: "web-1".into(), uid: UID.into() }
    }

    /// Where its processes and control groups are.
    pub fn roots(&self) -> Roots {
        Roots { proc: self.proc(), groups: self.trees.path().join("cgroup") }
    }

    /// The same on a node that hides its first process: control groups are seen as the process that started the pod sees them.
    pub fn roots_by_runtime(&self) -> Roots {
        let runtime = self.proc().join(std::process::id().to_string());
        fs::create_dir_all(runtime.join("root/sys/fs")).expect("a folder");
        symlink(self.trees.path().join("cgroup"), runtime.join("root/sys/fs/cgroup")).expect("a link");
        symlink(Path::new("/proc").join(std::process::id().to_string()).join("ns"), runtime.join("ns")).expect("a link");
        Roots { proc: self.proc(), groups: self.proc().join("1/root/sys/fs/cgroup") }
    }

    /// What the process tree says of the process' control group.
    pub fn set_group(&self, lines: &str) {
        fs::write(self.proc().join(self.process.id().to_string()).join("cgroup"), lines).expect("a control group's file");
    }

    /// Puts a pipe in the place of the namespace: who opens it waits until [`Self::let_in`], as if the node were slow just then.
    pub fn hold_namespace(&self) {
        let ns = self.proc().join(self.process.id().to_string()).join("ns");
        fs::remove_file(&ns).expect("a link");
        fs::create_dir(&ns).expect("a folder");
        let made = Command::new("mkfifo").arg(ns.join("net")).status().expect("mkfifo is installed");
        assert!(made.success());
    }

    /// Lets the one in who waits at the pipe; returns once he is there.
    pub fn let_in(&self) {
        let pipe = self.proc().join(self.process.id().to_string()).join("ns/net");
        drop(fs::OpenOptions::new().write(true).open(pipe).expect("somebody reads"));
    }

    /// Ends the pod's process and takes its namespace away.
    pub fn vanish(&mut self) {
        self.kill();
        ip(&["netns", "delete", &self.name]);
    }

    /// Ends the pod's process.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn proc(&self) -> PathBuf {
        self.trees.path().join("proc")
    }

    fn make_trees(&self) {
        let folder = self.proc().join(self.process.id().to_string());
        fs::create_dir_all(&folder).expect("a folder");
        fs::create_dir(self.proc().join("1")).expect("a folder");
        symlink("/proc/1/ns", self.proc().join("1/ns")).expect("a link");
        symlink("/proc/sys", self.proc().join("sys")).expect("a link");
        for part in ["stat", "status", "limits", "fd", "ns", "net", "root"] {
            symlink(Path::new("/proc").join(self.process.id().to_string()).join(part), folder.join(part)).expect("a link");
        }
        let slice = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
        self.set_group(&format!("0::/{slice}/cri-containerd-1.scope\n"));
        let pod = self.trees.path().join("cgroup").join(slice);
        let container = pod.join("cri-containerd-1.scope");
        fs::create_dir_all(&container).expect("a folder");
        fs::write(self.trees.path().join("cgroup/cgroup.controllers"), "cpu memory pids\n").expect("a file");
        for (file, text) in [
            ("pids.current", "99\n"),
            ("pids.max", "100\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.events", "oom 2\noom_kill 1\n"),
            ("cpu.stat", "usage_usec 9\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"),
            ("cpu.pressure", "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n"),
        ] {
            fs::write(pod.join(file), text).expect("a file");
        }
        fs::write(container.join("cpu.stat"), "nr_periods 100\nnr_throttled 90\nthrottled_usec 5000000\n").expect("a file");
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.kill();
        // A test may have taken it away.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(Path::new("/etc/netns").join(&self.name));
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {} fails", arguments.join(" "));
}

/// The pod's process: listens as the constants say, until its standard input closes.
pub fn serve() {
    let web = listen(SocketAddr::from(([0, 0, 0, 0], WEB)), 1024, false);
    let _loopback = listen(SocketAddr::from(([127, 0, 0, 1], LOOPBACK)), 16, false);
    let _v6_only = listen(SocketAddr::from(([0; 16], V6_ONLY)), 16, true);
    let names = UdpSocket::bind((ADDRESS, 53)).expect("the port of DNS is free in a new namespace");
    let full = listen(SocketAddr::from(([0, 0, 0, 0], FULL)), 1, false);
    // The kernel takes one more than the queue's limit.
    let to = SocketAddr::new(ADDRESS, FULL);
    let _waiting: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(to).expect("room in the queue")).collect();
    std::thread::spawn(move || answer_names(&names));
    for _ in 0..2 {
        let web = web.try_clone().expect("another handle of the socket");
        std::thread::spawn(move || answer_requests(&web));
    }
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    drop(full);
}

fn listen(at: SocketAddr, backlog: i32, v6_only: bool) -> std::net::TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None).expect("a socket");
    if at.is_ipv6() {
        socket.set_only_v6(v6_only).expect("an option");
    }
    socket.bind(&at.into()).expect("a free port");
    socket.listen(backlog).expect("a queue");
    socket.into()
}

fn answer_requests(web: &std::net::TcpListener) {
    let mut request = [0; 4096];
    for stream in web.incoming() {
        let Ok(mut stream) = stream else { continue };
        // A connection that is only opened and closed asks for nothing.
        if std::io::Read::read(&mut stream, &mut request).is_ok_and(|n| n > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        }
    }
}

fn answer_names(socket: &UdpSocket) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let Ok(mut message) = Message::from_vec(&buffer[..length]) else { continue };
        message.metadata.message_type = MessageType::Response;
        let known =
            message.queries.first().filter(|q| q.query_type() == RecordType::A && q.name().to_ascii().trim_end_matches('.') == NAME);
        if let (Some(query), IpAddr::V4(ip)) = (known.cloned(), ADDRESS) {
            message.answers.push(Record::from_rdata(query.name().clone(), 60, RData::A(ip.into())));
        }
        let _ = socket.send_to(&message.to_vec().expect("an answer"), from);
    }
}
