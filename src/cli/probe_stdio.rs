//! `culprit probe-stdio`: what a helper's container runs.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::{BufReader, stdin, stdout};

use super::CliError;
use crate::vantage::here::Here;
use crate::vantage::stdio;

/// Answers probes on standard input until it ends.
pub async fn run() -> Result<ExitCode, CliError> {
    let served = stdio::serve(Arc::new(Here::new()), BufReader::new(stdin()), stdout()).await;
    match served {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(CliError::Usage(error.to_string())),
    }
}
