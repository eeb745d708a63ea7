//! Asking a Docker engine: its containers, networks, files of gateways, logs and events. Reads only.

mod archive;
mod dial;
mod endpoint;
mod error;
mod events;
mod load;
mod log;
mod ssh;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use dial::{Dialer, Wire};
pub use endpoint::{Address, Endpoint, Environment, TlsFiles};
pub use error::{EngineError, OLDEST_API};
pub use events::{Touched, watch};
pub use load::{load, load_again, load_touched};
pub use log::log;

use crate::report::escape;

/// Limit for the beginning of an answer.
const LIMIT_SECONDS: u64 = 30;
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(20);
/// Questions that are under way at the same time; through ssh each is a process here and there, and servers admit few at once.
const AT_ONCE: usize = 32;
const AT_ONCE_BY_SSH: usize = 6;

/// A way to ask an engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection {
    docker: Docker,
    endpoint: Arc<Endpoint>,
    software: Arc<str>,
}

impl Connection {
    /// Connects to an engine and makes sure that it is understood.
    ///
    /// # Errors
    ///
    /// [`EngineError`], which says what to do.
    pub async fn open(endpoint: Endpoint) -> Result<Self, EngineError> {
        let dialer = Dialer::new(endpoint)?;
        let asked = async {
            let docker = client(&dialer)?;
            docker.version().await.map(|version| (docker, version))
        };
        let (docker, version) = match asked.await {
            Ok(answer) => answer,
            Err(error) => return Err(why_not(&dialer, &error).await),
        };
        let software = software(&version);
        let api = version.api_version.unwrap_or_default();
        if number(&api).is_none_or(|api| api < OLDEST_API) {
            return Err(EngineError::TooOld { engine: software, api: escape::line(&api) });
        }
        Ok(Connection { docker, endpoint: Arc::new(dialer.endpoint().clone()), software: software.into() })
    }

    /// The client of the engine's API.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The engine's software and version: `Docker 29.1.3`, `Podman 5.4.0`.
    pub fn software(&self) -> &str {
        &self.software
    }

    /// How many questions may be under way at the same time.
    fn at_once(&self) -> usize {
        if matches!(self.endpoint.address, Address::Ssh { .. }) { AT_ONCE_BY_SSH } else { AT_ONCE }
    }

    /// A question that failed.
    fn failed(&self, what: &str, error: &bollard::errors::Error) -> EngineError {
        EngineError::Failed { address: self.endpoint.address.to_string(), what: what.to_owned(), why: said(error) }
    }
}

/// A client whose connections are the dialer's, and are kept for the next question.
fn client(dialer: &Dialer) -> Result<Docker, bollard::errors::Error> {
    let dial = dialer.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let dial = dial.clone();
        Box::pin(async move { dial.dial().await.map(|stream| Wire(TokioIo::new(stream))) })
    });
    let client: Client<_, _> = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(AT_ONCE)
        .pool_timer(TokioTimer::new())
        .build(connector);
    let ask = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.request(request).await.map_err(|e| std::io::Error::other(e).into()) }
    };
    // The name only fills the Host header.
    Docker::connect_with_custom_transport(ask, Some("http://docker"), LIMIT_SECONDS, API_DEFAULT_VERSION)
}

/// Why the first question failed: the connection as far as it can be told, else what the engine said.
async fn why_not(dialer: &Dialer, error: &bollard::errors::Error) -> EngineError {
    let (address, named_by) = (dialer.endpoint().address.to_string(), dialer.endpoint().named_by.clone());
    if let Address::Ssh { destination, .. } = &dialer.endpoint().address {
        let why = dialer.complaint().unwrap_or_else(|| said(error));
        return EngineError::Ssh { destination: destination.clone(), why };
    }
    match dialer.dial().await {
        Err(error) => error,
        Ok(_) => EngineError::Unreachable { address, named_by, why: said(error) },
    }
}

/// An error with what is below it, on one line.
fn said(error: &bollard::errors::Error) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = error.source();
    }
    escape::line(&text.chars().take(300).collect::<String>())
}

/// `Docker 29.1.3`, or `Podman 5.4.0` by its components.
fn software(version: &SystemVersion) -> String {
    let components = version.components.iter().flatten();
    let podman = components.clone().find(|c| c.name.to_ascii_lowercase().contains("podman"));
    let (name, number) = match podman {
        Some(component) => ("Podman", Some(&component.version)),
        None => ("Docker", version.version.as_ref()),
    };
    escape::line(&[name, number.map_or("", String::as_str)].join(" ")).trim_end().to_owned()
}

fn number(api: &str) -> Option<(usize, usize)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_is_told_by_its_components() {
        let version = r#"{"Version": "5.4.0", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "5.4.0"}]}"#;
        assert_eq!(software(&serde_json::from_str(version).unwrap()), "Podman 5.4.0");
        let version = r#"{"Version": "29.1.3", "ApiVersion": "1.53", "Components": [{"Name": "Engine", "Version": "29.1.3"}]}"#;
        assert_eq!(software(&serde_json::from_str(version).unwrap()), "Docker 29.1.3");
    }

    #[test]
    fn versions_are_numbers_and_not_texts() {
        assert!(number("1.100") > number("1.41"));
        assert!(number("1.24") < Some(OLDEST_API));
        assert_eq!(number("one"), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn no_socket_and_nobody_behind_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let endpoint = || Endpoint { address: Address::Unix(path.clone()), named_by: "DOCKER_HOST".into() };
        let gone = Connection::open(endpoint()).await.unwrap_err();
        assert!(matches!(gone, EngineError::NoSocket { .. }), "{gone}");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let dead = Connection::open(endpoint()).await.unwrap_err();
        assert!(matches!(dead, EngineError::Unreachable { .. }), "{dead}");
    }
}
