//! What is asked of a real Docker engine (`DOCKER_HOST`). Needs root, for namespaces, and the image `localhost/tools:1`.

#![cfg(target_os = "linux")]

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use culprit::evidence::firewall::{EngineChains, Family, Fate, Packet};
use culprit::evidence::inside::{Inside, Listens};
use culprit::fact::Fact;
use culprit::probe::{LogLine, Observation, Outcome, PodRef, Probe, Question, Signature};
use culprit::snapshot::objects::docker::Engine;
use culprit::vantage::Vantage;
use culprit::vantage::container::{Containers, HELPER_LABEL, Helpers, Home, Logs};
use culprit::vantage::inside::Roots;
use futures::future::BoxFuture;

const IMAGE: &str = "localhost/tools:1";
/// The application's port, and one on which its namespace listens on loopback alone.
const WEB: u16 = 8080;
const LOOPBACK: u16 = 9090;

/// A network with a gateway's container and an application's; both end with it.
struct Stack {
    name: String,
}

impl Stack {
    fn start(name: &str) -> Self {
        let stack = Stack { name: format!("culprit-{name}-{}", std::process::id()) };
        docker(&["network", "create", &stack.name]);
        let web = format!("busybox httpd -p {WEB} -h /etc; busybox httpd -f -p 127.0.0.1:{LOOPBACK} -h /etc");
        stack.run("web", &["--network", &stack.name, "--network-alias", "shop"], &web);
        stack.run("gateway", &["--network", &stack.name, "--add-host", "partner.test:192.0.2.9"], "busybox httpd -f -p 80 -h /etc");
        stack
    }

    fn run(&self, role: &str, options: &[&str], command: &str) {
        let name = format!("{}-{role}", self.name);
        let mut arguments = vec!["run", "--detach", "--name", &name];
        arguments.extend(options);
        arguments.extend([IMAGE, "sh", "-c", command]);
        docker(&arguments);
    }

    fn container(&self, role: &str) -> PodRef {
        let name = format!("{}-{role}", self.name);
        let uid = docker(&["inspect", "--format", "{{.Id}}", &name]);
        PodRef { namespace: String::new(), name, uid }
    }

    fn address(&self, role: &str, port: u16) -> SocketAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip: IpAddr = docker(&["inspect", "--format", format, &format!("{}-{role}", self.name)]).parse().expect("an address");
        SocketAddr::new(ip, port)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let all = ["web", "gateway"].map(|role| format!("{}-{role}", self.name));
        let _ = Command::new("docker").args(["rm", "--force", &all[0], &all[1]]).output();
        let _ = Command::new("docker").args(["network", "rm", &self.name]).output();
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker client");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

struct OneLine;

impl Logs for OneLine {
    fn read<'a>(&'a self, container: &'a PodRef) -> BoxFuture<'a, Result<Vec<LogLine>, String>> {
        Box::pin(async move { Ok(vec![LogLine { at: None, text: container.name.clone() }]) })
    }
}

fn engine_url() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into())
}

fn containers() -> Containers {
    Containers::new(Roots::of_machine(), Home::of(&engine_url(), &Engine::default()), Box::new(OneLine))
}

fn resolve(name: &str) -> Probe {
    Probe::new(Question::Resolve { name: name.into(), server: None })
}

