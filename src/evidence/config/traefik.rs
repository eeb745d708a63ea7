//! What Traefik is told: by its start-up configuration, by labels of containers, and by files.
//!
//! Facts are of versions 2 and 3. The start-up configuration is a file, else arguments, else environment; never several of them.

mod address;
mod constraints;
mod dynamic;
mod labels;
mod merge;
mod naming;
mod routes;
mod rule;
mod startup;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::address::Surroundings;
use self::dynamic::{Dynamic, Router, Service, qualified};
use self::routes::{Told, listener};
use self::startup::{FileProvider, Startup};
use super::notes::Notes;
use super::tree::Tree;
use super::{Configuration, Files, Listener, Lookup, Note, Omission, Place};
use crate::fact::Fact;
use crate::snapshot::objects::docker::Container;

/// Reads what a Traefik container is told. Failed where its own configuration cannot be read; what else is not understood is a note.
pub fn read(files: &Files, container: &Container, containers: &[Arc<Container>]) -> Fact<Configuration> {
    if is_version_1(&container.image) {
        return Fact::Failed("version 1 of Traefik is not understood".into());
    }
    let mut startup = match startup::read(files, container) {
        Ok(startup) => startup,
        Err(why) => return Fact::Failed(why),
    };
    let mut configuration = Configuration { notes: std::mem::take(&mut startup.notes), ..Configuration::default() };
    let mut dynamic = Dynamic::default();
    if let Some(docker) = &startup.docker {
        let labels = labels::read(&Surroundings { gateway: container, containers, docker });
        dynamic.add(labels.dynamic);
        let left_out = |l: &super::LeftOut| Note {
            place: Place { file: format!("container {}", l.container), line: 0 },
            text: format!("container {} is left out: {}", l.container, l.why),
        };
        // The others have notes of their own, with the label.
        let whole = |l: &&super::LeftOut| !matches!(l.why, Omission::NoPort | Omission::NoAddress | Omission::Labels);
        configuration.notes.extend(labels.left_out.iter().filter(whole).map(left_out));
        configuration.left_out = labels.left_out;
        configuration.picks = labels.picks;
    }
    if let Some(provider) = &startup.file {
        dynamic.add(files_of(provider, files));
    }
    configuration.notes.append(&mut dynamic.notes);
    configuration.routes = Told { startup: &startup, dynamic: &dynamic }.routes(&mut configuration.notes);
    configuration.listeners = listeners(&startup, &configuration);
    let mut notes = Notes::default();
    std::mem::take(&mut configuration.notes).into_iter().for_each(|note| notes.add(&note.place, note.text));
    Fact::Known(Configuration { notes: notes.into_vec(), ..configuration })
}

/// Whether an image's tag is one of version 1, whose labels and files mean something else.
fn is_version_1(image: &str) -> bool {
    let tag = image.split('@').next().and_then(|i| i.rsplit_once(':')).map_or("", |(_, tag)| tag.trim_start_matches('v'));
    tag == "1" || tag.starts_with("1.")
}

impl Dynamic {
    fn add(&mut self, other: Dynamic) {
        self.routers.extend(other.routers);
        self.services.extend(other.services);
        self.middlewares.extend(other.middlewares);
        self.transports.extend(other.transports);
        self.notes.extend(other.notes);
    }
}

/// Every entry point, as its routes use it: with TLS, without, or both.
fn listeners(startup: &Startup, configuration: &Configuration) -> Vec<Listener> {
    let mut all: Vec<Listener> = configuration.routes.iter().flat_map(|r| r.listeners.clone()).collect();
    let unused = startup.entry_points.iter().filter(|e| !all.iter().any(|l| l.name.as_ref() == Some(&e.name)));
    let unused: Vec<Listener> = unused.map(|e| listener(e, e.tls)).collect();
    all.extend(unused);
    all.sort();
    all.dedup();
    all
}

fn files_of(provider: &FileProvider, files: &Files) -> Dynamic {
    let mut dynamic = Dynamic::default();
    let missing = |path: &str| Note { place: Place { file: path.into(), line: 0 }, text: "it could not be read".into() };
    match provider {
        FileProvider::File(path) => match files.get(path) {
            Some(text) => dynamic.read_file(path, text),
            None => dynamic.notes.push(missing(path)),
        },
        FileProvider::Folder(folder) => {
            let inside = |path: &str| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'));
            let named = |path: &str| [".yml", ".yaml", ".toml"].iter().any(|end| path.ends_with(end));
            let found: Vec<(&String, &String)> = files.iter().filter(|(path, _)| inside(path) && named(path)).collect();
            if found.is_empty() {
                dynamic.notes.push(missing(folder));
            }
            found.into_iter().for_each(|(path, text)| dynamic.read_file(path, text));
        }
    }
    dynamic
}

impl Dynamic {
    /// Reads a file of the file provider.
    fn read_file(&mut self, path: &str, text: &str) {
        const PROVIDER: &str = "file";
        let tree = match Tree::file(path, text) {
            Ok(tree) => tree,
            Err((place, why)) => {
                let template = if text.contains("{{") { ", and its templates are not filled in" } else { "" };
                return self.notes.push(Note { place, text: format!("{why}{template}") });
            }
        };
        let entries = |kind: &str| tree.get("http").and_then(|h| h.get(kind)).map(Tree::entries).unwrap_or_default();
        for (name, router) in entries("routers") {
            self.routers.insert(qualified(name, PROVIDER), Router::read(router, PROVIDER));
        }
        for (name, service) in entries("services") {
            let service = Service::read(service, PROVIDER, Lookup::WhileRunning, &mut self.notes);
            self.services.insert(qualified(name, PROVIDER), service);
        }
        for (name, middleware) in entries("middlewares") {
            self.middlewares.insert(qualified(name, PROVIDER), middleware.clone());
        }
        for (name, transport) in entries("serverstransports") {
            self.transports.insert(qualified(name, PROVIDER), transport.clone());
        }
    }
}
