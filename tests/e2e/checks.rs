//! Connectivity checks: nodes, DNS and users' own pairs, broken for real and mended.

use std::time::{Duration, Instant};

use culprit::api::{ConnectivityCheck, ConnectivityStatus, Verdict};
use kube::api::Api;
use serde_json::{Value, json};

use super::agents;
use super::cluster::Cluster;
use super::fault::Fault;

/// Enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

fn check(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "culprit.dev/v1alpha1", "kind": "ConnectivityCheck", "metadata": {"name": name}, "spec": spec})
}

/// Waits until a check's status is as wanted.
pub async fn until(cluster: &Cluster, namespace: &str, name: &str, holds: impl Fn(&ConnectivityStatus) -> bool) -> ConnectivityStatus {
    let api = Api::<ConnectivityCheck>::namespaced(cluster.client.clone(), namespace);
    let begun = Instant::now();
    let mut last = None;
    while begun.elapsed() < PATIENCE {
        last = api.get(name).await.ok().and_then(|c| c.status).or(last);
        if let Some(status) = last.as_ref().filter(|s| holds(s)) {
            return status.clone();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{namespace}/{name}: {last:#?}");
}

/// A pair of users' pods: reachable, kept out, open again. What is expected to be kept out is the reverse.
pub async fn of_pods(cluster: &Cluster) {
    agents::are_connected(cluster);
    let namespace = Fault::place(cluster, "checks").await;
    let asks = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks", "labels": {"app": "asks"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "asks", "image": "localhost/tools:1", "command": ["sleep", "3600"]}]}});
    cluster.apply(&namespace, &asks).await.expect("a pod that asks");
    let from = json!({"pods": {"matchLabels": {"app": "asks"}}});
    let to = json!({"pods": {"matchLabels": {"app": "web"}}});
    let pair = json!({"from": from, "to": to, "port": 8080, "interval": "10s"});
    let denied = json!({"from": from, "to": to, "port": 8080, "interval": "10s", "expect": "Denied"});
    let service = json!({"from": from, "to": {"service": {"name": "web"}}, "port": 80, "interval": "10s"});
    let names = json!({"from": from, "dns": [format!("web.{namespace}.svc.cluster.local"), "kubernetes.default.svc.cluster.local"], "interval": "10s"});
    let nobody = json!({"from": {"pods": {"matchLabels": {"app": "nobody"}}}, "to": to, "port": 8080});
    for (name, spec) in [("pair", &pair), ("denied", &denied), ("service", &service), ("names", &names), ("nobody", &nobody)] {
        cluster.apply(&namespace, &check(name, spec)).await.expect("a check");
    }
    let healthy = |s: &ConnectivityStatus| s.verdict == Verdict::Healthy;
    let failing = |s: &ConnectivityStatus| s.verdict == Verdict::Failing;
    for name in ["pair", "service", "names"] {
        until(cluster, &namespace, name, healthy).await;
    }
    until(cluster, &namespace, "denied", failing).await;
    let stalled =
        |s: &ConnectivityStatus| s.verdict == Verdict::Unknown && s.conditions.iter().any(|c| c.type_ == "Stalled" && c.status == "True");
    until(cluster, &namespace, "nobody", stalled).await;
    let columns = cluster.output(&format!("$KUBECTL -n {namespace} get cc pair"));
    assert!(columns.starts_with("NAME") && columns.contains("pods → pods:8080") && columns.contains("Healthy"), "{columns}");

    // A policy that says so, and packets that are dropped as an enforcer would.
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}});
    cluster.apply(&namespace, &policy).await.expect("a policy");
    let (address, node_side) = cluster.pod_address(&namespace, "app=web").await.expect("an address");
    let drop = |how: &str| {
        cluster.shell(
            &format!("$RIG/in-pod $POD_IP iptables {how} INPUT -p tcp --dport 8080 ! -s $NODE_SIDE -j DROP"),
            &[("POD_IP", &address), ("NODE_SIDE", &node_side)],
        );
    };
    drop("-I");
    let kept_out = |s: &ConnectivityStatus| s.verdict == Verdict::Failing && s.cause.as_deref() == Some("netpol-ingress-deny");
    let broken = until(cluster, &namespace, "pair", kept_out).await;
    assert_eq!((broken.pairs.failing, broken.failing.len(), broken.outages.len()), (1, 1, 1));
    until(cluster, &namespace, "denied", healthy).await;
    drop("-D");
    let mended = until(cluster, &namespace, "pair", healthy).await;
    assert!(mended.outages[0].to.is_some(), "{:?}", mended.outages);
    until(cluster, &namespace, "denied", failing).await;
    cluster.remove_namespace(&namespace).await;
}

/// What the API server refuses, with a sentence.
pub async fn bad_specs_are_refused(cluster: &Cluster) {
    let namespace = "e-bad-checks";
    cluster.namespace(namespace).await;
    let pods = json!({"pods": {}});
    for (spec, sentence) in [
        (json!({"from": pods}), "say what is to be reached"),
        (json!({"from": pods, "to": {"host": "a.example"}}), "port is needed"),
        (json!({"from": {}, "to": {"host": "a.example"}, "port": 1}), "from takes either pods or nodes"),
        (json!({"from": pods, "to": {"host": "a.example", "pods": {}}, "port": 1}), "to takes exactly one"),
        (json!({"from": pods, "to": {"host": "http://a/"}, "port": 1}), "host is a host name"),
        (json!({"from": pods, "to": {"host": "169.254.169.254"}, "port": 1}), "addresses are not taken"),
        (json!({"from": pods, "to": {"pods": {}}, "port": 1, "interval": "1s"}), "interval must be"),
        (json!({"from": pods, "to": {"pods": {}}, "port": 1, "protocol": "UDP"}), "Unsupported value: \"UDP\""),
        (json!({"from": pods, "dns": ["a b"]}), "dns takes names"),
    ] {
        let refused = cluster.apply(namespace, &check("bad", &spec)).await.expect_err("a bad spec is refused").to_string();
        assert!(refused.contains(sentence), "{spec}: {refused}");
    }
    cluster.remove_namespace(namespace).await;
}

/// The check that is there by itself is asked more often, as whoever runs a cluster may have it.
pub fn hurry(cluster: &Cluster) {
    cluster.shell(r#"$KUBECTL -n culprit-system patch cc cluster --type=merge -p '{"spec": {"interval": "10s"}}' >/dev/null"#, &[]);
}

/// The check that is there by itself sees nodes that do not reach each other, and sees them come back.
pub async fn of_nodes(cluster: &Cluster) {
    agents::are_connected(cluster);
    hurry(cluster);
    let healthy = |s: &ConnectivityStatus| s.verdict == Verdict::Healthy && s.pairs.asked == 2 && !s.dns.is_empty();
    until(cluster, "culprit-system", "cluster", healthy).await;
    // Pods of other nodes only; what goes to the API server and to nodes themselves goes on.
    let forward = |how: &str| {
        cluster.shell(&format!("$RIG/run-in node2 iptables {how} FORWARD -p tcp --dport 7380 -j DROP"), &[]);
    };
    forward("-I");
    let cut = |s: &ConnectivityStatus| s.cause.as_deref() == Some("cni-cross-node-broken") && s.pairs.failing == 2;
    until(cluster, "culprit-system", "cluster", cut).await;
    forward("-D");
    let mended = until(cluster, "culprit-system", "cluster", healthy).await;
    assert!(mended.outages.first().is_some_and(|o| o.to.is_some()), "{:?}", mended.outages);
}
