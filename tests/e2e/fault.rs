//! A fault: a working route, what breaks it, what mends it, and what Culprit is to say in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use culprit::api::{AnsweredBy, Confidence, DiagnosisStatus, Verdict};
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::cluster::Cluster;
use super::table::Row;

/// How long a cluster may take to become what was applied, pods started included.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much longer than the controller the command line may take.
const SLOWER: Duration = Duration::from_secs(45);

type Changes = BTreeMap<String, Value>;

/// One file of tests/cluster/faults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(skip)]
    pub name: String,
    /// Further gateways that it is made behind: files of tests/cluster/gateways.
    #[serde(default)]
    gateways: Vec<String>,
    /// Whether it is made behind the cluster's own gateway; it is where nothing is said.
    #[serde(default)]
    behind_traefik: Option<bool>,
    /// Objects beside the working route's.
    #[serde(default)]
    add_always: Vec<Value>,
    /// Changes that belong to the working route, as merge patches by Kind/name.
    #[serde(default)]
    setup: Changes,
    /// Commands that the working route needs.
    #[serde(default)]
    setup_commands: Vec<String>,
    /// Changes that break it.
    #[serde(default)]
    fault: Changes,
    /// Objects that break it.
    #[serde(default)]
    add: Vec<Value>,
    /// Commands that break it.
    #[serde(default)]
    fault_commands: Vec<String>,
    #[serde(default)]
    mend_commands: Vec<String>,
    #[serde(default)]
    expect: Expect,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    cause: String,
    #[serde(default)]
    confidence: Option<Confidence>,
    #[serde(default)]
    answered_by: Option<AnsweredBy>,
    /// Failing where nothing is given.
    #[serde(default)]
    verdict: Vec<Verdict>,
    /// A part of the message.
    #[serde(default)]
    message: Option<String>,
    /// Whether only an agent can see it: the command line has none, and is not asked.
    #[serde(default)]
    inside: bool,
    /// The cause that the command line names, which enters no pod, where that is another one.
    #[serde(default)]
    without_agents: Option<String>,
}

impl Fault {
    /// Whether its name holds one of these parts, which commas separate.
    pub fn is_meant(&self, parts: &str) -> bool {
        parts.split(',').any(|part| self.name.contains(part))
    }

    pub fn all() -> Vec<Fault> {
        read("faults").into_iter().flat_map(|fault| fault.behind_each_gateway()).collect()
    }

    /// Itself, and once more behind each further gateway.
    fn behind_each_gateway(self) -> Vec<Fault> {
        let behind = |gateway: &String| {
            let mut fault = Fault { name: format!("{}@{gateway}", self.name), ..self.clone() };
            fault.add_always.extend(gateway_by_hand(gateway));
            let class = serde_json::json!({"spec": {"ingressClassName": "${NAMESPACE}"}});
            merge(fault.setup.entry("Ingress/web".into()).or_insert(Value::Null), &class);
            fault
        };
        let others: Vec<Fault> = self.gateways.iter().map(behind).collect();
        let own = (self.behind_traefik != Some(false)).then_some(self);
        own.into_iter().chain(others).collect()
    }

    /// Those that the whole cluster feels.
    pub fn alone() -> Vec<Fault> {
        read("alone")
    }

    pub fn healthy() -> Vec<Fault> {
        read("healthy")
    }

    /// The working route alone, in a namespace of its own. Returns the namespace.
    pub async fn place(cluster: &Cluster, name: &str) -> String {
        let place = Place::new(cluster, name).await;
        place.apply(&Fault { name: name.into(), ..Fault::default() }.world(&Changes::new())).await;
        place.namespace
    }

    /// Makes it, waits for its name, mends it, waits for health.
    pub async fn run(&self, cluster: &Cluster) -> Row {
        let mut row = Row { name: self.name.clone(), ..Row::default() };
        let place = Place::new(cluster, &self.name).await;
        if let Err(why) = self.prepare(&place).await {
            row.wrong.push(why);
        } else {
            self.make_and_mend(&place, &mut row).await;
        }
        cluster.remove_namespace(&place.namespace).await;
        row
    }

    async fn prepare(&self, place: &Place<'_>) -> Result<(), String> {
        place.apply(&self.world(&self.setup)).await;
        place.commands(&self.setup_commands).await;
        match place.wait(PATIENCE, |s| s.verdict == Verdict::Healthy).await {
            Ok(_) => Ok(()),
            Err(last) => Err(format!("the working route is not Healthy: {}", show(last.as_ref()))),
        }
    }

