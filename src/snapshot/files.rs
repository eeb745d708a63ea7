//! Manifest files as a source: what is declared, without a cluster.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::Diagnosis;
use crate::snapshot::kubernetes::convert::Convert;
use crate::snapshot::kubernetes::wire;
use crate::snapshot::objects::{Kind, Object};
use crate::snapshot::{Coverage, Snapshot};

/// Bytes read of one file at most.
const LARGEST: u64 = 32 << 20;

/// Why manifests could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder could not be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is larger than manifests are.
    #[error("{path} is larger than {} MiB; that is no manifest", LARGEST >> 20)]
    TooLarge {
        /// The file.
        path: String,
    },
    /// A document that is no YAML, or no object.
    #[error("{path}: {message}")]
    Malformed {
        /// The file, with line and column where they are known.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A folder without manifests.
    #[error("{path} has no file that ends in .yaml, .yml or .json")]
    NoManifest {
        /// The folder.
        path: String,
    },
}

/// What manifests hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Objects of the kinds that a snapshot holds.
    pub objects: Vec<Object>,
    /// Diagnoses, for their probe settings.
    pub diagnoses: Vec<Diagnosis>,
    /// Documents of other kinds.
    pub ignored: usize,
}

impl Manifests {
    /// The snapshot of these objects.
    ///
    /// What runs (pods, slices, nodes) counts as known only where the files hold some of it, as a dump of a cluster does: manifests
    /// alone say nothing about it.
    pub fn into_snapshot(self) -> Snapshot {
        let held: BTreeSet<Kind> = self.objects.iter().map(|o| o.reference().kind).collect();
        let mut snapshot = Snapshot::default();
        for kind in <Kind as strum::IntoEnumIterator>::iter() {
            let declared = matches!(kind, Kind::Ingress | Kind::Service) || held.contains(&kind);
            snapshot.cover(kind, if declared { Coverage::Complete } else { Coverage::NotLoaded });
        }
        snapshot.extend(self.objects);
        snapshot
    }
}

/// Reads files, folders (with the folders in them) and, for `-`, standard input.
pub fn read(paths: &[PathBuf], default_namespace: &str) -> Result<Manifests, FilesError> {
    let mut manifests = Manifests::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = limited("standard input", std::io::stdin().lock())?;
            parse(&text, "standard input", default_namespace, &mut manifests)?;
            continue;
        }
        for file in files_of(path)? {
            let name = file.display().to_string();
            let opened = std::fs::File::open(&file).map_err(|source| FilesError::Read { path: name.clone(), source })?;
            parse(&limited(&name, opened)?, &name, default_namespace, &mut manifests)?;
        }
    }
    Ok(manifests)
}

fn limited(name: &str, source: impl Read) -> Result<String, FilesError> {
    let mut text = String::new();
    let read = source.take(LARGEST + 1).read_to_string(&mut text).map_err(|source| FilesError::Read { path: name.into(), source })?;
    if read as u64 > LARGEST { Err(FilesError::TooLarge { path: name.into() }) } else { Ok(text) }
}

/// A file itself, or the manifests below a folder in order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let failed = |source| FilesError::Read { path: path.display().to_string(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = entry.path();
            let manifest = name.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
            if kind.is_dir() {
                folders.push(name);
            } else if manifest {
                files.push(name);
            }
        }
    }
    files.sort();
    if files.is_empty() { Err(FilesError::NoManifest { path: path.display().to_string() }) } else { Ok(files) }
}

/// Parses the documents of a text.
pub fn parse(text: &str, source: &str, default_namespace: &str, into: &mut Manifests) -> Result<(), FilesError> {
    let documents: Vec<Value> = serde_yaml::from_multiple(text).map_err(|e| located(source, &e))?;
    for document in documents {
        add(document, source, default_namespace, into)?;
    }
    Ok(())
}

fn located(source: &str, error: &serde_yaml::Error) -> FilesError {
    let path = match error.location() {
        Some(at) => format!("{source}:{}:{}", at.line(), at.column()),
        None => source.to_owned(),
    };
    // The library's own text repeats the place and shows the lines around it; one line is enough here.
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    FilesError::Malformed { path, message }
}

