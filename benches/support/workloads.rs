//! Deployments, ReplicaSets and pods of an application.

use serde_json::{Value, json};

use super::world::{APP_PORT, App, meta, uid};

const MADE: &str = "2026-03-02T08:15:30Z";

/// Its Deployment, rolled out.
pub fn deployment(app: &App) -> Value {
    let conditions = json!([
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability.",
            "lastUpdateTime": MADE, "lastTransitionTime": MADE},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
            "message": format!("ReplicaSet \"{}-{}\" has successfully progressed.", app.name, app.hash(0)), "lastUpdateTime": MADE, "lastTransitionTime": MADE},
    ]);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": meta(&app.namespace, &app.name, app.number, app.labels(), json!({"deployment.kubernetes.io/revision": "3", "meta.helm.sh/release-name": app.name})),
        "spec": {"replicas": app.pods, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "selector": {"matchLabels": app.selector()},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": app.labels()}, "spec": template(app)}},
        "status": {"observedGeneration": 1, "replicas": app.pods, "updatedReplicas": app.pods, "readyReplicas": app.pods, "availableReplicas": app.pods,
            "conditions": conditions}
    })
}

/// A ReplicaSet of the Deployment: the present one, or one of earlier rollouts that is kept without pods.
pub fn replica_set(app: &App, age: usize) -> Value {
    let replicas = if age == 0 { app.pods } else { 0 };
    let mut labels = app.labels();
    labels["pod-template-hash"] = json!(app.hash(age));
    let mut metadata = meta(
        &app.namespace,
        &format!("{}-{}", app.name, app.hash(age)),
        app.number,
        labels.clone(),
        json!({
        "deployment.kubernetes.io/revision": (3 - age.min(2)).to_string(), "deployment.kubernetes.io/desired-replicas": app.pods.to_string(),
        "deployment.kubernetes.io/max-replicas": (app.pods + 1).to_string()}),
    );
    metadata["ownerReferences"] = owner("Deployment", &app.name, app.number);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata,
        "spec": {"replicas": replicas, "selector": {"matchLabels": app.selector()}, "template": {"metadata": {"labels": labels}, "spec": template(app)}},
        "status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "fullyLabeledReplicas": replicas, "observedGeneration": 1}
    })
}

/// One of its pods, ready. Every fourth application has a sidecar.
pub fn pod(app: &App, pod: usize) -> Value {
    let mut labels = app.labels();
    labels["pod-template-hash"] = json!(app.hash(0));
    let mut metadata = meta(
        &app.namespace,
        &app.pod_name(pod),
        app.number * 16 + pod,
        labels,
        json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": format!("{:064x}", app.number)}),
    );
    metadata["generateName"] = json!(format!("{}-{}-", app.name, app.hash(0)));
    metadata["ownerReferences"] = owner("ReplicaSet", &format!("{}-{}", app.name, app.hash(0)), app.number);
    let mut spec = template(app);
    spec["nodeName"] = json!(app.node(pod));
    let address = app.pod_address(pod);
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": MADE});
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    let statuses: Vec<Value> = spec["containers"].as_array().into_iter().flatten().map(status).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec,
        "status": {"phase": "Running", "hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}], "podIP": address, "podIPs": [{"ip": address}], "qosClass": "Burstable",
            "startTime": MADE, "conditions": conditions,
            "containerStatuses": statuses}
    })
}

fn owner(kind: &str, name: &str, number: usize) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid(kind.len(), number), "controller": true, "blockOwnerDeletion": true}])
}

fn status(container: &Value) -> Value {
    json!({
        "name": container["name"], "ready": true, "started": true, "restartCount": 0, "image": container["image"],
        "imageID": format!("{}@sha256:{:064x}", container["image"].as_str().unwrap_or_default(), 7),
        "containerID": format!("containerd://{:064x}", 11), "state": {"running": {"startedAt": MADE}}, "lastState": {},
    })
}

/// The pod template's spec, with what the API server fills in.
fn template(app: &App) -> Value {
    let probe = |path: &str, period: i32| {
        json!({
            "httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 2, "periodSeconds": period, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    let resources = json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}});
    let mounts = json!([{"name": "config", "mountPath": "/etc/app", "readOnly": true}, {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}]);
    let from_secret = |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": app.name, "key": name.to_lowercase()}}});
    let mut containers = vec![json!({
        "name": "app", "image": format!("registry.example.com/storefront/{}:1.{}.0", app.name, app.number % 40), "imagePullPolicy": "IfNotPresent",
        "args": ["--config=/etc/app/config.yaml", "--listen=0.0.0.0:8080", "--log-format=json"],
        "env": [{"name": "PORT", "value": APP_PORT.to_string()}, {"name": "LOG_LEVEL", "value": "info"}, from_secret("DATABASE_URL"), from_secret("API_KEY")],
        "ports": [{"name": "http", "containerPort": APP_PORT, "protocol": "TCP"}, {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
        "readinessProbe": probe("/ready", 5), "livenessProbe": probe("/live", 10), "resources": resources, "volumeMounts": mounts,
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    })];
    if app.number.is_multiple_of(4) {
        containers.push(json!({
            "name": "exporter", "image": "registry.example.com/platform/exporter:2.8.1", "args": ["--upstream=localhost:8080"],
            "ports": [{"name": "exporter", "containerPort": 9113, "protocol": "TCP"}], "resources": resources, "volumeMounts": mounts,
        }));
    }
    json!({
        "containers": containers, "serviceAccountName": app.name, "serviceAccount": app.name, "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler", "priority": 0, "preemptionPolicy": "PreemptLowerPriority", "enableServiceLinks": true, "terminationGracePeriodSeconds": 30,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "volumes": [{"name": "config", "configMap": {"name": app.name, "defaultMode": 420}},
            {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}],
    })
}
