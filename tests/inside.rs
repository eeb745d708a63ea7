//! Probes from inside a pod's network namespace, and looks into it. Needs root, for namespaces.

#![cfg(target_os = "linux")]

#[path = "support/many.rs"]
#[expect(dead_code, reason = "the bench uses more of it")]
mod many;
#[path = "support/pod.rs"]
mod pod;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use culprit::evidence::inside::{Cpu, Inside, Listens, Memory, Pressure, TurnedAway, Usage};
use culprit::probe::{Method, Observation, Outcome, PodRef, Probe, Question, Request, Scheme, Signature};
use culprit::vantage::inside::Pods;
use many::Many;
use pod::{ADDRESS, FULL, LOOPBACK, NAME, Pod, V6_ONLY, WEB};
use rustix::thread::{CapabilitySet, CapabilitySets};
use tokio::sync::Mutex;

/// Threads and descriptors are the whole process', so one test runs at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

fn start(name: &str) -> Pod {
    Pod::start(name, &["--ignored", "--exact", "the_process_of_the_pod"])
}

#[test]
#[ignore = "stands for a pod's process, and is started by the others"]
fn the_process_of_the_pod() {
    if std::env::var_os(pod::ROLE).is_some() {
        pod::serve();
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(ADDRESS, port)
}

fn request(port: u16) -> Probe {
    let request = Request {
        to: at(port),
        scheme: Scheme::Http,
        server_name: None,
        method: Method::Get,
        host: "shop.test".into(),
        path: "/".into(),
        headers: Vec::new(),
    };
    Probe::new(Question::Request(request.into()))
}

fn inside(observation: Observation) -> Inside {
    match observation.outcome {
        Outcome::Seen(inside) => *inside,
        other => panic!("the look failed: {other:?}"),
    }
}

fn why_not_sent(observation: &Observation) -> &str {
    match &observation.outcome {
        Outcome::NotSent(why) => why,
        other => panic!("it was sent: {other:?}"),
    }
}

/// Threads and open descriptors of this process.
fn held() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).expect("/proc is mounted").count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[tokio::test]
async fn the_same_probes_run_inside() {
    let _alone = ALONE.lock().await;
    let pod = start("probes");
    let (pods, web) = (Pods::new(pod.roots()), pod.reference());
    let connected = pods.ask(&web, &Probe::connect(at(WEB))).await;
    assert_eq!((connected.outcome, connected.vantage.as_str()), (Outcome::Connected, "pod shop/web-1"));
    assert_eq!(pods.ask(&web, &request(WEB)).await.response().map(|r| r.status), Some(200));
    assert_eq!(pods.ask(&web, &Probe::connect(at(LOOPBACK))).await.signature(), Some(Signature::Refused));
    // The pod's namespace has no way out, as this process' has.
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 80));
    assert_eq!(pods.ask(&web, &Probe::connect(elsewhere)).await.signature(), Some(Signature::NetUnreach));
}

#[tokio::test]
async fn names_are_resolved_as_the_pod_does() {
    let _alone = ALONE.lock().await;
    let pod = start("names");
    let (pods, web) = (Pods::new(pod.roots()), pod.reference());
    let probe = Probe::new(Question::Resolve { name: NAME.into(), server: None });
    assert_eq!(pods.ask(&web, &probe).await.outcome, Outcome::Resolved(vec![ADDRESS]));
    let seen = inside(pods.ask(&web, &Probe::new(Question::Look(web.clone()))).await);
    assert_eq!(seen.resolver.map(|r| r.servers), Some(vec![ADDRESS]));
}

