//! What Traefik is told when it starts: entry points and providers, from a file, else from arguments, else from the environment.

use std::net::IpAddr;

use super::rule::{self, Expression};
use crate::evidence::config::arguments::Arguments;
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{Files, Note, Place};
use crate::snapshot::objects::docker::Container;

/// Default of providers.docker.defaultRule.
pub(super) const DEFAULT_RULE: &str = "Host(`{{ normalize .Name }}`)";
/// Where a file is looked for without an option that names one, in this order.
const FILES: [&str; 6] = [
    "/etc/traefik/traefik.toml",
    "/etc/traefik/traefik.yaml",
    "/etc/traefik/traefik.yml",
    "/traefik.toml",
    "/traefik.yaml",
    "/traefik.yml",
];
/// Options of `providers` that name no provider of routes.
const NO_PROVIDERS: [&str; 2] = ["providersthrottleduration", "precedence"];

/// The start-up configuration.
#[derive(Debug, Default)]
pub(super) struct Startup {
    /// Where clients are awaited.
    pub entry_points: Vec<EntryPoint>,
    /// The Docker provider, where it is on.
    pub docker: Option<Docker>,
    /// Files or the one folder of the file provider, where it is on.
    pub file: Option<FileProvider>,
    /// serversTransport: how servers are spoken to without an order of their own.
    pub transport: Option<Tree>,
    /// What could not be understood.
    pub notes: Vec<Note>,
}

/// An entry point.
#[derive(Clone, Debug)]
pub(super) struct EntryPoint {
    /// Its name.
    pub name: String,
    /// The address that it binds.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether its routers speak TLS unless they say otherwise.
    pub tls: bool,
    /// What gets their certificates then.
    pub resolver: Option<String>,
    /// Whether routers that name no entry point are served here.
    pub is_default: bool,
    /// Whether every request is redirected to another entry point.
    pub redirects: bool,
    /// Middlewares in front of those of its routers.
    pub middlewares: Vec<String>,
}

/// The Docker provider.
#[derive(Debug)]
pub(super) struct Docker {
    /// Whether containers are served that do not say so.
    pub exposed_by_default: bool,
    /// The network to take addresses from.
    pub network: Option<String>,
    /// Template of the rule of routers without one.
    pub default_rule: String,
    /// What the labels must meet; an error where it is not understood.
    pub constraints: Option<Result<Expression, String>>,
    /// Whether unhealthy containers keep their routers, without servers.
    pub allows_empty: bool,
    /// Whether published addresses come first.
    pub uses_published: bool,
}

/// The file provider.
#[derive(Debug)]
pub(super) enum FileProvider {
    /// One file.
    File(String),
    /// Every YAML and TOML file below a folder.
    Folder(String),
}

/// Reads what Traefik is told when it starts.
///
/// # Errors
/// Why it is not known.
pub(super) fn read(files: &Files, container: &Container) -> Result<Startup, String> {
    let tree = tree(files, container)?;
    let mut startup = Startup { transport: tree.get("serverstransport").cloned(), ..Startup::default() };
    read_entry_points(&tree, &mut startup);
    let providers = tree.get("providers").map(Tree::entries).unwrap_or_default();
    for (name, provider) in providers {
        match name.to_ascii_lowercase().as_str() {
            _ if provider.as_text() == Some("false") => {}
            "docker" => {
                if provider.truth("swarmmode") == Some(true) {
                    let text = "labels of Swarm services are not read".to_owned();
                    startup.notes.push(Note { place: provider.place.clone(), text });
                }
                startup.docker = Some(docker(provider));
            }
            "file" => startup.file = file_provider(provider),
            other if NO_PROVIDERS.contains(&other) => {}
            _ => startup.notes.push(Note { place: provider.place.clone(), text: format!("routes from the provider {name} are not read") }),
        }
    }
    Ok(startup)
}

fn tree(files: &Files, container: &Container) -> Result<Tree, String> {
    let arguments = arguments(container);
    let named = arguments.text("configfile").or_else(|| container.variable("TRAEFIK_CONFIGFILE")).map(str::to_owned);
    let found = match &named {
        Some(path) => Some(files.get_key_value(path).ok_or_else(|| format!("its configuration file {path} could not be read"))?),
        None => FILES.iter().find_map(|path| files.get_key_value(*path)),
    };
    if let Some((path, text)) = found {
        return Tree::file(path, text).map_err(|(place, why)| format!("{place}: {why}"));
    }
    if arguments.entries().is_empty() { Ok(environment(container)) } else { Ok(arguments) }
}

