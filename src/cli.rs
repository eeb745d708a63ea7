//! The command line: one file for each subcommand.
//!
//! Exit status: 0 healthy, 1 findings, 2 wrong usage, 3 could not look.

mod agent;
mod cluster;
mod containers;
mod diagnose;
mod docker;
mod docs;
mod duration;
mod error;
mod examine;
mod explain;
mod log;
mod manifests;
mod probe_stdio;
mod progress;
mod select;
mod selector;
mod serve;
mod target;
mod terminal;
mod write_status;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use error::CliError;

/// Says why a gateway answers 502 (and 500, 503, 504, resets and time-outs), with proof.
#[derive(Debug, Parser)]
#[command(name = "culprit", version, propagate_version = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Diagnose routes: why they fail, hop by hop
    Diagnose(diagnose::Arguments),
    /// Explain a cause, or list the catalogue
    Explain(explain::Arguments),
    /// Run the controller: watch routes and keep their Diagnoses
    Controller(serve::Arguments),
    /// Run the agent of a node: probe from inside its pods for the controller
    Agent(agent::Arguments),
    /// Watch Docker engines and serve their gateways' Diagnoses
    Docker(docker::Arguments),
    /// Print the installation
    Manifests(manifests::Arguments),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Answer probes on standard input, one a line, in a helper's container
    #[command(hide = true)]
    ProbeStdio,
    /// Write the causes' pages to a folder
    #[command(hide = true)]
    Docs(docs::Arguments),
}

/// Parses the arguments, runs the subcommand, and says how it ended.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            note("error", &error.to_string());
            if let Some(hint) = error.hint() {
                note("hint", &hint);
            }
            error.exit_code()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Diagnose(arguments) => runtime()?.block_on(diagnose::run(arguments)),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Controller(arguments) => runtime()?.block_on(serve::run(arguments)),
        Command::Agent(arguments) => agent::runtime()?.block_on(agent::run(arguments)),
        Command::Docker(arguments) => runtime()?.block_on(docker::run(arguments)),
        Command::Manifests(arguments) => manifests::run(&arguments),
        Command::Version => print(&format!("culprit {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "culprit", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::ProbeStdio => {
            let runtime = runtime()?;
            let ended = runtime.block_on(probe_stdio::run());
            // A thread may still wait for input that never comes.
            runtime.shutdown_background();
            ended
        }
        Command::Docs(arguments) => docs::run(&arguments),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Runtime::new().map_err(CliError::Output)
}

/// Shows a text on standard output, and ends well.
fn print(text: &str) -> Result<ExitCode, CliError> {
    show(text).map(|()| ExitCode::SUCCESS)
}

/// Writes to standard output, without colours where it is no terminal. A reader who has seen enough is no failure.
fn show(text: &str) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Says on standard error what the answer lacks.
fn warn(text: &str) {
    note("warning", text);
}

/// One line on standard error. Where even that cannot be written there is nobody to tell.
fn note(what: &str, text: &str) {
    let _ = writeln!(anstream::stderr(), "{what}: {}", crate::report::escape::line(text));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_every_subcommand_fit_together() {
        super::Arguments::command().debug_assert();
    }
}
