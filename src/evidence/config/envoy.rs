//! What Envoy is told by its bootstrap: listeners, routes and clusters that stand in it. What comes by xDS is not known.

mod clusters;
mod listeners;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::clusters::Clusters;
use super::arguments::Arguments;
use super::notes::Notes;
use super::text::absolute;
use super::tree::Tree;
use super::{Configuration, Files, Place};
use crate::fact::Fact;
use crate::snapshot::objects::docker::Container;

/// Where its image keeps its bootstrap.
const BOOTSTRAP: &str = "/etc/envoy/envoy.yaml";

/// Reads what an Envoy container is told. Failed where its bootstrap cannot be read; what of it is not understood is a note.
pub fn read(files: &Files, container: &Container, _containers: &[Arc<Container>]) -> Fact<Configuration> {
    let trees = match trees(files, container) {
        Ok(trees) => trees,
        Err(why) => return Fact::Failed(why),
    };
    let mut notes = Notes::default();
    for source in trees.iter().flat_map(|t| t.get("dynamic_resources").map(Tree::entries).unwrap_or_default()) {
        notes.add(&source.1.place, format!("what comes by {} is not known", source.0));
    }
    let clusters = Clusters::read(&trees, &mut notes);
    let mut configuration = Configuration::default();
    for listener in trees.iter().flat_map(|t| t.items_of("static_resources.listeners")) {
        listeners::read(listener, &clusters, &mut configuration, &mut notes);
    }
    configuration.listeners.sort();
    configuration.listeners.dedup();
    Fact::Known(Configuration { notes: notes.into_vec(), ..configuration })
}

/// The bootstrap's file, and what the command line adds to it.
fn trees(files: &Files, container: &Container) -> Result<Vec<Tree>, String> {
    let arguments = Arguments::of(container, &["envoy"]);
    let parse = |file: &str, text: &str| {
        Tree::yaml(file, text).map_err(|(Place { file, line }, why)| match line {
            0 => format!("{file}: {why}"),
            line => format!("{file}:{line}: {why}"),
        })
    };
    let inline =
        arguments.value(&["--config-yaml"]).map(|text| parse(&format!("argument --config-yaml of container {}", container.name), text));
    let named = arguments.value(&["--config-path", "-c"]).map(|path| absolute("/", path));
    let path = named.or_else(|| inline.is_none().then(|| BOOTSTRAP.to_owned()));
    let file = path.map(|path| match files.get(&path) {
        Some(text) => parse(&path, text),
        None => Err(format!("its bootstrap {path} could not be read")),
    });
    file.into_iter().chain(inline).collect()
}