#[tokio::test]
async fn a_look_shows_who_listens_and_what_runs_out() {
    let _alone = ALONE.lock().await;
    let pod = start("look");
    let web = pod.reference();
    let observation = Pods::new(pod.roots()).ask(&web, &Probe::new(Question::Look(web.clone()))).await;
    assert_eq!(observation.vantage, "pod shop/web-1");
    let seen = inside(observation);
    assert_eq!(seen.ports().into_iter().collect::<Vec<_>>(), [FULL, WEB, LOOPBACK, V6_ONLY]);
    assert!(
        matches!(seen.listens_at(ADDRESS, WEB), Listens::Everywhere(l) if l.process.as_ref().is_some_and(|p| p.name.starts_with("inside-")))
    );
    assert!(matches!(seen.listens_at(ADDRESS, LOOPBACK), Listens::LoopbackOnly(_)));
    assert!(matches!(seen.listens_at(ADDRESS, V6_ONLY), Listens::OtherFamilyOnly(l) if l.v6_only == Some(true)));
    assert_eq!(seen.listens_at(ADDRESS, 1), Listens::Nobody);
    let full = seen.at(FULL).next().expect("a listener");
    assert_eq!((full.queue, full.backlog, full.is_full()), (2, Some(1), Some(true)));
    assert_eq!(seen.at(WEB).next().and_then(|l| l.is_full()), Some(false));
    assert_eq!(seen.turned_away, Some(TurnedAway { overflows: 0, drops: 0 }));
    assert_eq!(seen.pids, Some(Usage { used: 99, limit: Some(100) }));
    assert!(seen.pids.is_some_and(|p| p.is_exhausted()));
    assert_eq!(seen.cpu, Some(Cpu { periods: 100, throttled: 90, throttled_for: Duration::from_secs(5) }));
    assert_eq!(seen.memory, Some(Memory { usage: Usage { used: 4096, limit: None }, oom_kills: Some(1) }));
    assert_eq!(seen.pressure, Some(Pressure { cpu: Some(1250), memory: None, io: None }));
    assert!(seen.descriptors.is_some_and(|d| d.usage.used > 5 && d.usage.limit.is_some_and(|l| l > d.usage.used)));
    assert!(seen.processes.is_some_and(|p| (p.count, p.stopped) == (1, 0)));
}

#[tokio::test]
async fn where_the_first_process_is_hidden_the_runtime_shows_the_groups_and_the_nodes_connections() {
    let _alone = ALONE.lock().await;
    let pod = start("runtime");
    let web = pod.reference();
    let seen = inside(Pods::new(pod.roots_by_runtime()).ask(&web, &Probe::new(Question::Look(web.clone()))).await);
    assert_eq!(seen.pids, Some(Usage { used: 99, limit: Some(100) }));
    assert_eq!(seen.conntrack.is_some(), std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists());
}

#[tokio::test]
async fn connections_that_a_full_queue_drops_are_counted() {
    let _alone = ALONE.lock().await;
    let pod = start("full");
    let (pods, web) = (Pods::new(pod.roots()), pod.reference());
    let begun = Instant::now();
    let dropped = pods.ask(&web, &Probe { timeout: Duration::from_millis(400), ..Probe::connect(at(FULL)) }).await;
    assert_eq!(dropped.signature(), Some(Signature::ConnTimeout));
    assert!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
    let seen = inside(pods.ask(&web, &Probe::new(Question::Look(web.clone()))).await);
    assert!(seen.turned_away.is_some_and(|t| t.overflows > 0 && t.drops > 0), "{:?}", seen.turned_away);
}

#[tokio::test]
async fn what_is_no_pod_of_this_node_is_not_asked() {
    let _alone = ALONE.lock().await;
    let mut pod = start("gone");
    let (pods, web) = (Pods::new(pod.roots()), pod.reference());
    let ask = async |pod: &PodRef| why_not_sent(&pods.ask(pod, &Probe::connect(at(WEB))).await).to_owned();
    let other = PodRef { uid: "00000000-0000-0000-0000-000000000000".into(), ..web.clone() };
    assert_eq!(ask(&other).await, "none of its processes runs on this node");
    assert_eq!(ask(&PodRef { uid: "../1".into(), ..web.clone() }).await, "\"../1\" is no uid of a pod");
    assert_eq!(why_not_sent(&pods.ask(&other, &Probe::new(Question::Look(web.clone()))).await), "a look into another pod");
    // The namespace is entered; then the process' number is another pod's, and then nobody's.
    assert_eq!(pods.ask(&web, &Probe::connect(at(WEB))).await.outcome, Outcome::Connected);
    pod.set_group("0::/kubepods/burstable/pod11111111-1111-1111-1111-111111111111/1\n");
    assert_eq!(ask(&web).await, "none of its processes runs on this node");
    pod.set_group(&format!("0::/kubepods/burstable/pod{}/1\n", web.uid));
    assert_eq!(pods.ask(&web, &Probe::connect(at(WEB))).await.outcome, Outcome::Connected);
    pod.kill();
    assert_eq!(ask(&web).await, "none of its processes runs on this node");
    assert_eq!(why_not_sent(&pods.ask(&web, &Probe::new(Question::Look(web.clone()))).await), "none of its processes runs on this node");
}

