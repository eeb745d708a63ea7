//! The `culprit` binary: arguments to a subcommand, nothing else.

fn main() {}
