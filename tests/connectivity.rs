//! Connectivity checks over a small cluster: what a round asks, and what its answers come to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use culprit::api::{ConnectivityCheckSpec, ConnectivityStatus, Verdict};
use culprit::connectivity::{self, FromPods, Judged, Place, Plan, Rejected, Where};
use culprit::probe::{DnsFailure, Observation, Outcome, Probe, Question, Signature};
use culprit::snapshot::objects::Kind;
use culprit::snapshot::{Coverage, Snapshot, files};
use futures::future::BoxFuture;

/// Three nodes with an agent each, two pods of shop on two of them, a Service before them, and two replicas of DNS.
fn cluster(further: &str) -> Snapshot {
    let mut text = String::from(
        r#"
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], ports: [{port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{port: 53, protocol: UDP}]
endpoints: [{addresses: [10.244.1.53], conditions: {ready: true}}, {addresses: [10.244.2.53], conditions: {ready: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.1.1, clusterIPs: [10.96.1.1], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"#,
    );
    for n in 1..=3 {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: node{n}, labels: {{zone: z{n}}}}}\nstatus: {{addresses: [{{type: InternalIP, address: 192.168.0.{n}}}]}}\n"
        ));
        text.push_str(&pod("culprit-agents", &format!("agent-{n}"), n, &format!("10.244.{n}.9"), "app.kubernetes.io/component: agent"));
    }
    text.push_str(&pod("shop", "web-1", 1, "10.244.1.7", "app: web"));
    text.push_str(&pod("shop", "db-1", 2, "10.244.2.7", "app: db"));
    text.push_str(further);
    let mut manifests = files::Manifests::default();
    files::parse(&text, "cluster", "default", &mut manifests).expect("the cluster parses");
    let mut snapshot = manifests.into_snapshot();
    Kind::of_kubernetes().for_each(|kind| snapshot.cover(kind, Coverage::Complete));
    snapshot
}

fn pod(namespace: &str, name: &str, node: u8, ip: &str, label: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, uid: {namespace}-{name}, labels: {{{label}}}}}
spec: {{nodeName: node{node}, containers: [{{name: c, image: i}}]}}
status: {{phase: Running, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: \"True\"}}], containerStatuses: [{{name: c, ready: true, restartCount: 0, image: i, imageID: \"\", state: {{running: {{}}}}}}]}}\n"
    )
}

const POLICY: &str = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
";

const EGRESS: &str = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: kept-in, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}
";

const CLUSTER_WIDE: &str = "---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: walls}
spec: {tier: Baseline, priority: 0, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
";

/// A network: what an address says to whom, where it does not connect.
#[derive(Default)]
struct Network {
    /// By source and destination address.
    broken: BTreeMap<(&'static str, &'static str), Outcome>,
    names: BTreeMap<&'static str, Outcome>,
    asked: Mutex<Vec<String>>,
}

impl FromPods for Network {
    fn ask<'a>(&'a self, from: &'a Place, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        self.asked.lock().expect("nobody panicked").push(format!("{}: {probe}", from.name));
        let outcome = match &probe.question {
            Question::Connect { to } => {
                let to = to.ip().to_string();
                let of = |(a, b): &&(&str, &str)| (*a == from.name || *a == "*") && (*b == to || *b == "*");
                self.broken.keys().find(of).map_or(Outcome::Connected, |k| self.broken[k].clone())
            }
            Question::Resolve { name, server } => {
                let at = server.map(|s| s.ip().to_string()).unwrap_or_default();
                let found = self.names.get(at.as_str()).or_else(|| self.names.get(name.as_str()));
                found.cloned().unwrap_or_else(|| Outcome::Resolved(vec![[10, 96, 0, 1].into()]))
            }
            other => panic!("{other:?} is asked"),
        };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let observation = Observation { probe: probe.clone(), vantage: from.name.clone(), at, took: Duration::from_millis(3), outcome };
        Box::pin(std::future::ready(observation))
    }
}

