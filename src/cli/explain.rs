//! `culprit explain`: a cause's documentation, or the catalogue.

use std::process::ExitCode;

use super::{CliError, print, select};
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
            let near = select::nearest(causes::all().map(|c| c.slug), slug, 3);
            let hint = if near.is_empty() {
                "culprit explain lists every cause".to_owned()
            } else {
                format!("did you mean {}?", near.join(" or "))
            };
            Err(CliError::NotFound { what: format!("there is no cause {slug:?}"), hint: Some(hint) })
        }
    }
}
