//! What the API server can do to a controller, with the real processes: nothing that is written may be lost or wrong, nobody may
//! crash, and all of it comes back by itself.

use std::time::{Duration, Instant};

use culprit::api::{Confidence, ConnectivityStatus, Diagnosis, DiagnosisStatus, Verdict};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::checks;
use super::cluster::Cluster;
use super::fault::Fault;

/// Enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// What stands in a namespace through an outage: one route that works and one that does not.
pub struct Scene<'a> {
    cluster: &'a Cluster,
    namespace: String,
    restarts: i32,
}

/// What must be the same after an outage.
#[derive(Debug, PartialEq)]
pub struct Known {
    verdict: Verdict,
    cause: Option<String>,
    transitions: usize,
}

impl<'a> Scene<'a> {
    /// Makes both routes and waits for their verdicts.
    pub async fn new(cluster: &'a Cluster, name: &str) -> Self {
        let place = Fault::place(cluster, name).await;
        let scene = Scene { cluster, namespace: place, restarts: restarts(cluster).await };
        scene.route("lost", "nobody").await;
        scene.until("ingress-web", |s| s.verdict == Verdict::Healthy).await;
        scene.until("ingress-lost", |s| s.cause.as_deref() == Some("route-backend-service-missing")).await;
        scene
    }

    async fn route(&self, name: &str, service: &str) {
        let route = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"ingressClassName": "traefik", "rules": [{"host": format!("{name}.{}.test", self.namespace),
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]}
        });
        self.cluster.apply(&self.namespace, &route).await.expect("a route");
    }

    async fn until(&self, name: &str, holds: impl Fn(&DiagnosisStatus) -> bool) -> DiagnosisStatus {
        // After an outage before this one the gateway comes back kind by kind, and serves no new route until then.
        self.within(name, Duration::from_secs(150), holds).await
    }

    async fn within(&self, name: &str, limit: Duration, holds: impl Fn(&DiagnosisStatus) -> bool) -> DiagnosisStatus {
        self.cluster
            .status(&self.namespace, name, limit, holds)
            .await
            .unwrap_or_else(|last| panic!("{}/{name}: {}", self.namespace, last.map_or_else(|| "no status".into(), |s| describe(&s))))
    }

    /// What is known now.
    pub async fn known(&self) -> Vec<Known> {
        let statuses = self.statuses().await;
        statuses.into_iter().map(|s| Known { verdict: s.verdict, cause: s.cause, transitions: s.history.len() }).collect()
    }

    async fn statuses(&self) -> Vec<DiagnosisStatus> {
        let api = Api::<Diagnosis>::namespaced(self.cluster.client.clone(), &self.namespace);
        let mut statuses = Vec::new();
        for name in ["ingress-lost", "ingress-web"] {
            statuses.push(api.get(name).await.expect("the Diagnosis is there").status.expect("it has a status"));
        }
        statuses
    }

    /// A new fault is named, within this time, and its mending seen.
    pub async fn sees_faults(&self, limit: Duration) {
        self.route("lost", "web").await;
        self.within("ingress-lost", limit, |s| s.verdict == Verdict::Healthy).await;
        self.route("lost", "nobody").await;
        self.within("ingress-lost", limit, |s| s.cause.as_deref() == Some("route-backend-service-missing")).await;
    }

    /// Nothing that was known is lost or changed, nobody crashed, and faults are seen as before.
    pub async fn is_as_it_was(&self, before: &[Known]) {
        self.keeps(before).await;
        // The gateway has to find back to the API server as well before it serves a new route.
        self.sees_faults(Duration::from_secs(150)).await;
        assert_eq!(restarts(self.cluster).await, self.restarts, "a controller's container was started again");
        self.cluster.remove_namespace(&self.namespace).await;
    }

    /// Nothing that was known is lost or changed. Nodes that could not report for long are lost for a moment, and their pods with them:
    /// that may stand in between, and be over.
    async fn keeps(&self, before: &[Known]) {
        let same = |now: &Known, then: &Known| now.verdict == then.verdict && now.cause == then.cause;
        let until = Instant::now() + PATIENCE;
        tokio::time::sleep(Duration::from_secs(5)).await;
        while !self.known().await.iter().zip(before).all(|(now, then)| same(now, then)) {
            assert!(Instant::now() < until, "what was known changed: {:?}, not {before:?}", self.known().await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let kept = self.known().await;
        assert!(
            kept.iter().zip(before).all(|(now, then)| now.transitions >= then.transitions),
            "history was lost: {kept:?}, not {before:?}"
        );
    }

    fn shell(&self, line: &str) {
        self.cluster.shell(line, &[("NAMESPACE", &self.namespace)]);
    }
}

fn describe(status: &DiagnosisStatus) -> String {
    format!("{} {} {}", status.verdict, status.cause.as_deref().unwrap_or("-"), status.message.as_deref().unwrap_or_default())
}

async fn controllers(cluster: &Cluster) -> Vec<Pod> {
    let api = Api::<Pod>::namespaced(cluster.client.clone(), "culprit-system");
    let pods = api.list(&ListParams::default().labels("app.kubernetes.io/component=controller")).await.expect("the controller's pods");
    pods.items.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none()).collect()
}

