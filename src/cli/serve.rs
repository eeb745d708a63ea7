//! `culprit controller`.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::CliError;
use crate::controller;

/// Arguments of `culprit controller`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    metrics_address: SocketAddr,
    /// Work without a lease; only for one replica
    #[arg(long)]
    no_leader_election: bool,
    /// Namespace of the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "culprit-system")]
    namespace: String,
    /// Name of this replica
    #[arg(long, env = "POD_NAME", default_value = "culprit")]
    identity: String,
    /// Routes examined at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Runs it until it is told to end.
pub async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CULPRIT_LOG").unwrap_or_else(|_| "info,kube_runtime=warn".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    let options = controller::Options {
        metrics_address: arguments.metrics_address,
        leader_election: !arguments.no_leader_election,
        namespace: arguments.namespace,
        identity: arguments.identity,
        concurrency: usize::from(arguments.concurrency),
    };
    controller::run(options).await.map_err(|e| CliError::Controller(e.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