fn inside(observation: Observation) -> Inside {
    match observation.outcome {
        Outcome::Seen(inside) => *inside,
        other => panic!("the look failed: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn probes_are_sent_from_inside_the_gateways_container() {
    let (stack, containers) = (Stack::start("inside"), containers());
    let (gateway, web) = (stack.container("gateway"), stack.container("web"));
    let vantage = containers.of(gateway.clone());
    let seen = vantage.ask(&Probe::connect(stack.address("web", WEB))).await;
    assert_eq!((&seen.outcome, seen.vantage), (&Outcome::Connected, format!("{gateway} (inside)")));
    let seen = vantage.ask(&Probe::connect(stack.address("web", LOOPBACK))).await;
    assert_eq!(seen.signature(), Some(Signature::Refused));
    // Its own loopback, and another container's.
    let loopback = |port| Probe::connect(([127, 0, 0, 1], port).into());
    assert_eq!(vantage.ask(&loopback(80)).await.outcome, Outcome::Connected);
    assert_eq!(vantage.ask(&loopback(LOOPBACK)).await.signature(), Some(Signature::Refused));
    let there = loopback(LOOPBACK).from_container(&web);
    let seen = vantage.ask(&there).await;
    assert_eq!((seen.outcome, seen.probe, seen.vantage), (Outcome::Connected, there, format!("{web} (inside)")));
    let metadata = vantage.ask(&Probe::connect(([169, 254, 169, 254], 80).into())).await;
    assert!(matches!(metadata.outcome, Outcome::NotSent(_)));
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn names_are_resolved_as_the_container_does() {
    let (stack, containers) = (Stack::start("names"), containers());
    let vantage = containers.of(stack.container("gateway"));
    let web = stack.address("web", WEB).ip();
    assert_eq!(vantage.ask(&resolve("shop")).await.outcome, Outcome::Resolved(vec![web]));
    let partner = vantage.ask(&resolve("partner.test.")).await.outcome;
    assert_eq!(partner, Outcome::Resolved(vec![IpAddr::from([192, 0, 2, 9])]));
    let own = docker(&["inspect", "--format", "{{.Config.Hostname}}", &stack.container("gateway").name]);
    assert_eq!(vantage.ask(&resolve(&own)).await.outcome, Outcome::Resolved(vec![stack.address("gateway", 80).ip()]));
    assert!(matches!(vantage.ask(&resolve("nobody")).await.outcome, Outcome::NotResolved(_)));
    // On the default bridge there is no such DNS, and a container that leaves the network forgets its names.
    docker(&["network", "connect", "bridge", &stack.container("gateway").name]);
    docker(&["network", "disconnect", &stack.name, &stack.container("gateway").name]);
    assert!(!matches!(vantage.ask(&resolve("shop")).await.outcome, Outcome::Resolved(_)));
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn looks_show_containers_and_the_host() {
    let (stack, containers) = (Stack::start("looks"), containers());
    let (web, vantage) = (stack.container("web"), containers.of(stack.container("gateway")));
    let seen = inside(vantage.ask(&Probe::new(Question::Look(web.clone()))).await);
    let address = stack.address("web", WEB).ip();
    assert!(matches!(seen.listens_at(address, WEB), Listens::Everywhere(l) if l.process.is_some()), "{:?}", seen.listeners);
    assert!(matches!(seen.listens_at(address, LOOPBACK), Listens::LoopbackOnly(_)));
    assert!(seen.processes.is_some() && seen.pids.is_some() && seen.memory.is_some(), "{seen:?}");
    let host = vantage.ask(&Probe::new(Question::Look(PodRef::docker_host()))).await;
    assert_eq!(host.vantage, "the engine's host");
    let host = inside(host);
    assert!(host.at(WEB).next().is_none() && host.processes.is_none(), "{host:?}");
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn the_hosts_network_is_the_engines() {
    let (stack, containers) = (Stack::start("host"), containers());
    let vantage = containers.of(stack.container("gateway"));
    let gateway = docker(&["network", "inspect", "--format", "{{range .IPAM.Config}}{{.Gateway}}{{end}}", &stack.name]);
    let bridge = SocketAddr::new(gateway.parse().expect("an address"), 1);
    for containers in [&containers, &Containers::new(Roots::of_machine(), Home::Elsewhere, Box::new(OneLine))] {
        // Only where the address is its own is the port refused.
        let seen = containers.of(stack.container("gateway")).ask(&Probe::connect(bridge).from_container(&PodRef::docker_host())).await;
        assert_eq!((seen.signature(), seen.vantage.as_str()), (Some(Signature::Refused), "the engine's host"));
    }
    let web = Probe::connect(stack.address("web", WEB)).from_container(&PodRef::docker_host());
    assert_eq!(vantage.ask(&web).await.outcome, Outcome::Connected);
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn what_is_not_there_is_not_asked() {
    let (stack, containers) = (Stack::start("gone"), containers());
    let (gateway, vantage) = (stack.container("gateway"), containers.of(stack.container("gateway")));
    let log = vantage.ask(&Probe::new(Question::Log(gateway.clone()))).await.outcome;
    assert_eq!(log, Outcome::Logged(vec![LogLine { at: None, text: gateway.name.clone() }]));
    docker(&["kill", &gateway.name]);
    let seen = vantage.ask(&Probe::connect(stack.address("web", WEB))).await;
    assert_eq!(seen.outcome, Outcome::NotSent("none of its processes runs on this node".into()));
    let host = vantage.ask(&Probe::connect(stack.address("web", WEB)).from_container(&PodRef::docker_host())).await;
    assert_eq!(host.outcome, Outcome::Connected);
    // Paused processes have their network all the same.
    docker(&["pause", &stack.container("web").name]);
    let web = Probe::connect(stack.address("web", WEB)).from_container(&stack.container("web"));
    assert_eq!(vantage.ask(&web).await.outcome, Outcome::Connected);
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn the_packet_filter_is_the_engines_hosts() {
    let (stack, containers) = (Stack::start("filter"), containers());
    let firewall = match containers.firewall(&stack.container("gateway")).await {
        Fact::Known(firewall) => firewall,
        other => panic!("it cannot be read: {other:?}"),
    };
    assert_eq!(firewall.engine_chains(Family::V4), Some(EngineChains { translate: true, forward: true }));
    let bridge = docker(&["network", "inspect", "--format", "{{.Id}}", &stack.name]);
    let bridge = Some(format!("br-{}", &bridge[..12]));
    let packet = Packet::first(stack.address("gateway", 80).ip(), stack.address("web", WEB).ip(), WEB);
    let within = packet.clone().by(bridge.clone(), bridge.clone());
    assert_eq!(firewall.fate("filter", "FORWARD", &within), Fate { passes: true, dropped: Vec::new() });
    // Between two bridges the engine drops.
    let between = packet.by(bridge, Some("docker0".into()));
    assert!(firewall.fate("filter", "FORWARD", &between).certain().is_some(), "{:?}", firewall.fate("filter", "FORWARD", &between));
}

/// The image of helpers: this program on the tools' image.
fn helper_image() -> String {
    let name = format!("localhost/culprit-helper-{}:test", std::process::id());
    let made = docker(&["create", IMAGE]);
    docker(&["cp", env!("CARGO_BIN_EXE_culprit"), &format!("{made}:/culprit")]);
    docker(&["commit", "--change", "ENTRYPOINT [\"/culprit\"]", "--change", "USER 65532:65532", &made, &name]);
    docker(&["rm", &made]);
    name
}

fn helpers_left() -> Vec<String> {
    docker(&["ps", "--all", "--quiet", "--filter", &format!("label={HELPER_LABEL}")]).lines().map(str::to_owned).collect()
}

/// Containers whose processes are not seen from here, as those of an engine elsewhere.
fn elsewhere(image: &str) -> Containers {
    let roots = Roots { proc: "/var/empty".into(), groups: "/var/empty".into() };
    let docker = bollard::Docker::connect_with_unix(&engine_url(), 60, bollard::API_DEFAULT_VERSION).expect("a client");
    Containers::new(roots, Home::Elsewhere, Box::new(OneLine)).helped_by(Helpers::new(docker, image.to_owned()))
}

async fn until_none_is_left() {
    for _ in 0..100 {
        if helpers_left().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("helpers are left: {:?}", helpers_left());
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn helpers_ask_where_namespaces_cannot_be_entered_and_are_removed() {
    let (stack, image) = (Stack::start("helper"), helper_image());
    let containers = elsewhere(&image);
    let (gateway, web) = (stack.container("gateway"), stack.container("web"));
    let vantage = containers.of(gateway.clone());
    let probes = [
        Probe::connect(stack.address("web", WEB)),
        Probe::connect(stack.address("web", LOOPBACK)),
        Probe::connect(([127, 0, 0, 1], 80).into()),
        Probe::connect(([127, 0, 0, 1], LOOPBACK).into()).from_container(&web),
        resolve("shop"),
        resolve("partner.test"),
    ];
    let seen = futures::future::join_all(probes.iter().map(|probe| vantage.ask(probe))).await;
    assert_eq!(seen[0].vantage, format!("{gateway} (helper)"));
    assert_eq!(seen[3].vantage, format!("{web} (helper)"));
    assert!(seen.iter().zip(&probes).all(|(seen, probe)| seen.probe == *probe));
    assert_eq!(seen[1].signature(), Some(Signature::Refused));
    let outcomes = [0, 2, 3, 4, 5].map(|n| seen[n].outcome.clone());
    let resolved = |ip| Outcome::Resolved(vec![ip]);
    let expected = [Outcome::Connected, Outcome::Connected, Outcome::Connected];
    assert_eq!(outcomes[..3], expected);
    assert_eq!(outcomes[3..], [resolved(stack.address("web", WEB).ip()), resolved(IpAddr::from([192, 0, 2, 9]))]);
    let look = inside(vantage.ask(&Probe::new(Question::Look(web.clone()))).await);
    assert!(matches!(look.listens_at(stack.address("web", WEB).ip(), LOOPBACK), Listens::LoopbackOnly(_)), "{look:?}");
    let host = vantage.ask(&Probe::new(Question::Look(PodRef::docker_host()))).await;
    assert_eq!(host.vantage, "the engine's host (helper)");
    assert!(inside(host).at(WEB).next().is_none());
    assert_eq!(helpers_left().len(), 3);
    containers.close().await;
    until_none_is_left().await;
    // A helper whose owner ends without a word ends as well.
    let (probe, of) = (probes[0].clone(), image.clone());
    let killed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let seen = runtime.block_on(async { elsewhere(&of).of(gateway).ask(&probe).await });
        runtime.shutdown_background();
        seen.outcome
    });
    assert_eq!(killed.join().expect("the thread ends"), Outcome::Connected);
    until_none_is_left().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
#[ignore = "asks a Docker engine"]
async fn without_its_image_a_helper_is_not_pulled() {
    let stack = Stack::start("image");
    let containers = elsewhere("localhost/nobody-has-this:1");
    let seen = containers.of(stack.container("gateway")).ask(&Probe::connect(stack.address("web", WEB))).await;
    let Outcome::NotSent(why) = &seen.outcome else { panic!("it was sent: {seen:?}") };
    assert!(why.contains("docker pull localhost/nobody-has-this:1"), "{why}");
}
