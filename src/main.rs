//! The `culprit` binary: arguments to a subcommand, nothing else.

use std::process::ExitCode;

// A quarter of an analysis was the system allocator's (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    culprit::cli::main()
}
