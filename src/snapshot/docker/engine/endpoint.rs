//! Which engine is meant, as the docker client finds it: an option, DOCKER_HOST, a context, or the socket of this host.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::EngineError;

/// Where an engine of this host listens.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// Ports of an engine that listens in the network, without and with TLS (IANA: docker, docker-s).
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;
/// The context that stands for no context.
const DEFAULT_CONTEXT: &str = "default";

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is reached.
    pub address: Address,
    /// Who named it, for messages: `DOCKER_HOST`, `context lab` …
    pub named_by: String,
}

/// How an engine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of this host.
    Unix(PathBuf),
    /// A named pipe of this host (Windows).
    Pipe(String),
    /// A TCP port, with TLS or without.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Whom to trust and who we are.
        tls: Option<TlsFiles>,
    },
    /// Through the `ssh` program and `docker system dial-stdio` there.
    Ssh {
        /// As ssh takes it: `user@host` or `host`.
        destination: String,
        /// Port; ssh's own default without.
        port: Option<u16>,
        /// The socket there, where it is not the default.
        socket: Option<String>,
    },
}

/// Files for TLS with an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Folder of `ca.pem`, `cert.pem` and `key.pem`.
    pub folder: PathBuf,
    /// Whether the engine's certificate is checked.
    pub verifies: bool,
}

/// What of the environment names an engine.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// DOCKER_HOST
    pub host: Option<String>,
    /// DOCKER_CONTEXT
    pub context: Option<String>,
    /// DOCKER_TLS_VERIFY or DOCKER_TLS is set; whether it is the former.
    pub tls: Option<bool>,
    /// DOCKER_CERT_PATH
    pub certificates: Option<PathBuf>,
    /// DOCKER_CONFIG, else ~/.docker
    pub folder: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let home = || text("HOME").or_else(|| text("USERPROFILE")).map(|home| Path::new(&home).join(".docker"));
        Environment {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            tls: text("DOCKER_TLS_VERIFY").map(|_| true).or_else(|| text("DOCKER_TLS").map(|_| false)),
            certificates: text("DOCKER_CERT_PATH").map(PathBuf::from),
            folder: text("DOCKER_CONFIG").map(PathBuf::from).or_else(home),
        }
    }

    /// TLS as variables ask for it.
    fn tls(&self) -> Option<TlsFiles> {
        let folder = self.certificates.clone().or_else(|| self.folder.clone()).unwrap_or_default();
        self.tls.map(|verifies| TlsFiles { folder, verifies })
    }
}

impl Endpoint {
    /// The engine that is meant: by an option (`--docker-host`), DOCKER_HOST, DOCKER_CONTEXT, the current context, or that of this host.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where an address or context is named that cannot be understood or read.
    pub fn find(option: Option<&str>, environment: &Environment) -> Result<Self, EngineError> {
        let named = option.map(|host| (host, "--docker-host")).or(environment.host.as_deref().map(|host| (host, "DOCKER_HOST")));
        if let Some((host, by)) = named {
            return Ok(Endpoint { address: Address::parse(host, environment.tls())?, named_by: by.to_owned() });
        }
        let context = match &environment.context {
            Some(context) => Some(context.clone()),
            None => environment.folder.as_deref().and_then(current_context),
        };
        match context.filter(|name| name != DEFAULT_CONTEXT) {
            Some(name) => of_context(&name, environment.folder.as_deref().unwrap_or(Path::new("."))),
            None => Ok(Endpoint { address: Address::local(), named_by: "the default".to_owned() }),
        }
    }
}

impl Address {
    /// The socket of an engine on this host.
    fn local() -> Self {
        if cfg!(windows) { Address::Pipe("//./pipe/docker_engine".to_owned()) } else { Address::Unix(DEFAULT_SOCKET.into()) }
    }