fn lost() -> Outcome {
    Outcome::Broken { signature: Signature::ConnTimeout, detail: String::new(), first_bytes: Vec::new() }
}

fn refused() -> Outcome {
    Outcome::Broken { signature: Signature::Refused, detail: String::new(), first_bytes: Vec::new() }
}

fn spec(yaml: &str) -> ConnectivityCheckSpec {
    serde_yaml::from_str(yaml).expect("a spec")
}

fn planned(snapshot: &Snapshot, namespace: &str, yaml: &str) -> Result<Plan, Rejected> {
    let place = Where { check: namespace, controller: "culprit-system", agents: "culprit-agents" };
    connectivity::plan(snapshot, &place, &spec(yaml), 1)
}

fn judged(snapshot: &Snapshot, namespace: &str, yaml: &str, network: &Network) -> Judged {
    judged_later(snapshot, snapshot, namespace, yaml, network)
}

/// Planned and asked over one snapshot, and judged over another.
fn judged_later(snapshot: &Snapshot, later: &Snapshot, namespace: &str, yaml: &str, network: &Network) -> Judged {
    let plan = planned(snapshot, namespace, yaml).expect("it can be asked");
    let expect = spec(yaml).expect;
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let answers = clock.block_on(connectivity::run(snapshot, &plan, expect, network));
    connectivity::judge(later, &plan, expect, &answers)
}

const NODES: &str = "{from: {nodes: {}}, to: {nodes: {}}}";
const WEB_TO_DB: &str = "{from: {pods: {matchLabels: {app: web}}}, to: {pods: {matchLabels: {app: db}}}, port: 5432}";
const WEB_NOT_TO_DB: &str = "{from: {pods: {matchLabels: {app: web}}}, to: {pods: {matchLabels: {app: db}}}, port: 5432, expect: Denied}";

#[test]
fn all_nodes_ask_all_others_at_their_agents() {
    let plan = planned(&cluster(""), "culprit-system", NODES).unwrap();
    assert_eq!(plan.pairs.len(), 6);
    assert!(plan.pairs.iter().all(|p| p.from != p.to));
    let network = Network::default();
    let judged = judged(&cluster(""), "culprit-system", NODES, &network);
    assert_eq!((judged.verdict, judged.pairs.asked, judged.pairs.passing), (Verdict::Healthy, 6, 6));
    assert!(network.asked.lock().unwrap().iter().all(|q| q.ends_with(&format!(":{}", connectivity::ECHO))));
}

#[test]
fn a_node_that_is_cut_off_is_named() {
    let broken = [("node node2", "*"), ("*", "10.244.2.9")].map(|k| (k, lost()));
    let judged = judged(&cluster(""), "culprit-system", NODES, &Network { broken: broken.into(), ..Network::default() });
    assert_eq!((judged.verdict, judged.cause), (Verdict::Degraded, Some("cni-agent-node-broken")));
    assert_eq!((judged.pairs.failing, judged.pairs.passing), (4, 2));
    assert!(judged.message.contains("node node2 is cut off"), "{}", judged.message);
}

#[test]
fn a_network_that_carries_nothing_between_nodes_is_named() {
    let judged = judged(&cluster(""), "culprit-system", NODES, &Network { broken: [(("*", "*"), lost())].into(), ..Network::default() });
    assert_eq!((judged.verdict, judged.cause), (Verdict::Failing, Some("cni-cross-node-broken")));
}

#[test]
fn one_broken_link_is_no_broken_node() {
    let broken = [(("node node1", "10.244.2.9"), lost()), (("node node2", "10.244.1.9"), lost())];
    let judged = judged(&cluster(""), "culprit-system", NODES, &Network { broken: broken.into(), ..Network::default() });
    assert_eq!((judged.verdict, judged.cause, judged.pairs.failing), (Verdict::Degraded, None, 2));
}

