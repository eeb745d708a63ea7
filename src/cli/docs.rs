//! `culprit docs`: the causes' pages, for `docs/causes/`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::CliError;
use crate::causes;
use crate::report;

/// Arguments of `culprit docs`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder to write to
    folder: PathBuf,
}

/// Writes one page for each cause, and an index; pages of causes that are gone are removed.
pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).map_err(CliError::Output)?;
    for entry in std::fs::read_dir(folder).map_err(CliError::Output)? {
        let file = entry.map_err(CliError::Output)?.path();
        if file.extension().is_some_and(|e| e == "md") {
            std::fs::remove_file(file).map_err(CliError::Output)?;
        }
    }
    for cause in causes::all() {
        std::fs::write(folder.join(format!("{}.md", cause.slug)), report::causes::page(cause)).map_err(CliError::Output)?;
    }
    std::fs::write(folder.join("README.md"), report::causes::index()).map_err(CliError::Output)?;
    Ok(ExitCode::SUCCESS)
}
