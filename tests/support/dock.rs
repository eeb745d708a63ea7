//! The Docker engine of a world: what its API gives, as JSON, and the files of its containers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use culprit::evidence::firewall::{self, Family, Firewall};
use culprit::fact::Fact;
use culprit::snapshot::docker::{Inventory, assemble, convert};
use culprit::snapshot::objects::docker::Host;
use serde::Deserialize;
use serde_json::Value;

use super::case::merge;

/// One engine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dock {
    /// What it is called in targets.
    pub name: String,
    /// What `GET /info` gives.
    #[serde(default)]
    pub info: Value,
    /// What `GET /containers/{id}/json` gives of each.
    pub containers: Vec<Value>,
    /// What `GET /networks/{id}` gives of each.
    pub networks: Vec<Value>,
    /// Text files by container and path.
    #[serde(default)]
    pub files: Patches,
    /// What `iptables-save -c` prints on its host; none where nobody looks.
    #[serde(default)]
    pub firewall: Option<String>,
    /// Whether bridged packets pass it.
    #[serde(default)]
    pub filters_bridges: Option<bool>,
}

/// What a fixture changes of an engine itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnginePatch {
    /// Merged into what `GET /info` gives.
    #[serde(default)]
    pub info: Value,
    /// As that of the engine.
    #[serde(default)]
    pub firewall: Option<String>,
    /// As that of the engine.
    #[serde(default)]
    pub filters_bridges: Option<bool>,
}

/// Files by container and path; null is no file.
pub type Patches = BTreeMap<String, BTreeMap<String, Option<String>>>;

impl Dock {
    /// Merges a patch into a container or network, by `Container/NAME` or `Network/NAME`; null removes it. Whether there is one.
    pub fn change(&mut self, name: &str, patch: &Value) -> bool {
        let objects = match name.split_once('/') {
            Some(("Container", _)) => &mut self.containers,
            Some(("Network", _)) => &mut self.networks,
            _ => return false,
        };
        let wanted = name.split_once('/').map_or(name, |(_, name)| name);
        let Some(at) = objects.iter().position(|object| name_of(object) == wanted) else { return false };
        if patch.is_null() {
            objects.remove(at);
        } else {
            merge(&mut objects[at], patch);
        }
        true
    }

    /// Adds an object that says `kind: Container` or `kind: Network`. Whether it is one of these.
    pub fn add(&mut self, object: &Value) -> bool {
        match object.get("kind").and_then(Value::as_str) {
            Some("Container") => self.containers.push(object.clone()),
            Some("Network") => self.networks.push(object.clone()),
            _ => return false,
        }
        true
    }

    /// Changes the engine itself.
    pub fn patch(&mut self, patch: &EnginePatch) {
        if !patch.info.is_null() {
            merge(&mut self.info, &patch.info);
        }
        self.firewall = patch.firewall.clone().or(self.firewall.take());
        self.filters_bridges = patch.filters_bridges.or(self.filters_bridges);
    }

    /// Merges files into those of the world.
    pub fn write(&mut self, files: &Patches) {
        for (container, files) in files {
            self.files.entry(container.clone()).or_default().extend(files.clone());
        }
    }

    /// The host of a snapshot, where a container is asked about.
    pub fn host(&self, named: &str) -> Host {
        let object = |value: &Value| format!("{} of engine {}", name_of(value), self.name);
        let containers = self.containers.iter().map(|c| parsed(c, convert::container).unwrap_or_else(|| panic!("{} is none", object(c))));
        let networks = self.networks.iter().map(|n| parsed(n, convert::network).unwrap_or_else(|| panic!("{} is none", object(n))));
        let (_, engine) = if self.info.is_null() { Default::default() } else { parsed(&self.info, convert::engine) };
        let of = |files: &BTreeMap<String, Option<String>>| files.iter().filter_map(|(p, t)| Some((p.clone(), t.clone()?))).collect();
        let chains = self.firewall.as_deref().map(|text| firewall::parse(text, Family::V4).unwrap_or_else(|e| panic!("firewall: {e}")));
        let firewall = chains.map(|chains| Firewall { chains, bridged: self.filters_bridges, ..Firewall::default() });
        assemble(&Inventory {
            name: self.name.as_str().into(),
            engine,
            containers: containers.map(Arc::new).collect(),
            networks: networks.map(Arc::new).collect(),
            files: self.files.iter().map(|(container, files)| (container.clone(), Fact::Known(of(files)))).collect(),
            firewall: firewall.map_or(Fact::NotAsked, |f| Fact::Known(Arc::new(f))),
            named: BTreeSet::from([named.to_owned()]),
        })
    }
}

fn parsed<T: serde::de::DeserializeOwned, U>(value: &Value, convert: impl Fn(T) -> U) -> U {
    convert(serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{}: {e}", name_of(value))))
}

fn name_of(object: &Value) -> &str {
    object.get("Name").and_then(Value::as_str).unwrap_or_default().trim_start_matches('/')
}
