//! The installation as its users meet it: the resource, its life, the Job, the quiet.

use std::time::Duration;

use culprit::api::{Diagnosis, Verdict};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::cluster::Cluster;

/// Enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

fn diagnosis(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "culprit.dev/v1alpha1", "kind": "Diagnosis", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn route(namespace: &str, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ingressClassName": "traefik", "rules": [{"host": format!("{name}.{namespace}.test"),
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "nobody", "port": {"number": 80}}}}]}}]}
    })
}

pub async fn bad_specs_are_refused(cluster: &Cluster) {
    let namespace = "e-bad-specs";
    cluster.namespace(namespace).await;
    let target = json!({"kind": "Ingress", "name": "web"});
    for (spec, sentence) in [
        (json!({"target": target, "interval": "1s"}), "interval must be a whole number with the unit s, m or h, from 10s to 24h"),
        (json!({"target": target, "probe": {"timeout": "5"}}), "timeout must be a whole number"),
        (json!({"target": target, "probe": {"path": "http://169.254.169.254/"}}), "path must begin with /"),
        (json!({"target": target, "probe": {"method": "POST"}}), "Unsupported value: \"POST\""),
        (json!({"target": target, "probe": {"expectedStatus": ["fine"]}}), "expectedStatus takes a status"),
        (json!({"target": target, "probe": {"headers": [{"name": "Authorization", "value": "x"}]}}), "may not hold credentials"),
        (json!({"target": {"kind": "Pod", "name": "web"}}), "Unsupported value: \"Pod\""),
        (json!({"interval": "30s"}), "spec.target: Required value"),
    ] {
        let refused = cluster.apply(namespace, &diagnosis(namespace, "bad", &spec)).await.expect_err("a bad spec is refused").to_string();
        assert!(refused.contains(sentence), "{spec}: {refused}");
    }
    let good = json!({"target": target, "interval": "1m", "probe": {"method": "HEAD", "path": "/x?y=1", "timeout": "500ms", "expectedStatus": ["200", "301-308"]}});
    cluster.apply(namespace, &diagnosis(namespace, "good", &good)).await.expect("a good spec is taken");
    let moved = json!({"target": {"kind": "Ingress", "name": "other"}});
    let refused = cluster.apply(namespace, &diagnosis(namespace, "good", &moved)).await.expect_err("a target stays").to_string();
    assert!(refused.contains("target cannot be changed"), "{refused}");
    cluster.remove_namespace(namespace).await;
}

pub async fn life_of_a_diagnosis(cluster: &Cluster) {
    let namespace = "e-life";
    cluster.namespace(namespace).await;
    cluster.apply(namespace, &route(namespace, "web", &json!({}))).await.expect("route");
    cluster.apply(namespace, &route(namespace, "quiet", &json!({"culprit.dev/diagnose": "false"}))).await.expect("route");
    let named = |s: &culprit::api::DiagnosisStatus| s.cause.as_deref() == Some("route-backend-service-missing");
    let status = cluster.status(namespace, "ingress-web", PATIENCE, named).await.expect("the fault is named");
    let healthy = status.conditions.iter().find(|c| c.type_ == "Healthy").expect("a condition Healthy");
    assert_eq!((healthy.status.as_str(), healthy.reason.as_str()), ("False", "RouteBackendServiceMissing"));
    assert!(status.conditions.iter().any(|c| c.type_ == "Probed" && c.status == "True"));
    assert!(cluster.diagnoses(namespace).await.iter().all(|n| n != "ingress-quiet"), "an opted-out route has no Diagnosis");
    cluster.shell(&format!("$KUBECTL -n {namespace} wait --for=condition=Healthy=False dx/ingress-web --timeout=5s"), &[]);
    cluster
        .shell(&format!("$KUBECTL -n {namespace} get dx ingress-web | grep -E 'ingress/web +Failing +route-backend-service-missing'"), &[]);
    cluster.shell(&format!("for i in $(seq 20); do $KUBECTL -n {namespace} describe ingress web | grep -q RouteBackendServiceMissing && exit 0; sleep 0.5; done; exit 1"), &[]);
    cluster.delete(namespace, &route(namespace, "web", &json!({}))).await;
    for _ in 0..150 {
        if cluster.diagnoses(namespace).await.is_empty() {
            cluster.remove_namespace(namespace).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the Diagnosis stays although its route is gone: {:?}", cluster.diagnoses(namespace).await);
}

pub async fn written_by_hand(cluster: &Cluster) {
    let namespace = "e-by-hand";
    cluster.namespace(namespace).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 80}]}});
    cluster.apply(namespace, &service).await.expect("service");
    cluster
        .apply(namespace, &diagnosis(namespace, "mine", &json!({"target": {"kind": "Service", "name": "web"}, "interval": "10s"})))
        .await
        .expect("dx");
    let named = |s: &culprit::api::DiagnosisStatus| s.cause.as_deref() == Some("svc-selector-mismatch");
    cluster.status(namespace, "mine", PATIENCE, named).await.expect("the Service's fault is named");
    cluster.apply(namespace, &diagnosis(namespace, "gone", &json!({"target": {"kind": "Ingress", "name": "nowhere"}}))).await.expect("dx");
    let unseen = |s: &culprit::api::DiagnosisStatus| {
        s.verdict == Verdict::Unknown && s.message.as_deref().is_some_and(|m| m.contains("does not exist"))
    };
    cluster.status(namespace, "gone", PATIENCE, unseen).await.expect("a missing target is Unknown");
    cluster.remove_namespace(namespace).await;
}