async fn restarts(cluster: &Cluster) -> i32 {
    let pods = controllers(cluster).await;
    pods.iter().filter_map(|p| p.status.as_ref()?.container_statuses.as_ref()).flatten().map(|c| c.restart_count).sum()
}

/// Waits until the API server answers again.
async fn answers(cluster: &Cluster) {
    let until = Instant::now() + PATIENCE;
    while cluster.client.apiserver_version().await.is_err() {
        assert!(Instant::now() < until, "the API server does not come back");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The API server is stopped for a minute and begun anew.
pub async fn api_server_stopped(cluster: &Cluster) {
    let scene = Scene::new(cluster, "api-server-stopped").await;
    let before = scene.known().await;
    scene.shell("kill $(cat $RUN/apiserver.pid)");
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.shell("$RIG/restart apiserver");
    answers(cluster).await;
    scene.is_as_it_was(&before).await;
}

/// etcd is frozen: lists hang, and whatever needs it fails with 500 and 504.
pub async fn etcd_frozen(cluster: &Cluster) {
    let scene = Scene::new(cluster, "etcd-frozen").await;
    let before = scene.known().await;
    scene.shell("kill -STOP $(cat $RUN/etcd.pid)");
    tokio::time::sleep(Duration::from_secs(30)).await;
    scene.shell("kill -CONT $(cat $RUN/etcd.pid)");
    answers(cluster).await;
    scene.is_as_it_was(&before).await;
}

/// A node is lost: nothing reaches it, and nothing leaves it. What is named meanwhile is that node, and all comes back.
pub async fn node_lost(cluster: &Cluster) {
    checks::hurry(cluster);
    let seen_well = |s: &ConnectivityStatus| s.verdict == Verdict::Healthy;
    checks::until(cluster, "culprit-system", "cluster", seen_well).await;
    let scene = Scene::new(cluster, "node-lost").await;
    scene.shell(
        r#"$KUBECTL -n $NAMESPACE patch deployment web --type=merge -p '{"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "node2"}}}}}' >/dev/null
           $KUBECTL -n $NAMESPACE rollout status deployment/web --timeout=60s >/dev/null"#,
    );
    scene.until("ingress-web", |s| s.verdict == Verdict::Healthy).await;
    let before = scene.known().await;
    let cut = |how: &str| {
        for (chain, side) in [("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o")] {
            scene.shell(&format!("$RIG/run-in node2 iptables {how} {chain} {side} eth0 -j DROP"));
        }
    };
    cut("-I");
    let names_the_node = |s: &DiagnosisStatus| s.findings.iter().all(|f| f.message.contains("node2") || f.confidence != Confidence::Proven);
    let begun = Instant::now();
    while !cluster.output("$KUBECTL get node node2 --no-headers").contains("NotReady") {
        assert!(begun.elapsed() < PATIENCE, "the node is not lost");
        for status in scene.statuses().await {
            let is_known_fault = status.cause.as_deref() == Some("route-backend-service-missing");
            assert!(is_known_fault || names_the_node(&status), "{}", describe(&status));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.within("ingress-web", PATIENCE, |s| s.verdict != Verdict::Healthy && names_the_node(s)).await;
    checks::until(cluster, "culprit-system", "cluster", |s| s.verdict != Verdict::Healthy).await;
    cut("-D");
    checks::until(cluster, "culprit-system", "cluster", seen_well).await;
    scene.keeps(&before).await;
    scene.sees_faults(PATIENCE).await;
    cluster.remove_namespace(&scene.namespace).await;
}

/// The replica that leads is killed without notice; the other one takes over.
pub async fn leader_killed(cluster: &Cluster) {
    let scene = Scene::new(cluster, "leader-killed").await;
    let before = scene.known().await;
    scene.shell("leader=$($KUBECTL -n culprit-system get lease culprit -o jsonpath={.spec.holderIdentity}); $KUBECTL -n culprit-system delete pod $leader --grace-period=0 --force >/dev/null 2>&1");
    scene.sees_faults(PATIENCE).await;
    scene.keeps(&before).await;
    scene.shell("$KUBECTL -n culprit-system rollout status deployment/culprit --timeout=120s >/dev/null");
    cluster.remove_namespace(&scene.namespace).await;
}

/// Endpoints may not be read for a while: what needs them is Unknown and says why, and comes back.
pub async fn kind_forbidden(cluster: &Cluster) {
    let scene = Scene::new(cluster, "kind-forbidden").await;
    let rules = "$KUBECTL get clusterrole culprit -o json";
    scene.shell(&format!("{rules} | jq 'del(.rules[] | select(.resources == [\"endpointslices\"]))' | $KUBECTL replace -f - >/dev/null"));
    // A watch that was allowed goes on; new controllers find it forbidden.
    scene.shell("$KUBECTL -n culprit-system delete pods -l app.kubernetes.io/component=controller --grace-period=1 >/dev/null");
    let unseen = |s: &DiagnosisStatus| s.verdict == Verdict::Unknown && s.message.as_deref().is_some_and(|m| m.contains("endpointslices"));
    scene.within("ingress-web", PATIENCE, unseen).await;
    scene.shell("$KUBECTL apply -f $RIG/../../deploy/culprit.yaml >/dev/null");
    scene.within("ingress-web", PATIENCE, |s| s.verdict == Verdict::Healthy).await;
    scene.sees_faults(PATIENCE).await;
    cluster.remove_namespace(&scene.namespace).await;
}

/// The connections to the API server go silent, as behind a load balancer that forgot them: no end, no reset, no byte.
pub async fn watches_silent(cluster: &Cluster) {
    let scene = Scene::new(cluster, "watches-silent").await;
    let begun = Instant::now();
    for pod in controllers(cluster).await {
        let ip = pod.status.and_then(|s| s.pod_ip).expect("a controller has an address");
        // All at once: one that is begun anew meanwhile would not be silent.
        scene.cluster.shell(
            "$RIG/in-pod $POD_IP bash -c 'for port in $(ss -Htn state established dport = 443 | sed -E \"s/.*:([0-9]+) +[^ ]+ *$/\\1/\"); do
               iptables -I INPUT -p tcp --dport $port -j DROP && iptables -I OUTPUT -p tcp --sport $port -j DROP || exit
             done'",
            &[("POD_IP", &ip)],
        );
    }
    scene.route("lost", "web").await;
    scene.within("ingress-lost", PATIENCE, |s| s.verdict == Verdict::Healthy).await;
    // That it works is seen by asking. That it leads to nobody again stands in the Ingress alone, which no watch shows any more.
    scene.route("lost", "nobody").await;
    scene.within("ingress-lost", Duration::from_secs(180), |s| s.cause.as_deref() == Some("route-backend-service-missing")).await;
    // A watch that lives shows a change within seconds.
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(10), "the watches were not silent: a change was seen after {took:?}");
    // Writes meet the connections that died while they were idle, one by one.
    scene.sees_faults(PATIENCE).await;
    cluster.remove_namespace(&scene.namespace).await;
}

/// The API server fails every write of a status with 500 (an admission webhook that nobody answers).
pub async fn turned_away(cluster: &Cluster) {
    let scene = Scene::new(cluster, "turned-away").await;
    let before = scene.known().await;
    let webhook: Value = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "culprit-test-nobody"},
        "webhooks": [{"name": "nobody.culprit.test", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1, "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": ["culprit.dev"], "apiVersions": ["*"], "operations": ["*"], "resources": ["diagnoses/status"]}]}]});
    cluster.apply("", &webhook).await.expect("a webhook");
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Meanwhile it is mended, which cannot be written yet.
    scene.route("lost", "web").await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let turned = scene.known().await;
    cluster.delete("", &webhook).await;
    assert_eq!(turned, before, "it was not turned away");
    scene.within("ingress-lost", PATIENCE, |s| s.verdict == Verdict::Healthy).await;
    scene.sees_faults(PATIENCE).await;
    cluster.remove_namespace(&scene.namespace).await;
}