#[test]
fn what_no_agent_asked_is_unknown_and_never_healthy() {
    let broken = [(("node node3", "*"), Outcome::NotSent("node node3 has no agent".into()))];
    let judged = judged(&cluster(""), "culprit-system", NODES, &Network { broken: broken.into(), ..Network::default() });
    assert_eq!((judged.verdict, judged.pairs.unknown), (Verdict::Unknown, 2));
    assert!(judged.message.contains("node node3 has no agent"), "{}", judged.message);
}

#[test]
fn a_pod_that_goes_while_it_is_asked_is_no_outage() {
    let network = || Network { broken: [(("*", "10.244.2.9"), lost())].into(), ..Network::default() };
    let mut later = cluster("");
    let agent = later.pods_in("culprit-agents").find(|p| p.meta.name.as_str() == "agent-2").expect("an agent").reference();
    later.remove(&agent);
    let gone = judged_later(&cluster(""), &later, "culprit-system", NODES, &network());
    assert_eq!((gone.verdict, gone.cause, gone.pairs.failing), (Verdict::Unknown, None, 0));
    assert!(gone.message.contains("agent-2 went while it was asked"), "{}", gone.message);
    // It is there and nobody reaches it.
    let there = judged(&cluster(""), "culprit-system", NODES, &network());
    assert_eq!((there.verdict, there.pairs.failing), (Verdict::Degraded, 2));
}

#[test]
fn a_policy_that_keeps_a_pair_apart_is_named_only_where_the_pair_fails() {
    let broken = || [(("pod web-1", "10.244.2.7"), lost())].into();
    let with = judged(&cluster(POLICY), "shop", WEB_TO_DB, &Network { broken: broken(), ..Network::default() });
    assert_eq!((with.verdict, with.cause), (Verdict::Failing, Some("netpol-ingress-deny")));
    assert!(with.message.contains("NetworkPolicy closed"), "{}", with.message);
    let without = judged(&cluster(""), "shop", WEB_TO_DB, &Network { broken: broken(), ..Network::default() });
    assert_eq!((without.verdict, without.cause), (Verdict::Failing, None));
    // A network that does not enforce policies lets it through, and that is what counts.
    let unenforced = judged(&cluster(POLICY), "shop", WEB_TO_DB, &Network::default());
    assert_eq!((unenforced.verdict, unenforced.cause), (Verdict::Healthy, None));
}

#[test]
fn a_policy_that_keeps_the_asking_pod_in_is_named_as_one() {
    let broken = || [(("pod web-1", "10.244.2.7"), lost())].into();
    let kept_in = judged(&cluster(EGRESS), "shop", WEB_TO_DB, &Network { broken: broken(), ..Network::default() });
    assert_eq!((kept_in.verdict, kept_in.cause), (Verdict::Failing, Some("netpol-egress-deny-gateway")));
    assert!(kept_in.message.contains("NetworkPolicy kept-in does not let it out"), "{}", kept_in.message);
}

#[test]
fn a_policy_of_the_whole_cluster_is_named_with_what_is_not_known_of_it() {
    let broken = || [(("pod web-1", "10.244.2.7"), lost())].into();
    let walls = judged(&cluster(CLUSTER_WIDE), "shop", WEB_TO_DB, &Network { broken: broken(), ..Network::default() });
    assert_eq!(walls.cause, Some("netpol-ingress-deny"));
    assert!(
        walls.message.contains("ClusterNetworkPolicy/walls does not let it in, where the pod network enforces it"),
        "{}",
        walls.message
    );
}