pub async fn job(cluster: &Cluster) {
    let namespace = "e-job";
    cluster.namespace(namespace).await;
    cluster.apply(namespace, &route(namespace, "web", &json!({}))).await.expect("route");
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/job.yaml");
    cluster.shell(
        &format!(
            "$KUBECTL -n culprit-system delete job culprit-once --ignore-not-found >/dev/null
             sed 's/args: \\[diagnose, --all-namespaces\\]/args: [diagnose, --all-namespaces, --write-status]/' {job} | $KUBECTL apply -f - >/dev/null
             for i in $(seq 600); do
               code=$($KUBECTL -n culprit-system get pods -l app.kubernetes.io/component=once -o 'jsonpath={{.items[0].status.containerStatuses[0].state.terminated.exitCode}}' 2>/dev/null)
               [ -n \"$code\" ] && break; sleep 0.5
             done
             [ \"$code\" = 1 ] || {{ echo \"exit code is '$code', not 1\"; $KUBECTL -n culprit-system logs job/culprit-once --tail=5; }} >&2
             [ \"$code\" = 1 ]
             # The end of a log may come after that of its container.
             for i in $(seq 20); do
               named=$($KUBECTL -n culprit-system logs job/culprit-once | grep -c route-backend-service-missing || true)
               [ \"$named\" = 0 ] || break; sleep 0.5
             done
             [ \"$named\" != 0 ] || {{ echo \"its log does not name the cause\"; exit 1; }} >&2
             verdict=$($KUBECTL -n {namespace} get dx ingress-web -o jsonpath={{.status.verdict}})
             [ \"$verdict\" = Failing ] || {{ echo \"the verdict is $verdict\"; exit 1; }} >&2"
        ),
        &[],
    );
    cluster.remove_namespace(namespace).await;
}

/// A route that stays as it is causes no writes: the resource's version stays, whatever is asked in between.
pub async fn quiet_at_rest(cluster: &Cluster) {
    let namespace = "e-quiet";
    cluster.namespace(namespace).await;
    cluster.apply(namespace, &route(namespace, "web", &json!({}))).await.expect("route");
    let named = |s: &culprit::api::DiagnosisStatus| s.cause.is_some();
    cluster.status(namespace, "ingress-web", PATIENCE, named).await.expect("named");
    let version = async || {
        let list = Api::<Diagnosis>::namespaced(cluster.client.clone(), namespace).list(&ListParams::default()).await.expect("list");
        list.items.into_iter().map(|d| d.metadata.resource_version).collect::<Vec<_>>()
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Longer than two rounds of asking a broken route.
    assert!(cluster.stays(Duration::from_secs(25), version).await, "a status is written again and again although nothing changes");
    cluster.remove_namespace(namespace).await;
}
