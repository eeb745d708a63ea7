//! `culprit docker`: watches Docker engines, and serves what their gateways' Diagnoses say.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use super::log::{self, LogFormat};
use super::{CliError, cluster, duration};
use crate::engines::{self, Options, Writer};
use crate::snapshot::docker::engine::{Connection, Endpoint, Environment};

/// Arguments of `culprit docker`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Docker engine, as often as there are several; as the docker client finds it where it is left out
    #[arg(long, value_name = "URL")]
    docker_host: Vec<String>,
    /// Where /metrics, /healthz and /diagnoses are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How often each gateway is asked while nothing changes
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    interval: Duration,
    /// Image of the helper that probes where namespaces cannot be entered
    #[arg(long, value_name = "IMAGE", default_value = crate::IMAGE)]
    helper_image: String,
    /// Write the Diagnoses as resources, too, into this namespace of the cluster that the kubeconfig names
    #[arg(long, value_name = "NAMESPACE")]
    write_diagnoses: Option<String>,
    #[command(flatten)]
    cluster: cluster::Arguments,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Runs it until it is told to end.
pub async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    log::begin(arguments.log_format);
    let environment = Environment::of_process();
    let mut connections = Vec::new();
    let hosts: Vec<Option<&str>> =
        if arguments.docker_host.is_empty() { vec![None] } else { arguments.docker_host.iter().map(|h| Some(h.as_str())).collect() };
    for host in hosts {
        connections.push(Connection::open(Endpoint::find(host, &environment)?).await?);
    }
    let writer = match arguments.write_diagnoses {
        Some(namespace) => Some(Writer::new(cluster::connect(&arguments.cluster).await?.client, namespace)),
        None => None,
    };
    let options = Options { interval: arguments.interval, helper_image: arguments.helper_image, writer };
    engines::run(connections, arguments.listen, &options)
        .await
        .map_err(|error| CliError::Controller(format!("{} cannot be served: {error}", arguments.listen)))?;
    Ok(ExitCode::SUCCESS)
}
