//! Every way that a command can end without an answer, in a person's words.

use std::process::ExitCode;

use crate::snapshot::docker::engine::EngineError;
use crate::snapshot::files::FilesError;
use crate::snapshot::kubernetes::list::ListError;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not fit together or name nothing.
    #[error("{0}")]
    Usage(String),
    /// What is asked for does not exist.
    #[error("{what}")]
    NotFound {
        /// What does not exist, as a sentence without full stop.
        what: String,
        /// What may have been meant, or what there is.
        hint: Option<String>,
    },
    /// Manifests could not be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The cluster could not be looked at.
    #[error(transparent)]
    Cluster(#[from] ListError),
    /// The Docker engine could not be looked at.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No cluster is configured, or its configuration cannot be used.
    #[error("{0}")]
    Kubeconfig(String),
    /// The credentials that the kubeconfig names cannot be had.
    #[error("the credentials of the kubeconfig cannot be used: {0}")]
    Credentials(String),
    /// A status could not be written.
    #[error("{what} could not be written: {why}")]
    Write {
        /// The object.
        what: String,
        /// The API server's words.
        why: String,
        /// Whether the API server does not know the resource.
        unserved: bool,
    },
    /// A file or folder could not be written.
    #[error("{path} cannot be written: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The controller ended.
    #[error("{0}")]
    Controller(String),
    /// Standard output could not be written.
    #[error("the output could not be written: {0}")]
    Output(std::io::Error),
}

impl CliError {
    /// 2 for what the caller can put right on the command line, 3 for what could not be looked at.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            CliError::Usage(_) | CliError::NotFound { .. } | CliError::Files(_) | CliError::File { .. } => ExitCode::from(2),
            CliError::Cluster(_)
            | CliError::Engine(_)
            | CliError::Kubeconfig(_)
            | CliError::Credentials(_)
            | CliError::Write { .. }
            | CliError::Controller(_)
            | CliError::Output(_) => ExitCode::from(3),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            CliError::NotFound { hint, .. } => return hint.clone(),
            CliError::Cluster(ListError::Unreachable { .. }) => "check the address in the kubeconfig and whether the server runs",
            CliError::Cluster(ListError::Unauthorized { .. }) | CliError::Credentials(_) => {
                "log in again, or choose another context with --context"
            }
            CliError::Cluster(ListError::Forbidden { .. }) => {
                "ask for the right to list ingresses and services, or name a namespace that you may read with -n"
            }
            CliError::Kubeconfig(_) => "set KUBECONFIG or --kubeconfig, or diagnose manifests with -f",
            CliError::Write { unserved: true, .. } => "install the resource first: culprit manifests --crds | kubectl apply -f -",
            CliError::Write { .. } => "ask for the right to create diagnoses and to patch diagnoses/status",
            // The engine's errors say themselves what to do.
            CliError::Engine(_) => return None,
            CliError::Usage(_) | CliError::Files(_) | CliError::File { .. } | CliError::Controller(_) | CliError::Output(_) => return None,
        };
        Some(hint.into())
    }
}
