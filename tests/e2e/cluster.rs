//! The cluster under test, and what the tests do with it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use culprit::api::{Diagnosis, DiagnosisStatus};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

/// A connection to the cluster.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub rig: PathBuf,
}

impl Cluster {
    pub async fn connect() -> Self {
        let client = Client::try_default().await.expect("KUBECONFIG leads to the test cluster");
        Cluster { client, rig: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cluster") }
    }

    /// A namespace of its own.
    pub async fn namespace(&self, name: &str) {
        self.apply("", &serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await.expect("namespace");
    }

    /// Removes a namespace without waiting for its end.
    pub async fn remove_namespace(&self, name: &str) {
        let _ = Api::<k8s_openapi::api::core::v1::Namespace>::all(self.client.clone()).delete(name, &Default::default()).await;
    }

    /// Server-side apply of one object.
    pub async fn apply(&self, namespace: &str, object: &Value) -> Result<DynamicObject, kube::Error> {
        let name = object["metadata"]["name"].as_str().expect("an object has a name");
        let parameters = PatchParams::apply("e2e").force();
        self.api(namespace, object).patch(name, &parameters, &Patch::Apply(object)).await
    }

    /// Deletes one object.
    pub async fn delete(&self, namespace: &str, object: &Value) {
        let name = object["metadata"]["name"].as_str().expect("an object has a name");
        let _ = self.api(namespace, object).delete(name, &Default::default()).await;
    }

    fn api(&self, namespace: &str, object: &Value) -> Api<DynamicObject> {
        let (version, kind) = (object["apiVersion"].as_str().expect("apiVersion"), object["kind"].as_str().expect("kind"));
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = match kind {
            "Diagnosis" => ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), "diagnoses"),
            _ => ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)),
        };
        match kind {
            "Namespace" | "ClusterRoleBinding" | "IngressClass" | "ValidatingWebhookConfiguration" => {
                Api::all_with(self.client.clone(), &resource)
            }
            _ => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    /// The status of a Diagnosis, once it satisfies a condition; the last one seen where it never does.
    pub async fn status(
        &self,
        namespace: &str,
        name: &str,
        limit: Duration,
        holds: impl Fn(&DiagnosisStatus) -> bool,
    ) -> Result<DiagnosisStatus, Option<DiagnosisStatus>> {
        let api = Api::<Diagnosis>::namespaced(self.client.clone(), namespace);
        let until = Instant::now() + limit;
        let mut last = None;
        while Instant::now() < until {
            if let Ok(diagnosis) = api.get(name).await
                && let Some(status) = diagnosis.status
            {
                if holds(&status) {
                    return Ok(status);
                }
                last = Some(status);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(last)
    }

    /// Whether something stays the same for so long. A machine that is busy for a moment may disturb it once; what never rests fails twice.
    pub async fn stays<T: PartialEq>(&self, long: Duration, look: impl AsyncFn() -> T) -> bool {
        for _ in 0..2 {
            let before = look().await;
            tokio::time::sleep(long).await;
            if before == look().await {
                return true;
            }
        }
        false
    }

    /// Whether there is a pod with a label.
    pub async fn has_pod(&self, namespace: &str, labels: &str) -> bool {
        let api = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(self.client.clone(), namespace);
        api.list(&kube::api::ListParams::default().labels(labels)).await.is_ok_and(|pods| !pods.items.is_empty())
    }

    /// Address of the pod with a label, once it has one: of one that is ready where there are several, since the others' processes
    /// may not have begun.
    pub async fn pod_address(&self, namespace: &str, labels: &str) -> Option<(String, String)> {
        let api = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(self.client.clone(), namespace);
        for _ in 0..150 {
            let pods = api.list(&kube::api::ListParams::default().labels(labels)).await.ok()?;
            let live = pods.items.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none());
            let live = live.max_by_key(|p| {
                p.status.as_ref().is_some_and(|s| s.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True"))
            });
            if let Some(ip) = live.as_ref().and_then(|p| p.status.as_ref()?.pod_ip.clone()) {
                // The bridge of a node has the first address of its pods' network: the kubelet's probes come from there.
                let node_side = ip.rsplit_once('.').map(|(net, _)| format!("{net}.1")).unwrap_or_default();
                return Some((ip, node_side));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        None
    }

    /// Runs a command line with the rig's variables; its output is shown where it fails.
    pub fn shell(&self, line: &str, variables: &[(&str, &str)]) {
        self.run(line, variables);
    }

    /// What a command line prints.
    pub fn output(&self, line: &str) -> String {
        self.run(line, &[])
    }

    fn run(&self, line: &str, variables: &[(&str, &str)]) -> String {
        let mut command = Command::new("bash");
        let script = format!(". $RIG/env\n{line}");
        command.args(["-ec", &script]).env("RIG", &self.rig).env("KUBECTL", self.rig.join("kubectl"));
        let output = command.envs(variables.iter().copied()).output().expect("bash runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The built binary, asked for a target; its exit status and standard output.
    pub fn culprit(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_culprit")).args(arguments).output().expect("culprit runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// Every Diagnosis of a namespace by name.
    pub async fn diagnoses(&self, namespace: &str) -> Vec<String> {
        let api = Api::<Diagnosis>::namespaced(self.client.clone(), namespace);
        api.list(&Default::default()).await.map(|l| l.items.iter().map(ResourceExt::name_any).collect()).unwrap_or_default()
    }
}