#[tokio::test]
async fn a_namespace_that_nobody_asks_for_is_left() {
    let _alone = ALONE.lock().await;
    let pod = start("idle");
    let pods = Pods::new(pod.roots()).leaving_after(Duration::from_millis(100));
    let web = pod.reference();
    for _ in 0..3 {
        assert_eq!(pods.ask(&web, &Probe::connect(at(WEB))).await.outcome, Outcome::Connected);
        for _ in 0..100 {
            if names_of_threads().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(names_of_threads(), Vec::<String>::new());
    }
}

/// The threads that are inside.
fn names_of_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted").flatten();
    let names = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok());
    names.map(|n| n.trim().to_owned()).filter(|n| n == "inside").collect()
}

#[tokio::test]
async fn more_pods_than_threads_are_asked_all_the_same() {
    let _alone = ALONE.lock().await;
    let pod = start("many");
    let uids: Vec<String> = (0..80).map(|n| format!("{n:08}-1111-1111-1111-111111111111")).collect();
    // One process that every pod's group names: a namespace is entered for each.
    pod.set_group(&uids.iter().map(|uid| format!("0::/kubepods/burstable/pod{uid}/1\n")).collect::<String>());
    let pods = Pods::new(pod.roots());
    let probe = Probe::connect(at(WEB));
    for uid in &uids {
        let observation = pods.ask(&PodRef { uid: uid.clone(), ..pod.reference() }, &probe).await;
        assert_eq!(observation.outcome, Outcome::Connected, "{uid}");
        assert!(names_of_threads().len() <= 64);
    }
    let all = uids.iter().map(|uid| PodRef { uid: uid.clone(), ..pod.reference() }).collect::<Vec<_>>();
    let answers = futures::future::join_all(all.iter().map(|pod| pods.ask(pod, &probe))).await;
    assert!(answers.iter().all(|o| o.outcome == Outcome::Connected), "{answers:?}");
    assert!(names_of_threads().len() <= 64);
}

#[tokio::test]
async fn ten_thousand_probes_leave_neither_threads_nor_descriptors() {
    let _alone = ALONE.lock().await;
    let pod = start("leaks");
    let (pods, web) = (Pods::new(pod.roots()), pod.reference());
    let looks = [Probe::new(Question::Look(web.clone())), Probe::connect(at(WEB)), request(WEB), Probe::connect(at(1))];
    let round = async |many: usize| {
        use futures::StreamExt;
        let probes = (0..many).map(|n| &looks[if n % 100 == 0 { 0 } else { 1 + n % 3 }]);
        futures::stream::iter(probes.map(|probe| pods.ask(&web, probe)))
            .buffer_unordered(32)
            .for_each(async |observation| {
                assert!(!matches!(observation.outcome, Outcome::NotSent(_)), "{observation}");
            })
            .await;
    };
    round(500).await;
    let before = held();
    round(10_000).await;
    let after = held();
    assert!(after.0 <= before.0 + 4 && after.1 <= before.1 + 4, "threads and descriptors: {before:?}, then {after:?}");
}

