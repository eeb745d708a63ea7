//! `culprit explain`: a cause's documentation, or the catalogue.

use std::process::ExitCode;

use super::{CliError, print};
use crate::causes;
use crate::report;

/// Arguments of `culprit explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A cause; the catalogue where it is left out
    cause: Option<String>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let Some(slug) = &arguments.cause else { return print(&report::causes::catalogue()) };
    match causes::by_slug(slug) {
        Some(cause) => print(&report::causes::explanation(cause)),
        None => {
            let mut near: Vec<_> = causes::all().map(|c| (strsim::osa_distance(c.slug, slug), c.slug)).collect();
            near.sort_unstable();
            let near = near.into_iter().filter(|(d, s)| *d <= 6 || s.contains(slug.as_str())).take(3);
            Err(CliError::NotFound { what: format!("cause {slug:?}"), near: near.map(|(_, s)| s.to_owned()).collect() })
        }
    }
}
