//! What Caddy is told: by a Caddyfile, by its own JSON, or by `caddy reverse-proxy`.

mod caddyfile;
mod json;
mod lexer;
mod matcher;
mod parse;
mod proxy;
mod scope;
mod site;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::proxy::Proxy;
use self::scope::Scope;
use self::site::{Address, Options, all_listeners};
use super::arguments::Arguments;
use super::notes::Notes;
use super::text::absolute;
use super::tree::Tree;
use super::{Configuration, Files, Place};
use crate::fact::Fact;
use crate::snapshot::objects::docker::Container;

/// Where its image keeps its configuration.
const CADDYFILE: &str = "/etc/caddy/Caddyfile";

/// Reads what a Caddy container is told. Failed where its configuration cannot be read; what of it is not understood is a note.
pub fn read(files: &Files, container: &Container, _containers: &[Arc<Container>]) -> Fact<Configuration> {
    let arguments = Arguments::of(container, &["caddy"]);
    let mut notes = Notes::default();
    let configuration = match arguments.words().first().map(String::as_str) {
        Some("reverse-proxy") => by_command(&arguments, container, &mut notes),
        Some("file-server" | "respond") => Ok(Configuration::default()),
        _ => by_file(&arguments, files, container, &mut notes),
    };
    match configuration {
        Ok(configuration) => Fact::Known(Configuration { notes: notes.into_vec(), ..configuration }),
        Err(why) => Fact::Failed(why),
    }
}

fn by_file(arguments: &Arguments, files: &Files, container: &Container, notes: &mut Notes) -> Result<Configuration, String> {
    let path = arguments.value(&["--config", "-c"]).map_or_else(|| CADDYFILE.to_owned(), |p| absolute("/", p));
    let adapter = arguments.value(&["--adapter", "-a"]);
    let text = files.get(&path).ok_or_else(|| format!("its configuration file {path} could not be read"))?;
    match adapter {
        None | Some("") if path.ends_with(".json") => {
            let tree = Tree::yaml(&path, text).map_err(|(place, why)| format!("{place}: {why}"))?;
            Ok(json::read(&tree, &container.image, notes))
        }
        None | Some("" | "caddyfile") => Ok(caddyfile::read(&path, text, files, container, notes)),
        Some(other) => Err(format!("its configuration file {path} is read by the adapter {other}, which is not understood")),
    }
}

/// `caddy reverse-proxy --from ADDRESS --to ADDRESS…`
fn by_command(arguments: &Arguments, container: &Container, notes: &mut Notes) -> Result<Configuration, String> {
    let has = |names: &[&str]| arguments.words().iter().any(|w| names.contains(&w.as_str()));
    let place = Place { file: format!("arguments of container {}", container.name), line: 0 };
    let from = arguments.value(&["--from", "-f"]).unwrap_or("localhost");
    let address = Address::read(from).ok_or_else(|| format!("the address {from} is not understood"))?;
    let mut proxy = Proxy { insecure: has(&["--insecure"]), ..Proxy::default() };
    for to in arguments.values(&["--to", "-t"]).flat_map(|t| t.split(',')) {
        proxy.dial(to, &place, notes);
    }
    if has(&["--change-host-header", "-c"]) {
        proxy.host = Some("{upstream_hostport}".into());
    }
    let options = Options { redirects_off: has(&["--disable-redirects", "-r"]), ..Options::default() };
    let listeners = address.listeners(false, &[], &options);
    let all = all_listeners(listeners.iter(), &options);
    let scope = Scope { listeners, conditions: vec![address.condition()], ..Scope::default() };
    let upstream = proxy.upstream(&container.image, &place, notes);
    let routes = scope.routes(&proxy, &place, &upstream, notes);
    Ok(Configuration { listeners: all, routes, ..Configuration::default() })
}