    /// Reads `unix://`, `tcp://`, `http://`, `https://`, `ssh://` and `npipe://` addresses, and `host:port`.
    fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self, EngineError> {
        let wrong = || EngineError::Address(text.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or((if text.starts_with('/') { "unix" } else { "tcp" }, text));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Address::Unix(rest.into())),
            "npipe" => Ok(Address::Pipe(rest.to_owned())),
            "tcp" | "http" | "https" => {
                let tls = tls.filter(|_| scheme != "http");
                let default = if tls.is_some() { TLS_PORT } else { PLAIN_PORT };
                let (host, port) = host_and_port(rest.trim_end_matches('/')).ok_or_else(wrong)?;
                if scheme == "https" && tls.is_none() {
                    return Err(EngineError::NoCertificates(text.to_owned()));
                }
                Ok(Address::Tcp { host, port: port.unwrap_or(default), tls })
            }
            "ssh" => {
                let (destination, path) = rest.split_once('/').map_or((rest, None), |(d, path)| (d, Some(path)));
                let (user, host) = destination.rsplit_once('@').map_or((None, destination), |(user, host)| (Some(user), host));
                let (host, port) = host_and_port(host).ok_or_else(wrong)?;
                // What begins with a dash would be an option of ssh.
                if host.starts_with('-') || user.is_some_and(|u| u.is_empty() || u.starts_with('-') || u.contains(':')) {
                    return Err(wrong());
                }
                let destination = user.map_or(host.clone(), |user| format!("{user}@{host}"));
                let socket = path.filter(|p| !p.is_empty()).map(|path| format!("/{path}"));
                Ok(Address::Ssh { destination, port, socket })
            }
            _ => Err(wrong()),
        }
    }

    /// Whether the engine's host is this one.
    pub fn is_local(&self) -> bool {
        matches!(self, Address::Unix(_) | Address::Pipe(_))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Pipe(name) => write!(f, "npipe://{name}"),
            Address::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Address::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Address::Ssh { destination, port: Some(port), .. } => write!(f, "ssh://{destination}:{port}"),
            Address::Ssh { destination, port: None, .. } => write!(f, "ssh://{destination}"),
        }
    }
}

/// A host, and its port where one is written; `[::1]:2375` among them.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(str::parse).transpose().ok()?;
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ', '?']) && !host.chars().any(char::is_control);
    is_host.then(|| (host.to_owned(), port))
}

/// The docker client's own configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfig {
    current_context: Option<String>,
}

/// `contexts/meta/<digest>/meta.json`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextFile {
    name: String,
    #[serde(default)]
    endpoints: ContextEndpoints,
}

#[derive(Default, Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    host: Option<String>,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

fn current_context(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
    serde_json::from_str::<ClientConfig>(&text).ok()?.current_context.filter(|name| !name.is_empty())
}

/// The engine of a context. Its folder is named by a digest of its name, which is looked for by the name inside.
fn of_context(name: &str, folder: &Path) -> Result<Endpoint, EngineError> {
    let contexts = folder.join("contexts");
    let missing = || EngineError::Context { name: name.to_owned(), folder: contexts.clone() };
    let entries = std::fs::read_dir(contexts.join("meta")).map_err(|_| missing())?;
    for entry in entries.flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("meta.json")) else { continue };
        let Ok(file) = serde_json::from_str::<ContextFile>(&text) else { continue };
        if file.name != name {
            continue;
        }
        let endpoint = file.endpoints.docker.ok_or_else(missing)?;
        let certificates = contexts.join("tls").join(entry.file_name()).join("docker");
        let has_tls = certificates.is_dir() || endpoint.skip_tls_verify;
        let tls = has_tls.then_some(TlsFiles { folder: certificates, verifies: !endpoint.skip_tls_verify });
        let address = match endpoint.host.filter(|host| !host.is_empty()) {
            Some(host) => Address::parse(&host, tls)?,
            None => Address::local(),
        };
        return Ok(Endpoint { address, named_by: format!("context {name}") });
    }
    Err(missing())
}

#[cfg(test)]
mod tests;
