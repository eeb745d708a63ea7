//! `culprit agent`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::CliError;
use super::log::{self, LogFormat};
use crate::agent::{echo, run};
use crate::connectivity::ECHO;
use crate::controller::terminated;
use crate::vantage::inside::{Pods, Roots};

/// Threads that serve sessions. Pods have threads of their own, so that a node with many processors needs no more, and each takes memory.
const WORKERS: usize = 2;
/// Threads that read files at most: more than look into pods at once, so that a file that hangs holds up nobody else.
const READERS: usize = 32;

/// Arguments of `culprit agent`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the controller is; every address of the host is asked to let this agent in
    #[arg(long, value_name = "HOST:PORT", default_value = "culprit-agents.culprit-system.svc:8443")]
    controller: String,
    /// The name that the controller's certificate carries, where that is not its host
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// File with the certificates that are trusted
    #[arg(long, value_name = "FILE", default_value = "/var/run/culprit/ca.crt")]
    ca_file: PathBuf,
    /// File with the ServiceAccount token that is shown to the controller
    #[arg(long, value_name = "FILE", default_value = "/var/run/culprit/token")]
    token_file: PathBuf,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// What it runs on, as small on every node.
pub fn runtime() -> Result<Runtime, CliError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(WORKERS).max_blocking_threads(READERS).enable_all().build().map_err(CliError::Output)
}

/// Runs it until it is told to end.
pub async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    log::begin(arguments.log_format);
    let options = run::Options {
        controller: arguments.controller,
        server_name: arguments.server_name,
        ca: arguments.ca_file,
        token: arguments.token_file,
        // Without one there are no name servers, and only an address leads to the controller.
        resolv_conf: std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    };
    let ended = CancellationToken::new();
    let until = ended.clone();
    tokio::spawn(async move {
        terminated().await;
        until.cancel();
    });
    let until = ended.clone();
    tokio::spawn(async move {
        let Err(error) = echo::serve(ECHO).await;
        tracing::error!(%error, port = ECHO, "other nodes cannot be let connect");
        until.cancel();
    });
    let works = Arc::new(Pods::new(Roots::default()));
    run::run(options, works, ended).await.map_err(|e| CliError::Usage(e.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