    async fn make_and_mend(&self, place: &Place<'_>, row: &mut Row) {
        let client = place.client().await;
        let begun = Instant::now();
        let broken = merged(&self.setup, &self.fault);
        place.apply(&self.world(&broken)).await;
        place.apply(&self.add).await;
        place.commands(&self.fault_commands).await;
        let wanted = if self.expect.verdict.is_empty() { vec![Verdict::Failing] } else { self.expect.verdict.clone() };
        let by = |s: &DiagnosisStatus| self.expect.answered_by.is_none_or(|by| s.answered_by == Some(by));
        let named = |s: &DiagnosisStatus| wanted.contains(&s.verdict) && s.cause.as_deref() == Some(&self.expect.cause) && by(s);
        let status = match place.wait(PATIENCE, named).await {
            Ok(status) => {
                row.to_status = Some(begun.elapsed());
                row.from_failure = client.and_then(|c| c.failing_since()).map(|since| since.max(begun).elapsed());
                row.right = true;
                status
            }
            Err(last) => {
                row.wrong.push(format!("not named: {}", show(last.as_ref())));
                last.unwrap_or_default()
            }
        };
        row.named = status.cause.clone().unwrap_or_default();
        row.confidence = status.findings.first().map(|f| f.confidence);
        row.proven_wrong = !row.right && row.confidence == Some(Confidence::Proven);
        self.check(&status, row);
        if !self.expect.inside {
            self.ask_once(place, row).await;
        }
        let mended = Instant::now();
        for object in &self.add {
            place.cluster.delete(&place.namespace, &place.fill(object)).await;
        }
        place.commands(&self.mend_commands).await;
        place.apply(&self.world(&self.setup)).await;
        match place.wait(PATIENCE, |s| s.verdict == Verdict::Healthy && s.findings.is_empty()).await {
            Ok(_) => row.to_healthy = Some(mended.elapsed()),
            Err(last) => row.wrong.push(format!("not Healthy once mended: {}", show(last.as_ref()))),
        }
    }

    fn check(&self, status: &DiagnosisStatus, row: &mut Row) {
        if let Some(confidence) = self.expect.confidence
            && row.confidence != Some(confidence)
        {
            let proof = status.findings.first().and_then(|f| f.proof.as_ref());
            row.wrong.push(format!("confidence is {:?}, not {confidence}: {} ({proof:?})", row.confidence, show(Some(status))));
        }
        if let Some(part) = &self.expect.message
            && !status.message.as_ref().is_some_and(|m| m.contains(part))
        {
            row.wrong.push(format!("the message is {:?}, without {part:?}", status.message));
        }
        let first = status.findings.first();
        if first.is_some_and(|f| f.proof.is_none() || f.fix.is_none() || f.evidence.is_empty()) {
            row.wrong.push("the finding has no proof, fix or evidence".into());
        }
    }

    /// The command line says the same. It stands elsewhere and cannot look into pods, so that it may have to wait until a container has run
    /// for long enough to be judged from outside.
    async fn ask_once(&self, place: &Place<'_>, row: &mut Row) {
        let until = Instant::now() + SLOWER;
        loop {
            let (cluster, namespace) = (place.cluster.clone(), place.namespace.clone());
            let asked = tokio::task::spawn_blocking(move || cluster.culprit(&["diagnose", "ingress/web", "-n", &namespace, "-o", "json"]));
            let (code, text) = asked.await.expect("culprit was asked");
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            let first = &document["status"]["findings"][0];
            let cause = first["cause"].as_str().unwrap_or_default();
            if code == Some(1) && cause == self.expect.without_agents.as_ref().unwrap_or(&self.expect.cause) {
                return;
            }
            row.proven_wrong |= first["confidence"] == "Proven";
            if row.proven_wrong || Instant::now() > until {
                let message = &document["status"]["message"];
                row.wrong.push(format!("the command line says {cause:?} with exit status {code:?}: {message}"));
                return;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }

    /// Applies it and watches that it becomes Healthy and stays so.
    pub async fn stays_healthy(&self, cluster: &Cluster, watched: Duration) -> Option<String> {
        let place = Place::new(cluster, &self.name).await;
        place.apply(&self.world(&self.setup)).await;
        place.apply(&self.add).await;
        let mut wrong = None;
        if let Err(last) = place.wait(PATIENCE, |s| s.verdict == Verdict::Healthy).await {
            wrong = Some(format!("{}: never Healthy: {}", self.name, show(last.as_ref())));
        } else {
            place.apply(&self.world(&merged(&self.setup, &self.fault))).await;
            if let Ok(bad) = place.wait(watched, |s| s.verdict != Verdict::Healthy || !s.findings.is_empty()).await {
                wrong = Some(format!("{}: {}", self.name, show(Some(&bad))));
            }
        }
        cluster.remove_namespace(&place.namespace).await;
        wrong
    }

    /// The working route with changes.
    fn world(&self, changes: &Changes) -> Vec<Value> {
        let base: Vec<Value> = parse(&rig().join("base.yaml"));
        let mut objects: Vec<Value> = base.into_iter().chain(self.add_always.clone()).collect();
        for (name, change) in changes {
            let found = objects.iter_mut().find(|o| format!("{}/{}", text(&o["kind"]), text(&o["metadata"]["name"])) == *name);
            merge(found.unwrap_or_else(|| panic!("{}: there is no {name} to change", self.name)), change);
        }
        objects
    }
}

/// One file of tests/cluster/gateways.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayByHand {
    controller: String,
    command: Vec<String>,
    config: String,
}

/// The objects of a gateway that is configured by hand.
fn gateway_by_hand(name: &str) -> Vec<Value> {
    let folder = rig().join("gateways");
    let gateway: GatewayByHand = parse(&folder.join(format!("{name}.yaml")));
    let template: Vec<Value> = parse(&folder.join("template.yaml"));
    let filled = template.iter().map(|o| fill(o, &[("${CONTROLLER}", &gateway.controller), ("${CONFIG}", &gateway.config)]));
    let commanded = |mut object: Value| {
        if let Some(command) = object.pointer_mut("/spec/template/spec/containers/0/command") {
            *command = gateway.command.clone().into();
        }
        object
    };
    filled.map(commanded).collect()
}

/// A namespace that a fault is made in.
struct Place<'a> {
    cluster: &'a Cluster,
    namespace: String,
}

