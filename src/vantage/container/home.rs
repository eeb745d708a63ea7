//! Where an engine lives, as far as it can be told from here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;

use crate::snapshot::objects::docker::Engine;

/// Limit for the engine's socket to take a connection.
const LIMIT: Duration = Duration::from_secs(1);

/// What listens at an engine's socket in the engine's own network, by its process' name: itself, or what starts it when it is asked.
const LISTENERS: &[&str] = &["dockerd", "podman", "systemd", "init"];

/// Where an engine lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Behind this socket, at whose other end it is itself, or the process that listens for it.
    Socket(PathBuf),
    /// Elsewhere, or where that cannot be told: behind an address, a tunnel, or in a virtual machine whose socket is a proxy's.
    Elsewhere,
}

impl Home {
    /// Of an engine that is asked at this URL.
    pub fn of(url: &str, engine: &Engine) -> Self {
        let is_proxied = engine.is_apart() && !engine.rootless;
        match url.strip_prefix("unix://") {
            Some(socket) if !is_proxied => Home::Socket(socket.into()),
            _ => Home::Elsewhere,
        }
    }

    /// The number of a process in the engine's network. Nothing where it cannot be seen from here, as from another namespace of processes, or
    /// where something else passes the engine's socket on, as a proxy or a tunnel into a virtual machine.
    pub async fn engine(&self, proc: &Path) -> Option<u32> {
        let Home::Socket(socket) = self else { return None };
        let stream = tokio::time::timeout(LIMIT, UnixStream::connect(socket)).await.ok()?.ok()?;
        let peer = u32::try_from(stream.peer_cred().ok()?.pid()?).ok().filter(|pid| *pid != 0)?;
        let name = tokio::fs::read_to_string(proc.join(peer.to_string()).join("comm")).await.ok()?;
        LISTENERS.contains(&name.trim()).then_some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_socket_is_not_the_engines() {
        let engine = |operating_system: &str, rootless| Engine { operating_system: operating_system.into(), rootless, ..Engine::default() };
        let (url, socket) = ("unix:///run/docker.sock", Home::Socket("/run/docker.sock".into()));
        assert_eq!(Home::of(url, &engine("Debian GNU/Linux 12", false)), socket);
        assert_eq!(Home::of(url, &engine("Debian GNU/Linux 12", true)), socket);
        assert_eq!(Home::of(url, &engine("Docker Desktop", false)), Home::Elsewhere);
        assert_eq!(Home::of("tcp://192.0.2.1:2376", &engine("Debian GNU/Linux 12", false)), Home::Elsewhere);
    }

    #[tokio::test]
    async fn the_process_behind_a_socket_is_found_where_it_is_an_engine() {
        let folder = tempfile::tempdir().expect("a folder");
        let (socket, own) = (folder.path().join("engine.sock"), folder.path().join(std::process::id().to_string()));
        let engine = async || Home::Socket(socket.clone()).engine(folder.path()).await;
        assert_eq!(engine().await, None);
        let _listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        std::fs::create_dir(&own).expect("a folder");
        for (name, found) in [("dockerd\n", Some(std::process::id())), ("ssh\n", None), ("", None)] {
            std::fs::write(own.join("comm"), name).expect("a file");
            assert_eq!(engine().await, found, "{name}");
        }
        assert_eq!(Home::Elsewhere.engine(folder.path()).await, None);
    }
}
