//! A fixture: a world of objects and a scripted network, what is changed in it, and what Culprit is to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use culprit::api::{Confidence, DiagnosisSpec, ProbeSettings, Verdict};
use culprit::diagnose::{Conclusion, Examination, Settings, Step};
use culprit::probe::Probe;
use culprit::snapshot::objects::docker::Host;
use culprit::snapshot::objects::{Kind, Object, ObjectRef};
use culprit::snapshot::{Coverage, Snapshot, files};
use culprit::vantage::Vantage;
use serde::Deserialize;
use serde_json::Value;

use super::dock::{Dock, EnginePatch, Patches};
use super::network::Network;

/// One file below `tests/causes/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// What is shown here, in a sentence.
    pub about: String,
    /// The world that it begins from: a file of `tests/causes/worlds/`.
    #[serde(default = "shop")]
    pub world: String,
    /// What is diagnosed, as `Ingress/shop/web` or `Container/engine/gateway`.
    #[serde(default = "web")]
    pub target: String,
    /// Merge patches (RFC 7386) by `Kind/namespace/name`, or `Container/name` and `Network/name` of the engine; null deletes the object.
    #[serde(default)]
    pub change: BTreeMap<String, Value>,
    /// Further objects.
    #[serde(default)]
    pub add: Vec<Value>,
    /// Text files of containers by container and path, over those of the world; null is no file.
    #[serde(default)]
    pub files: Patches,
    /// What is changed of the engine itself.
    #[serde(default)]
    pub engine: EnginePatch,
    /// Kinds that could not be read, with the reason.
    #[serde(default)]
    pub unread: BTreeMap<String, String>,
    /// Merged over the world's network; a null removes an entry.
    #[serde(default)]
    pub network: Value,
    /// Probe settings.
    #[serde(default)]
    pub probe: Option<ProbeSettings>,
    /// Whether nothing is probed.
    #[serde(default)]
    pub offline: bool,
    /// Kinds that nobody looked for, as manifests leave out what runs.
    #[serde(default)]
    pub not_loaded: Vec<String>,
    /// What was once said wrongly: verdict and first cause. Entries of `tests/ledger/` have it.
    #[serde(default)]
    pub said: Option<String>,
    /// What Culprit is to say.
    pub expect: Expectation,
}

fn shop() -> String {
    "shop".into()
}

fn web() -> String {
    "Ingress/shop/web".into()
}

/// What Culprit is to say of a fixture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    pub verdict: Verdict,
    /// The first finding's cause; none means no finding at all.
    #[serde(default)]
    pub cause: Option<String>,
    #[serde(default)]
    pub confidence: Option<Confidence>,
    /// Who made the failing answer.
    #[serde(default)]
    pub answered_by: Option<String>,
    /// A part of the first finding's message.
    #[serde(default)]
    pub message: Option<String>,
    /// Causes that are found below the first.
    #[serde(default)]
    pub also: Vec<String>,
    /// Causes that must not be found.
    #[serde(default)]
    pub silent: Vec<String>,
    /// Causes that must answer that they cannot tell.
    #[serde(default)]
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    #[serde(default)]
    objects: Vec<Value>,
    #[serde(default)]
    docker: Option<Dock>,
    network: Value,
}

/// The folder of all fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/causes")
}

/// Every fixture as `(folder, name, fixture)`, in order, those of the ledger among them. The worlds are no fixtures.
pub fn all() -> Vec<(String, String, Fixture)> {
    let mut found = Vec::new();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folders = entries(&folder()).into_iter().filter(|d| d.is_dir() && name(d) != "worlds");
    for directory in folders.chain([folder().with_file_name("ledger")]) {
        for file in entries(&directory).into_iter().filter(|f| f.extension().is_some_and(|e| e == "yaml")) {
            let case = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name(&directory), case, read(&file)));
        }
    }
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    entries.map(|entry| entry.expect("a folder entry").path()).collect()
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What an examination of a fixture gave.
pub struct Result {
    pub status: culprit::api::DiagnosisStatus,
    pub unknown: Vec<(String, String)>,
    pub hidden: Vec<(String, Confidence)>,
    pub conclusion: Conclusion,
    /// Everything that was asked.
    pub asked: Vec<Probe>,
}

/// A fixture's objects and network, as they are examined.
#[derive(Clone)]
pub struct Scene {
    pub objects: Vec<Object>,
    pub coverage: Vec<(Kind, Coverage)>,
    pub docker: Option<Host>,
    pub network: Network,
}

impl Fixture {
    /// Runs the whole engine on it.
    pub fn run(&self) -> Result {
        self.run_on(&self.scene())
    }

    /// What is examined in a scene, and how.
    pub fn begin(&self, scene: &Scene) -> (Snapshot, ObjectRef, Settings) {
        let mut snapshot = Snapshot::default();
        for (kind, coverage) in &scene.coverage {
            snapshot.cover(*kind, coverage.clone());
        }
        snapshot.extend(scene.objects.iter().cloned());
        if let Some(host) = &scene.docker {
            snapshot.set_docker_host(host.clone());
        }
        let spec = DiagnosisSpec { probe: self.probe.clone(), ..DiagnosisSpec::default() };
        let mut settings = Settings::parse(&spec).expect("the fixture's probe settings are valid");
        settings.online = !self.offline;
        (snapshot, reference(&self.target), settings)
    }