fn add(document: Value, source: &str, default_namespace: &str, into: &mut Manifests) -> Result<(), FilesError> {
    let malformed = |message: String| FilesError::Malformed { path: source.to_owned(), message };
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = text("/kind");
    if document.is_null() {
        return Ok(());
    }
    if !document.is_object() {
        return Err(malformed("a document is not a Kubernetes object".into()));
    }
    if kind.is_empty() {
        return Err(malformed("an object has no kind".into()));
    }
    if kind == "List" || (kind.ends_with("List") && document.get("items").is_some()) {
        for item in document.get("items").and_then(Value::as_array).cloned().unwrap_or_default() {
            add(item, source, default_namespace, into)?;
        }
        return Ok(());
    }
    let name = text("/metadata/name");
    let known = kind.parse::<Kind>();
    if name.is_empty() && known.is_ok() {
        return Err(malformed(format!("a {kind} has no metadata.name")));
    }
    // Names end up in commands that people copy, so they are held to what the API server takes (RFC 1123 subdomains).
    for text in [name.clone(), text("/metadata/namespace")] {
        if known.is_ok() && !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')) {
            return Err(malformed(format!("{text:?} is no name of a {kind}")));
        }
    }
    let mut document = document;
    if known.is_ok_and(Kind::is_namespaced) || kind == "Diagnosis" {
        default_to(&mut document, default_namespace);
    }
    let about = |error: serde_json::Error| malformed(format!("{kind} {name}: {error}"));
    if kind == "Diagnosis" {
        into.diagnoses.push(serde_json::from_value(document).map_err(about)?);
        return Ok(());
    }
    match from_value(document).map_err(about)? {
        Some(object) => into.objects.push(object),
        None => into.ignored += 1,
    }
    Ok(())
}

fn default_to(document: &mut Value, namespace: &str) {
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        let entry = metadata.entry("namespace").or_insert(Value::Null);
        if entry.as_str().is_none_or(str::is_empty) {
            *entry = Value::String(namespace.to_owned());
        }
    }
}

/// The snapshot's object of a manifest; none for kinds that a snapshot does not hold.
pub fn from_value(document: Value) -> Result<Option<Object>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "apiVersion", default)]
        api_version: String,
        #[serde(default)]
        kind: String,
    }
    fn of<K: DeserializeOwned + Convert>(document: Value) -> Result<Option<Object>, serde_json::Error> {
        serde_json::from_value::<K>(document).map(|object| Some(object.convert()))
    }
    let head = Head::deserialize(&document)?;
    match (head.api_version.as_str(), head.kind.as_str()) {
        ("networking.k8s.io/v1", "Ingress") => of::<wire::Ingress>(document),
        ("networking.k8s.io/v1", "IngressClass") => of::<wire::IngressClass>(document),
        ("networking.k8s.io/v1", "NetworkPolicy") => of::<wire::NetworkPolicy>(document),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy") => of::<wire::AdminNetworkPolicy>(document),
        ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy") => of::<wire::BaselineAdminNetworkPolicy>(document),
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy") => of::<wire::ClusterNetworkPolicy>(document),
        ("v1", "Service") => of::<wire::Service>(document),
        ("v1", "Pod") => of::<wire::Pod>(document),
        ("v1", "Node") => of::<wire::Node>(document),
        ("v1", "Namespace") => of::<wire::Namespace>(document),
        ("discovery.k8s.io/v1", "EndpointSlice") => of::<wire::EndpointSlice>(document),
        ("apps/v1", "Deployment") => of::<wire::Deployment>(document),
        ("apps/v1", "ReplicaSet") => of::<wire::ReplicaSet>(document),
        ("apps/v1", "StatefulSet") => of::<wire::StatefulSet>(document),
        ("apps/v1", "DaemonSet") => of::<wire::DaemonSet>(document),
        ("batch/v1", "Job") => of::<wire::Job>(document),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => of::<wire::HorizontalPodAutoscaler>(document),
        ("v1", "Event") if document.get("type").and_then(Value::as_str) == Some("Warning") => of::<wire::Event>(document),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Manifests, FilesError> {
        let mut manifests = Manifests::default();
        parse(text, "shop.yaml", "shop", &mut manifests).map(|()| manifests)
    }

    #[test]
    fn several_documents_and_lists_are_read_and_other_kinds_counted() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n---\n";
        let manifests = parsed(text).unwrap();
        assert_eq!((manifests.objects.len(), manifests.ignored), (1, 1));
        assert_eq!(manifests.objects[0].reference().to_string(), "Service/shop/a");
    }

    #[test]
    fn malformed_yaml_names_file_and_line() {
        let error = parsed("apiVersion: v1\nkind: Service\nmetadata: {name: [}\n").unwrap_err().to_string();
        assert!(error.starts_with("shop.yaml:3:"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn an_object_without_a_name_is_an_error_and_not_a_default() {
        let error = parsed("{apiVersion: v1, kind: Service, metadata: {}}").unwrap_err().to_string();
        assert_eq!(error, "shop.yaml: a Service has no metadata.name");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            text.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
        }
        assert!(parsed(&text).is_err());
    }

    #[test]
    fn manifests_alone_say_nothing_about_pods() {
        let snapshot = parsed("{apiVersion: v1, kind: Service, metadata: {name: a}}").unwrap().into_snapshot();
        assert_eq!(*snapshot.coverage(Kind::Pod), Coverage::NotLoaded);
        assert_eq!(*snapshot.coverage(Kind::Service), Coverage::Complete);
    }
}
