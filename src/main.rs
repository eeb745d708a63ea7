//! The `culprit` binary: arguments to a subcommand, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    culprit::cli::main()
}