/// What is said of a pod to which something happens after it was found and before its namespace is entered.
async fn told_when_held(name: &str, happens: impl FnOnce(&mut Pod)) -> String {
    let mut pod = start(name);
    let (pods, web) = (Arc::new(Pods::new(pod.roots())), pod.reference());
    pod.hold_namespace();
    let asking = tokio::spawn({
        let pods = pods.clone();
        async move { pods.ask(&web, &Probe::connect(at(WEB))).await }
    });
    // Nobody is at the pipe before the pod was found.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asking.is_finished());
    happens(&mut pod);
    tokio::task::block_in_place(|| pod.let_in());
    let seen = tokio::time::timeout(Duration::from_secs(7), asking).await.expect("it does not hang").expect("it does not panic");
    why_not_sent(&seen).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_dies_between_look_up_and_setns_is_not_asked() {
    let _alone = ALONE.lock().await;
    let gone = "its process ended meanwhile";
    assert_eq!(told_when_held("dies", Pod::kill).await, gone);
    // Its number is another pod's by then.
    let other = |pod: &mut Pod| pod.set_group("0::/kubepods/burstable/pod11111111-1111-1111-1111-111111111111/1\n");
    assert_eq!(told_when_held("reused", other).await, gone);
    // What was opened is no namespace at all.
    let why = told_when_held("no-namespace", |_| {}).await;
    assert!(why.starts_with("its network namespace cannot be entered"), "{why}");
}

#[tokio::test]
async fn a_namespace_that_vanishes_keeps_nobody_waiting() {
    let _alone = ALONE.lock().await;
    let mut pod = start("vanishes");
    let pods = Pods::new(pod.roots()).leaving_after(Duration::from_millis(200));
    let web = pod.reference();
    let silent = Probe { timeout: Duration::from_secs(1), ..Probe::connect(at(FULL)) };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(pods.ask(&web, &silent), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        pod.vanish();
    });
    // What was under way ends with its own limit or the pod's end; nothing is made of it that was not seen.
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(!matches!(answer.outcome, Outcome::Connected), "{answer}");
    for probe in [Probe::connect(at(WEB)), Probe::new(Question::Look(web.clone()))] {
        assert_eq!(why_not_sent(&pods.ask(&web, &probe).await), "none of its processes runs on this node");
    }
    for _ in 0..100 {
        if names_of_threads().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(names_of_threads(), Vec::<String>::new());
}

/// Memory of this process that is its own: without the files that are mapped, of which a test's are large.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pods_asked_at_once_are_all_answered_within_bounds() {
    const PODS: usize = 200;
    let _alone = ALONE.lock().await;
    let many = Many::start(PODS);
    let pods = Pods::new(many.roots());
    let all = many.references();
    let before = own_memory();
    let ask = async {
        let probes: Vec<Probe> = (0..PODS).map(|n| Probe::connect(many.closed_port(n))).collect();
        let connects = futures::future::join_all(all.iter().zip(&probes).map(|(pod, probe)| pods.ask(pod, probe))).await;
        let looks: Vec<Probe> = all.iter().map(|pod| Probe::new(Question::Look(pod.clone()))).collect();
        let looks = futures::future::join_all(all.iter().zip(&looks).map(|(pod, probe)| pods.ask(pod, probe))).await;
        (connects, looks)
    };
    let (over, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let measured = std::thread::spawn({
        let over = over.clone();
        move || {
            let (mut threads, mut memory) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                (threads, memory) = (names_of_threads().len().max(threads), own_memory().max(memory));
                std::thread::sleep(Duration::from_millis(5));
            }
            (threads, memory)
        }
    });
    let (connects, looks) = ask.await;
    let took = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    let (threads, memory) = measured.join().expect("the thread that measures ends");
    // Each pod was asked in its own namespace: nobody else has its address.
    assert!(connects.iter().all(|o| o.signature() == Some(Signature::Refused)), "{connects:?}");
    for (number, look) in looks.into_iter().enumerate() {
        assert_eq!(inside(look).pids.map(|p| p.used), Some(number as u64));
    }
    assert!(threads <= 64, "{threads} threads inside at once");
    assert!(took < Duration::from_secs(12), "it took {took:?}");
    assert!(memory.saturating_sub(before) < 30 << 20, "from {before} to {memory} bytes");
}

#[test]
fn without_rights_it_says_why() {
    let _alone = ALONE.blocking_lock();
    let pod = start("rights");
    let (pods, web) = (Pods::new(pod.roots()), pod.reference());
    // Capabilities are a thread's own, and those that it starts inherit them.
    let ask = move || {
        let none =
            CapabilitySets { effective: CapabilitySet::empty(), permitted: CapabilitySet::empty(), inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, none).expect("capabilities can always be given up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(pods.ask(&web, &Probe::connect(at(WEB))))
    };
    let observation = std::thread::spawn(ask).join().expect("the thread ends");
    assert_eq!(why_not_sent(&observation), "its network namespace cannot be opened: Permission denied (os error 13)");
}
