//! Every way that a command can end without an answer, in a person's words.

use std::process::ExitCode;

use crate::snapshot::files::FilesError;
use crate::snapshot::kubernetes::list::ListError;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not fit together or name nothing.
    #[error("{0}")]
    Usage(String),
    /// What is asked for does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// The object.
        what: String,
        /// What may have been meant.
        near: Vec<String>,
    },
    /// Manifests could not be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The cluster could not be looked at.
    #[error(transparent)]
    Cluster(#[from] ListError),
    /// No way to reach a cluster is configured.
    #[error("no cluster is configured: {0}")]
    Kubeconfig(String),
    /// A status could not be written.
    #[error("{what} could not be written: {why}")]
    Write {
        /// The object.
        what: String,
        /// The API server's words.
        why: String,
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
            CliError::Usage(_) | CliError::NotFound { .. } | CliError::Files(_) => ExitCode::from(2),
            CliError::Cluster(_) | CliError::Kubeconfig(_) | CliError::Write { .. } | CliError::Controller(_) | CliError::Output(_) => {
                ExitCode::from(3)
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            CliError::NotFound { near, .. } if !near.is_empty() => Some(format!("did you mean {}?", near.join(" or "))),
            CliError::Cluster(ListError::Unreachable { .. }) => {
                Some("check the address in the kubeconfig and whether the server runs".into())
            }
            CliError::Cluster(ListError::Unauthorized { .. }) => Some("log in again, or choose another context with --context".into()),
            CliError::Cluster(ListError::Forbidden { .. }) => {
                Some("ask for the right to list ingresses and services, or name a namespace that you may read with -n".into())
            }
            CliError::Kubeconfig(_) => Some("set KUBECONFIG or --kubeconfig, or diagnose manifests with -f".into()),
            _ => None,
        }
    }
}