    /// Runs the whole engine on another scene than its own.
    pub fn run_on(&self, scene: &Scene) -> Result {
        let (snapshot, target, settings) = self.begin(scene);
        let mut examination = Examination::begin(&snapshot, target, settings);
        while let Step::Ask(probes) = examination.next(&snapshot) {
            let answers = probes.iter().map(|p| futures::executor::block_on(scene.network.ask(p))).collect();
            examination.record(answers);
        }
        let conclusion = examination.conclude(&snapshot);
        Result {
            unknown: conclusion.unknown.clone(),
            hidden: conclusion.hidden.clone(),
            status: conclusion.clone().into_status(jiff::Timestamp::UNIX_EPOCH, Some(1)),
            conclusion,
            asked: examination.seen().keys().cloned().collect(),
        }
    }

    /// The world that it begins from, without its changes.
    pub fn world(&self) -> Scene {
        Fixture {
            change: BTreeMap::new(),
            add: Vec::new(),
            files: BTreeMap::new(),
            engine: EnginePatch::default(),
            unread: BTreeMap::new(),
            not_loaded: Vec::new(),
            network: Value::Null,
            ..self.clone()
        }
        .scene()
    }

    /// Its objects and network.
    pub fn scene(&self) -> Scene {
        let mut world: World = read(&folder().join("worlds").join(format!("{}.yaml", self.world)));
        let mut coverage: BTreeMap<Kind, Coverage> = Kind::of_kubernetes().map(|kind| (kind, Coverage::Complete)).collect();
        let kind = |name: &String| name.parse::<Kind>().expect("a kind");
        coverage.extend(self.unread.iter().map(|(name, why)| (kind(name), Coverage::Failed(why.clone()))));
        coverage.extend(self.not_loaded.iter().map(|name| (kind(name), Coverage::NotLoaded)));
        let mut objects = self.objects(world.objects, &mut world.docker);
        objects.retain(|o| coverage[&o.reference().kind] == Coverage::Complete);
        let docker = world.docker.map(|dock| dock.host(&reference(&self.target).key.name));
        Scene { objects, coverage: coverage.into_iter().collect(), docker, network: self.network(world.network) }
    }

    /// The objects of Kubernetes; what concerns the engine is changed there.
    fn objects(&self, mut objects: Vec<Value>, dock: &mut Option<Dock>) -> Vec<Object> {
        let mut unused: BTreeSet<&String> = self.change.keys().collect();
        let mut add = self.add.clone();
        if let Some(dock) = dock {
            add.retain(|object| !dock.add(object));
            unused.retain(|name| !dock.change(name, &self.change[*name]));
            dock.write(&self.files);
            dock.patch(&self.engine);
        }
        objects.retain_mut(|object| {
            let name = name_of(object);
            let Some(patch) = self.change.get(&name) else { return true };
            unused.remove(&name);
            merge(object, patch);
            !patch.is_null()
        });
        assert!(unused.is_empty(), "the fixture changes what the world does not have: {unused:?}");
        let parse = |object: Value| {
            let name = name_of(&object);
            let parsed = files::from_value(object).unwrap_or_else(|e| panic!("{name}: {e}"));
            parsed.unwrap_or_else(|| panic!("{name}: not a kind that a snapshot holds"))
        };
        objects.into_iter().chain(add).map(parse).collect()
    }

    fn network(&self, mut world: Value) -> Network {
        // A socket or name is replaced as a whole; merging would mix two kinds of socket.
        if let Some(vantage) = self.network.get("vantage") {
            world["vantage"] = vantage.clone();
        }
        for part in ["sockets", "names", "inside", "logs", "sizes", "from", "names_from", "sizes_from"] {
            for (key, value) in self.network.get(part).and_then(Value::as_object).into_iter().flatten() {
                let entries =
                    world.as_object_mut().expect("a network is a map").entry(part).or_insert_with(|| Value::Object(Default::default()));
                let entries = entries.as_object_mut().expect("a part of a network is a map");
                if value.is_null() {
                    entries.remove(key)
                } else {
                    entries.insert(key.clone(), value.clone())
                };
            }
        }
        if let Some(pod) = self.network.get("asks_in") {
            world["asks_in"] = pod.clone();
        }
        serde_json::from_value(world).unwrap_or_else(|e| panic!("{}: network: {e}", self.about))
    }
}

fn reference(text: &str) -> ObjectRef {
    let mut parts = text.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_else(|| panic!("{text} is not Kind/namespace/name"));
    let kind: Kind = part().parse().expect("a kind");
    ObjectRef::new(kind, part(), part())
}

fn name_of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    if namespace.is_empty() { format!("{kind}/{name}") } else { format!("{kind}/{namespace}/{name}") }
}

/// RFC 7386.
pub fn merge(value: &mut Value, patch: &Value) {
    match (value, patch) {
        (Value::Object(object), Value::Object(changes)) => {
            for (key, change) in changes {
                if change.is_null() {
                    object.remove(key);
                } else {
                    merge(object.entry(key.clone()).or_insert(Value::Null), change);
                }
            }
        }
        (value, Value::Object(changes)) => {
            *value = Value::Object(Default::default());
            merge(value, &Value::Object(changes.clone()));
        }
        (value, patch) => *value = patch.clone(),
    }
}
