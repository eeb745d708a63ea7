//! Agents of the real installation: that they are let in, and that they come back.

use super::cluster::Cluster;

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
