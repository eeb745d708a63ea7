//! A fault: a working route, what breaks it, what mends it, and what Culprit is to say in between.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use culprit::api::{AnsweredBy, Confidence, DiagnosisStatus, Verdict};
use serde::Deserialize;
use serde_json::Value;

use super::cluster::Cluster;

/// How long a cluster may take to become what was applied, pods started included.
const PATIENCE: Duration = Duration::from_secs(90);

type Changes = BTreeMap<String, Value>;

/// One file of tests/cluster/faults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(skip)]
    pub name: String,
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
}

/// What came of a fault.
pub struct Row {
    name: String,
    named: String,
    confidence: Option<Confidence>,
    right: bool,
    to_status: Option<Duration>,
    to_healthy: Option<Duration>,
    wrong: Vec<String>,
}

impl Fault {
    pub fn all() -> Vec<Fault> {
        read("faults")
    }

    pub fn healthy() -> Vec<Fault> {
        read("healthy")
    }

    /// Makes it, waits for its name, mends it, waits for health.
    pub async fn run(&self, cluster: &Cluster) -> Row {
        let mut row = Row {
            name: self.name.clone(),
            named: String::new(),
            confidence: None,
            right: false,
            to_status: None,
            to_healthy: None,
            wrong: Vec::new(),
        };
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
        self.check(&status, row);
        self.ask_once(place, row).await;
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
            row.wrong.push(format!("confidence is {:?}, not {confidence}", row.confidence));
        }
        let first = status.findings.first();
        if first.is_some_and(|f| f.proof.is_none() || f.fix.is_none() || f.evidence.is_empty()) {
            row.wrong.push("the finding has no proof, fix or evidence".into());
        }
    }

    /// The command line, from another vantage, says the same.
    async fn ask_once(&self, place: &Place<'_>, row: &mut Row) {
        let (cluster, namespace) = (place.cluster.clone(), place.namespace.clone());
        let asked = tokio::task::spawn_blocking(move || cluster.culprit(&["diagnose", "ingress/web", "-n", &namespace, "-o", "json"]));
        let (code, text) = asked.await.expect("culprit was asked");
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        let cause = document["status"]["findings"][0]["cause"].as_str().unwrap_or_default();
        if code != Some(1) || cause != self.expect.cause {
            row.wrong.push(format!("the command line says {cause:?} with exit status {code:?}: {}", document["status"]["message"]));
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
        let base: Vec<Value> = parse(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/base.yaml"));
        let mut objects: Vec<Value> = base.into_iter().chain(self.add_always.clone()).collect();
        for (name, change) in changes {
            let found = objects.iter_mut().find(|o| format!("{}/{}", text(&o["kind"]), text(&o["metadata"]["name"])) == *name);
            merge(found.unwrap_or_else(|| panic!("{}: there is no {name} to change", self.name)), change);
        }
        objects
    }
}

/// A namespace that a fault is made in.
struct Place<'a> {
    cluster: &'a Cluster,
    namespace: String,
}

impl<'a> Place<'a> {
    async fn new(cluster: &'a Cluster, name: &str) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let namespace = format!("e-{}-{}", &name[..name.len().min(40)], since.as_millis() % 1_000_000);
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
        let (ip, node_side) = self.cluster.pod_address(&self.namespace, "app=web").await.expect("the pod has an address");
        let folder = std::env::temp_dir().join(&self.namespace);
        std::fs::create_dir_all(&folder).expect("a folder for files");
        let folder = folder.display().to_string();
        for line in lines {
            self.cluster.shell(line, &[("POD_IP", &ip), ("NODE_SIDE", &node_side), ("NAMESPACE", &self.namespace), ("TMP", &folder)]);
        }
    }

    async fn wait(&self, limit: Duration, holds: impl Fn(&DiagnosisStatus) -> bool) -> Result<DiagnosisStatus, Option<DiagnosisStatus>> {
        self.cluster.status(&self.namespace, "ingress-web", limit, holds).await
    }
}

fn read(folder: &str) -> Vec<Fault> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster").join(folder);
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

/// Prints the table of all faults, the times, and how often each confidence was right. Returns what went wrong.
#[expect(clippy::print_stdout, reason = "the table is what a reader of the test's output looks for")]
pub fn print(mut rows: Vec<Row>) -> Vec<String> {
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let seconds = |d: Option<Duration>| d.map_or_else(|| "-".into(), |d| format!("{:.1}s", d.as_secs_f64()));
    println!("{:<36} {:<36} {:<10} {:>9} {:>9}", "FAULT", "NAMED", "CONFIDENCE", "TO NAME", "TO HEAL");
    for row in &rows {
        let confidence = row.confidence.map(|c| c.to_string()).unwrap_or_default();
        println!("{:<36} {:<36} {:<10} {:>9} {:>9}", row.name, row.named, confidence, seconds(row.to_status), seconds(row.to_healthy));
    }
    let mut times: Vec<Duration> = rows.iter().filter_map(|r| r.to_status).collect();
    times.sort();
    if let (Some(median), Some(last)) = (times.get(times.len() / 2), times.last()) {
        println!("\nfault made → named, pods' own changes included: p50 {:.1}s, slowest {:.1}s", median.as_secs_f64(), last.as_secs_f64());
    }
    for confidence in [Confidence::Proven, Confidence::Likely, Confidence::Possible] {
        let of: Vec<&Row> = rows.iter().filter(|r| r.confidence == Some(confidence)).collect();
        println!("{confidence}: {} of {} right", of.iter().filter(|r| r.right).count(), of.len());
    }
    rows.iter().flat_map(|r| r.wrong.iter().map(|w| format!("{}: {w}", r.name))).collect()
}