/// The options among the arguments. An option's value stands behind `=` or is the next argument; one without a value is true.
fn arguments(container: &Container) -> Tree {
    let mut tree = Tree::default();
    let arguments = Arguments::of(container, &["traefik"]);
    let words = arguments.words();
    for (at, word) in words.iter().enumerate() {
        let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|o| !o.is_empty()) else { continue };
        let place = Place { file: format!("argument {} of container {}", at + 1, container.name), line: 0 };
        let next = words.get(at + 1).filter(|n| !n.starts_with('-'));
        let (name, value) = option.split_once('=').unwrap_or((option, next.map_or("true", String::as_str)));
        tree.insert(name, value, &place);
    }
    tree
}

fn environment(container: &Container) -> Tree {
    let mut tree = Tree::default();
    for (name, value) in &container.environment {
        let Some(rest) = name.get(..8).filter(|p| p.eq_ignore_ascii_case("TRAEFIK_")).and(name.get(8..)) else { continue };
        let place = Place { file: format!("environment {name} of container {}", container.name), line: 0 };
        tree.insert(&rest.to_ascii_lowercase().replace('_', "."), value, &place);
    }
    tree
}

fn read_entry_points(tree: &Tree, startup: &mut Startup) {
    let named = tree.get("entrypoints").map(Tree::entries).unwrap_or_default();
    let some_default = named.iter().any(|(_, e)| e.truth("asdefault") == Some(true));
    for (name, entry) in named {
        let Some((address, port)) = entry.text("address").and_then(socket) else {
            if !entry.text("address").is_some_and(|a| a.ends_with("/udp")) {
                let text = format!("the address of the entry point {name} is not understood");
                startup.notes.push(Note { place: entry.place.clone(), text });
            }
            continue;
        };
        startup.entry_points.push(EntryPoint {
            name: name.clone(),
            address,
            port,
            tls: entry.has("http.tls"),
            resolver: entry.text("http.tls.certresolver").map(str::to_owned),
            is_default: if some_default { entry.truth("asdefault") == Some(true) } else { !name.eq_ignore_ascii_case("traefik") },
            redirects: entry.has("http.redirections.entrypoint.to"),
            middlewares: entry.texts("http.middlewares").into_iter().map(str::to_owned).collect(),
        });
    }
    let is_named = |name: &str| startup.entry_points.iter().any(|e| e.name.eq_ignore_ascii_case(name));
    let inside = tree.truth("api.insecure") == Some(true) && !is_named("traefik");
    if !named.iter().any(|(name, _)| !name.eq_ignore_ascii_case("traefik")) {
        startup.entry_points.push(plain("http", 80, true));
    }
    if inside {
        startup.entry_points.push(plain("traefik", 8080, false));
    }
}

fn plain(name: &str, port: u16, is_default: bool) -> EntryPoint {
    let address = IpAddr::from([0, 0, 0, 0]);
    EntryPoint { name: name.into(), address, port, tls: false, resolver: None, is_default, redirects: false, middlewares: Vec::new() }
}

/// `[HOST]:PORT[/tcp]`
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let text = text.strip_suffix("/tcp").unwrap_or(text);
    let (host, port) = text.rsplit_once(':')?;
    let address = match host.trim_matches(['[', ']']) {
        "" => IpAddr::from([0, 0, 0, 0]),
        host => host.parse().ok()?,
    };
    Some((address, port.parse().ok().filter(|p| *p != 0)?))
}

fn docker(provider: &Tree) -> Docker {
    Docker {
        exposed_by_default: provider.truth("exposedbydefault").unwrap_or(true),
        network: provider.text("network").filter(|n| !n.is_empty()).map(str::to_owned),
        default_rule: provider.text("defaultrule").unwrap_or(DEFAULT_RULE).to_owned(),
        constraints: provider.text("constraints").filter(|c| !c.is_empty()).map(rule::parse),
        allows_empty: provider.truth("allowemptyservices").unwrap_or(false),
        uses_published: provider.truth("usebindportip").unwrap_or(false),
    }
}

fn file_provider(provider: &Tree) -> Option<FileProvider> {
    // With both the folder is taken.
    match (provider.text("directory"), provider.text("filename")) {
        (Some(folder), _) => Some(FileProvider::Folder(folder.trim_end_matches('/').to_owned())),
        (None, Some(file)) => Some(FileProvider::File(file.to_owned())),
        (None, None) => None,
    }
}
