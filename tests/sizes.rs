//! The size of packets that a path carries, measured from inside a pod. Needs root, for namespaces.

#![cfg(target_os = "linux")]

#[path = "support/pod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod pod;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use culprit::probe::{Observation, Outcome, PathSize, Probe, Question};
use culprit::vantage::Vantage;
use culprit::vantage::inside::Pods;
use culprit::vantage::local::Local;
use pod::Pod;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Who answers echoes, beyond a router whose link to it carries 1,400 bytes.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 2, 2));
/// An address of the server's network that nobody has.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 2, 9));
/// Keeps what the router itself says from the pod, and nothing that it passes on.
const MUTE: &[&str] = &["rule", "add", "iif", "lo", "to", "10.98.1.0/24", "blackhole"];

#[test]
#[ignore = "stands for a pod's process, and is started by the others"]
fn the_process_of_the_pod() {
    if std::env::var_os(pod::ROLE).is_some() {
        pod::serve();
    }
}

/// A pod, a router and a server, in a row: the pod's link carries 1,500 bytes.
struct Row {
    pod: Pod,
    router: String,
    server: String,
}

impl Row {
    fn new(name: &str) -> Self {
        let pod = Pod::start(name, &["--ignored", "--exact", "the_process_of_the_pod"]);
        let namespace = pod::namespace(name);
        let (router, server) = (format!("{namespace}-router"), format!("{namespace}-server"));
        for other in [&router, &server] {
            ip(&["netns", "add", other]);
        }
        let row = Row { pod, router, server };
        row.link((&namespace, "pod0", "10.98.1.2/24"), "router0", "10.98.1.1/24", "1500");
        row.link((&row.server, "server0", "10.98.2.2/24"), "router1", "10.98.2.1/24", "1400");
        ip(&["-n", &namespace, "route", "add", "10.98.2.0/24", "via", "10.98.1.1"]);
        ip(&["-n", &row.server, "route", "add", "10.98.1.0/24", "via", "10.98.2.1"]);
        run("ip", &["netns", "exec", &row.router, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
        row
    }

    fn link(&self, (namespace, name, address): (&str, &str, &str), at_router: &str, router_address: &str, mtu: &str) {
        let router = self.router.as_str();
        ip(&["-n", router, "link", "add", at_router, "type", "veth", "peer", "name", name, "netns", namespace]);
        for (namespace, name, address) in [(namespace, name, address), (router, at_router, router_address)] {
            ip(&["-n", namespace, "address", "add", address, "dev", name]);
            ip(&["-n", namespace, "link", "set", name, "mtu", mtu, "up"]);
        }
    }

    async fn size(&self, to: IpAddr) -> Observation {
        let probe = Probe { timeout: Duration::from_secs(4), ..Probe::new(Question::Size { to }) };
        Pods::new(self.pod.roots()).ask(&self.pod.reference(), &probe).await
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        for namespace in [&self.router, &self.server] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("iproute2 is installed");
    assert!(status.success(), "{program} {} fails", arguments.join(" "));
}

fn measured(observation: &Observation) -> PathSize {
    match &observation.outcome {
        Outcome::Measured(size) => *size,
        other => panic!("it was not measured: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_lost_without_a_word_is_found_to_a_few_bytes() {
    let row = Row::new("hole");
    ip(&[&["-n", row.router.as_str()], MUTE].concat());
    let observation = row.size(SERVER).await;
    assert_eq!(observation.vantage, "pod shop/web-1");
    let size = measured(&observation);
    assert_eq!(size.assumed, 1500);
    assert!(size.passes.is_some_and(|passes| (1392..=1400).contains(&passes)), "{size:?}");
    assert_eq!(size.swallows_above(), size.passes);
    assert!(observation.took < Duration::from_millis(2600), "it took {:?}", observation.took);
}

#[tokio::test]
async fn a_smaller_path_that_is_told_of_swallows_nothing() {
    let size = measured(&Row::new("told").size(SERVER).await);
    assert_eq!(size, PathSize { assumed: 1400, passes: Some(1400) });
    assert_eq!(size.swallows_above(), None);
}

#[tokio::test]
async fn a_path_that_carries_everything_does() {
    let row = Row::new("whole");
    let router = IpAddr::V4(Ipv4Addr::new(10, 98, 1, 1));
    assert_eq!(measured(&row.size(router).await), PathSize { assumed: 1500, passes: Some(1500) });
    assert_eq!(measured(&row.size(NOBODY).await).passes, None);
    let (pod, router) = (pod::namespace("whole"), Ipv6Addr::new(0xfd00, 0x98, 0, 0, 0, 0, 0, 1));
    ip(&["-n", &pod, "address", "add", "fd00:98::2/64", "dev", "pod0", "nodad"]);
    ip(&["-n", &row.router, "address", "add", &format!("{router}/64"), "dev", "router0", "nodad"]);
    assert_eq!(measured(&row.size(router.into()).await), PathSize { assumed: 1500, passes: Some(1500) });
}

#[test]
fn without_rights_it_says_why() {
    // Rights are each thread's own.
    let asked = std::thread::spawn(|| {
        let mut own = capabilities(None).expect("this thread's rights");
        own.effective.remove(CapabilitySet::NET_RAW);
        set_capabilities(None, own).expect("less is always allowed");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let vantage = Local::new("a test", Vec::new()).allowing_loopback();
        runtime.block_on(vantage.ask(&Probe::new(Question::Size { to: Ipv4Addr::LOCALHOST.into() })))
    });
    match asked.join().expect("the thread ends well").outcome {
        Outcome::NotSent(why) => {
            assert!(why.starts_with("the size of packets cannot be measured from here: Operation not permitted"), "{why}")
        }
        other => panic!("it was sent: {other:?}"),
    }
}
