//! Agents of the real installation: that they are let in, and that they come back.

use std::time::Duration;

use culprit::api::{ConnectivityStatus, Verdict};

use super::checks;
use super::cluster::Cluster;
use super::outages::Scene;

/// Enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until each replica counts an agent for each node.
const CONNECTED: &str = r#"
nodes=$($KUBECTL get nodes --no-headers | wc -l)
for i in $(seq 180); do
  missing=0
  for pod in $($KUBECTL -n culprit-system get pods -l app.kubernetes.io/component=controller -o name | cut -d/ -f2); do
    $KUBECTL get --raw "/api/v1/namespaces/culprit-system/pods/$pod:8080/proxy/metrics" 2>/dev/null | grep -qx "culprit_agents $nodes" || missing=1
  done
  [ $missing = 0 ] && exit 0
  sleep 1
done
echo "a replica lacks agents" >&2
exit 1
"#;

pub fn are_connected(cluster: &Cluster) {
    cluster.shell(CONNECTED, &[]);
}

/// What holds the certificate authority is spoilt; the next controller makes it anew, and agents trust that once the kubelet shows it to them.
pub async fn authority_spoilt(cluster: &Cluster) {
    are_connected(cluster);
    cluster.shell(
        r#"
$KUBECTL -n culprit-system patch secret culprit-ca --type=json -p '[{"op": "replace", "path": "/data", "value": {"old.crt": "eA=="}}]' >/dev/null
$KUBECTL -n culprit-agents patch configmap culprit-ca --type=json -p '[{"op": "replace", "path": "/data", "value": {"ca.crt": "x"}}]' >/dev/null
$KUBECTL -n culprit-system delete pods -l app.kubernetes.io/component=controller >/dev/null
$KUBECTL -n culprit-system rollout status deployment/culprit --timeout=120s >/dev/null
for i in $(seq 60); do
  kept=$($KUBECTL -n culprit-system get secret culprit-ca -o json | jq -r '.data | to_entries[] | select(.key | endswith(".crt")) | .value' | base64 -d)
  shown=$($KUBECTL -n culprit-agents get configmap culprit-ca -o json | jq -r '.data["ca.crt"]')
  [ "$kept" = "$shown" ] && grep -q "BEGIN CERTIFICATE" <<<"$kept" && exit 0
  sleep 1
done
echo "the authority was not made anew" >&2
exit 1
"#,
        &[],
    );
    are_connected(cluster);
}

/// Agents that are cut off, and killed: checks become Unknown and never Failing, routes keep their verdicts, faults are named, and all comes back.
pub async fn lost(cluster: &Cluster) {
    are_connected(cluster);
    checks::hurry(cluster);
    let healthy = |s: &ConnectivityStatus| s.verdict == Verdict::Healthy;
    let outages = checks::until(cluster, "culprit-system", "cluster", healthy).await.outages;
    let scene = Scene::new(cluster, "agents-lost").await;
    let before = scene.known().await;
    // Silent, as behind a firewall that forgot the connection.
    let stream = |how: &str| {
        for node in ["node1", "node2"] {
            cluster.shell(&format!("$RIG/run-in {node} iptables {how} FORWARD -p tcp --dport 8443 -j DROP"), &[]);
        }
    };
    stream("-I");
    let unknown = |s: &ConnectivityStatus| s.verdict == Verdict::Unknown;
    checks::until(cluster, "culprit-system", "cluster", unknown).await;
    scene.sees_faults(PATIENCE).await;
    stream("-D");
    cluster
        .shell("$KUBECTL -n culprit-agents delete pods -l app.kubernetes.io/component=agent --grace-period=0 --force >/dev/null 2>&1", &[]);
    let status = checks::until(cluster, "culprit-system", "cluster", healthy).await;
    assert_eq!(status.outages, outages, "what was not seen is no outage");
    are_connected(cluster);
    scene.is_as_it_was(&before).await;
}