#[test]
fn what_is_to_be_kept_out_passes_only_where_packets_are_lost() {
    let network = |outcome| Network { broken: [(("pod web-1", "10.244.2.7"), outcome)].into(), ..Network::default() };
    assert_eq!(judged(&cluster(POLICY), "shop", WEB_NOT_TO_DB, &network(lost())).verdict, Verdict::Healthy);
    assert_eq!(judged(&cluster(POLICY), "shop", WEB_NOT_TO_DB, &Network::default()).verdict, Verdict::Failing);
    // Nobody may listen, or a policy rejects.
    assert_eq!(judged(&cluster(POLICY), "shop", WEB_NOT_TO_DB, &network(refused())).verdict, Verdict::Unknown);
}

#[test]
fn what_is_not_as_expected_is_asked_once_more_before_it_counts() {
    let network = Network { broken: [(("pod web-1", "10.244.2.7"), lost())].into(), ..Network::default() };
    judged(&cluster(""), "shop", WEB_TO_DB, &network);
    assert_eq!(network.asked.lock().unwrap().len(), 2);
}

#[test]
fn every_replica_of_dns_is_asked_from_every_source() {
    let yaml = "{from: {nodes: {}}, dns: [kubernetes.default.svc.cluster.local]}";
    let healthy = judged(&cluster(""), "culprit-system", yaml, &Network::default());
    assert_eq!(healthy.verdict, Verdict::Healthy);
    assert_eq!(healthy.dns.iter().map(|r| (r.asked, r.failed, r.p99_millis)).collect::<Vec<_>>(), [(3, 0, 3), (3, 0, 3)]);
    let silent = Network { names: [("10.244.2.53", Outcome::NotResolved(DnsFailure::Timeout))].into(), ..Network::default() };
    let one_down = judged(&cluster(""), "culprit-system", yaml, &silent);
    assert_eq!((one_down.verdict, one_down.cause), (Verdict::Degraded, Some("coredns-down")));
    assert_eq!(one_down.dns.iter().map(|r| r.failed).collect::<Vec<_>>(), [0, 3]);
    let unknown = Network {
        names: [("kubernetes.default.svc.cluster.local", Outcome::NotResolved(DnsFailure::NxDomain))].into(),
        ..Network::default()
    };
    assert_eq!(judged(&cluster(""), "culprit-system", yaml, &unknown).cause, Some("dns-nxdomain-typo"));
}

#[test]
fn a_pod_that_goes_while_it_asks_for_names_is_no_outage_of_dns() {
    let yaml = "{from: {nodes: {}}, dns: [kubernetes.default.svc.cluster.local]}";
    let silent = Network { names: [("10.244.2.53", Outcome::NotResolved(DnsFailure::Unreachable))].into(), ..Network::default() };
    let mut later = cluster("");
    for n in 1..=3 {
        let name = format!("agent-{n}");
        let agent = later.pods_in("culprit-agents").find(|p| p.meta.name.as_str() == name).expect("an agent").reference();
        later.remove(&agent);
    }
    let gone = judged_later(&cluster(""), &later, "culprit-system", yaml, &silent);
    assert_eq!((gone.verdict, gone.cause), (Verdict::Unknown, None));
}

#[test]
fn a_host_is_resolved_from_the_pod_and_filtered_before_it_is_asked() {
    let yaml = "{from: {pods: {matchLabels: {app: web}}}, to: {host: db.example.com}, port: 5432}";
    let leads_to =
        |ip: &str| Network { names: [("db.example.com.", Outcome::Resolved(vec![ip.parse().unwrap()]))].into(), ..Network::default() };
    assert_eq!(judged(&cluster(""), "shop", yaml, &leads_to("203.0.113.9")).verdict, Verdict::Healthy);
    for ip in ["127.0.0.1", "169.254.169.254", "10.96.0.1", "192.168.0.2", "::ffff:127.0.0.1"] {
        let network = leads_to(ip);
        assert_eq!(judged(&cluster(""), "shop", yaml, &network).verdict, Verdict::Unknown, "{ip}");
        assert!(network.asked.lock().unwrap().iter().all(|q| q.contains("resolve")), "{ip} was asked");
    }
}

