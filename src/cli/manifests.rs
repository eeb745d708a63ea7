//! `culprit manifests`: the installation, for `kubectl apply -f -`.

use std::process::ExitCode;

use kube::CustomResourceExt;

use super::{CliError, print};
use crate::api::Diagnosis;

/// The whole installation, as it is kept in the repository.
const INSTALLATION: &str = include_str!("../../deploy/culprit.yaml");
/// Namespace and image that the kept installation has.
const NAMESPACE: &str = "culprit-system";
const IMAGE: &str = concat!("localhost/culprit:", env!("CARGO_PKG_VERSION"));

/// Arguments of `culprit manifests`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Namespace to install into
    #[arg(short, long, default_value = NAMESPACE)]
    namespace: String,
    /// Image to run
    #[arg(long, default_value = IMAGE)]
    image: String,
    /// Only the custom resource definitions
    #[arg(long)]
    crds: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    if arguments.crds {
        return print(&crds());
    }
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if arguments.namespace.is_empty() || arguments.namespace.len() > 63 || !arguments.namespace.chars().all(valid) {
        return Err(CliError::Usage(format!("{:?} is no name of a namespace", arguments.namespace)));
    }
    // Both names stand in the kept file as whole words, which a test checks, so replacing the text is exact.
    print(&INSTALLATION.replace(NAMESPACE, &arguments.namespace).replace(IMAGE, &arguments.image))
}

/// The custom resource definitions, generated from the types.
fn crds() -> String {
    let definition = serde_json::to_value(Diagnosis::crd()).unwrap_or_default();
    let yaml = serde_yaml::to_string(&definition).unwrap_or_default();
    format!("# Generated from src/api by `culprit manifests --crds`; do not edit.\n{yaml}")
}