impl<'a> Place<'a> {
    async fn new(cluster: &'a Cluster, name: &str) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let namespace = format!("e-{}-{}", name.replace('@', "-").chars().take(40).collect::<String>(), since.as_millis() % 1_000_000);
        cluster.namespace(&namespace).await;
        Place { cluster, namespace }
    }

    fn fill(&self, object: &Value) -> Value {
        let app = std::fs::read_to_string(self.cluster.rig.join("app.py")).expect("app.py");
        fill(object, &[("${NAMESPACE}", &self.namespace), ("${APP}", &app)])
    }

    async fn apply(&self, objects: &[Value]) {
        for object in objects {
            let mut object = self.fill(object);
            if object.to_string().contains("${POD_IP}") {
                let (ip, _) = self.cluster.pod_address(&self.namespace, "app=web").await.expect("the pod has an address");
                object = fill(&object, &[("${POD_IP}", &ip)]);
            }
            if let Err(error) = self.cluster.apply(&self.namespace, &object).await {
                panic!("{}: {}/{} is not applied: {error}", self.namespace, object["kind"], object["metadata"]["name"]);
            }
        }
    }

    async fn commands(&self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        // A pod that waits for a node has no address, and only what names the address needs one.
        let wants_address = lines.iter().any(|l| l.contains("POD_IP") || l.contains("NODE_SIDE"));
        let (ip, node_side) = match wants_address {
            true => self.cluster.pod_address(&self.namespace, "app=web").await.expect("the pod has an address"),
            false => Default::default(),
        };
        let folder = std::env::temp_dir().join(&self.namespace);
        std::fs::create_dir_all(&folder).expect("a folder for files");
        let folder = folder.display().to_string();
        for line in lines {
            self.cluster.shell(line, &[("POD_IP", &ip), ("NODE_SIDE", &node_side), ("NAMESPACE", &self.namespace), ("TMP", &folder)]);
        }
    }

    /// A client of the route; none where its gateway has no address.
    async fn client(&self) -> Option<Client> {
        let (namespace, labels) = match self.cluster.has_pod(&self.namespace, "app=gateway").await {
            true => (self.namespace.as_str(), "app=gateway"),
            false => ("traefik", "app=traefik"),
        };
        let (ip, _) = self.cluster.pod_address(namespace, labels).await?;
        Some(Client::begin(format!("{ip}:8000").parse().ok()?, format!("{}.test", self.namespace)))
    }

    async fn wait(&self, limit: Duration, holds: impl Fn(&DiagnosisStatus) -> bool) -> Result<DiagnosisStatus, Option<DiagnosisStatus>> {
        self.cluster.status(&self.namespace, "ingress-web", limit, holds).await
    }
}

fn rig() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster")
}

fn read(folder: &str) -> Vec<Fault> {
    let folder = rig().join(folder);
    let mut faults: Vec<Fault> = std::fs::read_dir(&folder)
        .expect("the folder can be read")
        .map(|entry| {
            let file = entry.expect("a folder entry").path();
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Fault { name, ..parse(&file) }
        })
        .collect();
    faults.sort_by(|a, b| a.name.cmp(&b.name));
    faults
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fill(value: &Value, variables: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => Value::String(variables.iter().fold(text.clone(), |t, (k, v)| t.replace(k, v))),
        Value::Array(items) => items.iter().map(|v| fill(v, variables)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (variables.iter().fold(k.clone(), |t, (name, value)| t.replace(name, value)), fill(v, variables)))
            .collect(),
        other => other.clone(),
    }
}

fn merged(a: &Changes, b: &Changes) -> Changes {
    let mut both = a.clone();
    for (name, change) in b {
        merge(both.entry(name.clone()).or_insert(Value::Null), change);
    }
    both
}

/// RFC 7386, without the removal of what is null.
fn merge(value: &mut Value, patch: &Value) {
    match (value, patch) {
        (Value::Object(object), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(object.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (value, patch) => *value = patch.clone(),
    }
}

fn show(status: Option<&DiagnosisStatus>) -> String {
    status.map_or_else(
        || "there is no status".into(),
        |s| {
            let found: Vec<String> = s.findings.iter().map(|f| format!("{} ({})", f.cause, f.confidence)).collect();
            format!("{} [{}] {}", s.verdict, found.join(", "), s.message.as_deref().unwrap_or_default())
        },
    )
}
