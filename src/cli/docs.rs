//! `culprit docs`: the causes' pages, for `docs/causes/`.

use std::path::{Path, PathBuf};
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

/// Writes one page for each cause, and an index. Pages that were generated for causes that are gone are removed; other files stay.
pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let folder = &arguments.folder;
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| CliError::File { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let file = entry.map_err(failed(folder))?.path();
        if is_generated(&file) {
            std::fs::remove_file(&file).map_err(failed(&file))?;
        }
    }
    let pages = causes::all().map(|cause| (format!("{}.md", cause.slug), report::causes::page(cause)));
    for (name, page) in pages.chain([("README.md".to_owned(), report::causes::index())]) {
        let file = folder.join(name);
        std::fs::write(&file, page).map_err(failed(&file))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a file is a page that was written by this command.
fn is_generated(file: &Path) -> bool {
    let page = file.extension().is_some_and(|e| e == "md");
    page && std::fs::read_to_string(file).is_ok_and(|text| text.starts_with(report::causes::GENERATED))
}
