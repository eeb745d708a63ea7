//! `culprit controller`.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::CliError;
use super::log::{self, LogFormat};
use crate::controller::{self, agents, hosts};
use crate::snapshot::docker::engine::{Endpoint, Environment};

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
    /// Requests a second, over all routes, that ask between examinations whether a route still answers as it did; 0 sends none
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pulses: u16,
    /// Serve agents, and probe from inside gateways' pods
    #[arg(long)]
    agents: bool,
    /// Where agents are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443", requires = "agents")]
    agents_address: SocketAddr,
    /// Namespace of the agents
    #[arg(long, default_value = "culprit-agents", requires = "agents")]
    agents_namespace: String,
    /// Docker engine whose gateways are watched, too, and get their Diagnoses in this namespace; as often as there are several
    #[arg(long, value_name = "URL")]
    docker_host: Vec<String>,
    /// Image of the helper that probes where an engine's namespaces cannot be entered
    #[arg(long, value_name = "IMAGE", default_value = crate::IMAGE, requires = "docker_host")]
    helper_image: String,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Runs it until it is told to end.
pub async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    log::begin(arguments.log_format);
    let environment = Environment::of_process();
    let engines = arguments.docker_host.iter().map(|host| Endpoint::find(Some(host), &environment)).collect::<Result<Vec<_>, _>>()?;
    let options = controller::Options {
        metrics_address: arguments.metrics_address,
        leader_election: !arguments.no_leader_election,
        namespace: arguments.namespace,
        identity: arguments.identity,
        concurrency: usize::from(arguments.concurrency),
        pulses: u32::from(arguments.pulses),
        agents: arguments.agents.then_some(agents::Options { address: arguments.agents_address, namespace: arguments.agents_namespace }),
        hosts: hosts::Options { engines, helper_image: arguments.helper_image },
    };
    controller::run(options).await.map_err(|e| CliError::Controller(e.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