/// A controller whose token is changed and whose old one is revoked goes on.
pub async fn credentials_rotated(cluster: &Cluster) {
    let scene = Scene::new(cluster, "credentials-rotated").await;
    scene.shell("$KUBECTL -n culprit-system scale deployment culprit --replicas=0 >/dev/null");
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    let token = |name: &str| {
        scene.shell(&format!(
            "$KUBECTL -n culprit-system create secret generic {name} >/dev/null
             $KUBECTL -n culprit-system create token culprit --bound-object-kind Secret --bound-object-name {name} >{at}/new && mv {at}/new {at}/token"
        ));
    };
    token("first");
    scene.shell(&format!(
        "$KUBECTL config view --raw --flatten -o json | jq --arg t {at}/token '.users[0].user = {{tokenFile: $t}}' >{at}/kubeconfig"
    ));
    let log = std::fs::File::create(folder.path().join("log")).expect("a log");
    let mut controller = std::process::Command::new(env!("CARGO_BIN_EXE_culprit"))
        .args(["controller", "--identity=local", "--metrics-address=127.0.0.1:0"])
        .env("KUBECONFIG", folder.path().join("kubeconfig"))
        .stderr(log)
        .spawn()
        .expect("a controller");
    scene.sees_faults(PATIENCE).await;
    token("second");
    scene.shell("$KUBECTL -n culprit-system delete secret first >/dev/null");
    tokio::time::sleep(Duration::from_secs(15)).await;
    scene.sees_faults(PATIENCE).await;
    assert!(controller.try_wait().expect("its state").is_none(), "the controller ended");
    let _ = controller.kill();
    let _ = controller.wait();
    scene.shell("$KUBECTL -n culprit-system delete secret second >/dev/null; $KUBECTL -n culprit-system scale deployment culprit --replicas=2 >/dev/null; $KUBECTL -n culprit-system rollout status deployment/culprit --timeout=120s >/dev/null");
    cluster.remove_namespace(&scene.namespace).await;
}

/// A second controller without a lease writes the same, so that no field goes back and forth.
pub async fn two_at_once(cluster: &Cluster) {
    let scene = Scene::new(cluster, "two-at-once").await;
    let mut other = std::process::Command::new(env!("CARGO_BIN_EXE_culprit"))
        .args(["controller", "--no-leader-election", "--identity=other", "--metrics-address=127.0.0.1:0"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a controller");
    tokio::time::sleep(Duration::from_secs(15)).await;
    let versions = async || {
        let api = Api::<Diagnosis>::namespaced(cluster.client.clone(), &scene.namespace);
        let list = api.list(&ListParams::default()).await.expect("the Diagnoses");
        list.items.into_iter().map(|d| d.metadata.resource_version).collect::<Vec<_>>()
    };
    let at_rest = cluster.stays(Duration::from_secs(20), versions).await;
    let _ = other.kill();
    let _ = other.wait();
    assert!(at_rest, "two controllers write by turns");
    cluster.remove_namespace(&scene.namespace).await;
}
