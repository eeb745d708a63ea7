//! The log of what runs for long, on standard error.

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Begins it. `CULPRIT_LOG` says how much is logged.
pub fn begin(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CULPRIT_LOG").unwrap_or_else(|_| "info,kube_runtime=warn".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