#[test]
fn what_cannot_be_asked_as_it_is_written_is_rejected() {
    let snapshot = cluster("");
    let why = |namespace: &str, yaml: &str| planned(&snapshot, namespace, yaml).expect_err("it is rejected").to_string();
    assert_eq!(
        why("shop", "{from: {pods: {matchLabels: {app: nobody}}}, to: {host: a.b}, port: 1}"),
        "spec.from.pods matches no running pod of namespace shop"
    );
    assert_eq!(
        why("shop", "{from: {pods: {}}, to: {pods: {matchLabels: {app: nobody}}}, port: 1}"),
        "spec.to.pods matches no running pod of namespace shop"
    );
    assert!(why("shop", NODES).starts_with("spec.from.nodes is only for checks in namespace culprit-system"));
    assert!(why("shop", "{from: {pods: {}}, to: {nodes: {}}}").starts_with("spec.to.nodes is only for checks"));
    assert_eq!(why("shop", "{from: {pods: {}}, to: {service: {name: gone}}, port: 80}"), "Service shop/gone does not exist");
    assert_eq!(why("shop", "{from: {pods: {}}, to: {service: {name: web}}, port: 81}"), "Service shop/web has no TCP port 81");
    assert!(
        why("shop", "{from: {pods: {}}, to: {service: {name: kubernetes, namespace: default}}, port: 443}").contains("is the API server")
    );
    assert_eq!(
        why("culprit-system", "{from: {nodes: {matchLabels: {zone: z9}}}, to: {nodes: {}}}"),
        "spec.from.nodes matches no node with an agent"
    );
}

#[test]
fn a_service_is_asked_at_its_own_address() {
    let plan = planned(&cluster(""), "shop", "{from: {pods: {matchLabels: {app: db}}}, to: {service: {name: web}}, port: 80}").unwrap();
    let address: SocketAddr = "10.96.1.1:80".parse().unwrap();
    assert_eq!(plan.spots.iter().map(|s| s.address.clone()).collect::<Vec<_>>(), [connectivity::Address::Socket(address)]);
}

#[test]
fn an_outage_begins_and_ends_with_what_was_seen() {
    let spec = spec(NODES);
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let round = |before: &ConnectivityStatus, verdict, second| {
        connectivity::succeed(before, &spec, Judged { verdict, ..Judged::default() }, at(second), Some(1))
    };
    let healthy = round(&ConnectivityStatus::default(), Verdict::Healthy, 0);
    assert_eq!((healthy.outages.len(), healthy.since.as_deref()), (0, Some("1970-01-01T00:00:00Z")));
    let failing = round(&healthy, Verdict::Degraded, 10);
    let unseen = round(&failing, Verdict::Unknown, 20);
    assert_eq!(unseen.outages[0].to, None, "what is not seen ends nothing");
    let over = round(&unseen, Verdict::Healthy, 30);
    assert_eq!((over.outages[0].from.as_str(), over.outages[0].to.as_deref()), ("1970-01-01T00:00:10Z", Some("1970-01-01T00:00:30Z")));
    assert_eq!(over.outages.len(), 1);
    assert!(connectivity::says_the_same(&over, &round(&over, Verdict::Healthy, 60)));
}

#[test]
fn a_pair_that_failed_is_asked_until_it_works_whether_or_not_it_is_its_turn() {
    let mut plan = planned(&cluster(""), "culprit-system", NODES).unwrap();
    let all = plan.pairs.clone();
    plan.pairs.truncate(1);
    let name = |pair: &culprit::connectivity::Pair| culprit::api::FailingPair {
        from: plan.places[pair.from].name.clone(),
        to: plan.spots[pair.to].name.clone(),
        ..Default::default()
    };
    let failing: Vec<_> = all.iter().take(2).map(name).collect();
    plan.ask_again(&failing);
    assert_eq!(plan.pairs, all[..2]);
}
