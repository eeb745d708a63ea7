//! What can be wrong between us and an engine, each in a sentence that says what to do.

use std::path::PathBuf;

/// The oldest version of the Docker Engine API that is understood: that of Docker 20.10 and Podman 4.
pub const OLDEST_API: (usize, usize) = (1, 41);

/// Why an engine cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The address is none.
    #[error("{0:?} is no address of a Docker engine: unix:///path, tcp://host:port and ssh://user@host are")]
    Address(String),
    /// TLS is wanted and nothing says where the certificates are.
    #[error("{0} wants TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem and key.pem")]
    NoCertificates(String),
    /// A context is named that is not there.
    #[error("there is no docker context {name} in {}: `docker context ls` lists them", folder.display())]
    Context {
        /// Its name.
        name: String,
        /// Where contexts are kept.
        folder: PathBuf,
    },
    /// The socket does not exist.
    #[error("{} does not exist ({named_by}): the Docker engine may not run (`systemctl status docker`), or listen elsewhere (--docker-host, DOCKER_HOST)", path.display())]
    NoSocket {
        /// The socket.
        path: PathBuf,
        /// Who named it.
        named_by: String,
    },
    /// The socket may not be opened.
    #[error("{} may not be opened by this user: join the group that owns it (`sudo usermod -aG docker $USER`, then log in again), or use sudo", path.display())]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// Nobody answers.
    #[error("no Docker engine answers at {address} ({named_by}): {why}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Who named it.
        named_by: String,
        /// What came instead.
        why: String,
    },
    /// TLS fails.
    #[error("TLS with the Docker engine at {address} fails: {why}")]
    Tls {
        /// Where.
        address: String,
        /// How, with what to look at.
        why: String,
    },
    /// A file for TLS cannot be read.
    #[error("{} cannot be read for TLS with the Docker engine: {why}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// ssh ended, or the docker client there did.
    #[error("ssh to {destination} for its Docker engine fails: {why}")]
    Ssh {
        /// Where to.
        destination: String,
        /// What ssh said.
        why: String,
    },
    /// The engine is too old.
    #[error("{engine} speaks version {api} of the Docker Engine API, and {}.{} is needed: Docker 20.10, or Podman 4, or newer", OLDEST_API.0, OLDEST_API.1)]
    TooOld {
        /// Software and version: `Docker 19.03.15`, `Podman 3.4.4`.
        engine: String,
        /// The newest version of the API that it speaks.
        api: String,
    },
    /// It was reached, and a question failed.
    #[error("the Docker engine at {address} failed to say {what}: {why}")]
    Failed {
        /// Where.
        address: String,
        /// What was asked for: `its containers`.
        what: String,
        /// What it said.
        why: String,
    },
}
