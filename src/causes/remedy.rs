//! What a gateway has to be told, and how it is told that: annotations and objects in a cluster, lines of its configuration in a container.

mod container;
mod kubernetes;
mod lines;

use std::time::Duration;

use crate::causes::Case;
use crate::causes::upstream::Rewritten;

/// A change of what a gateway does with a backend.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Speak TLS to it.
    SpeakTls,
    /// Speak no TLS to it.
    SpeakPlain,
    /// Speak HTTP/2 to it, inside TLS or not.
    SpeakHttp2 {
        /// Inside TLS.
        tls: bool,
    },
    /// Send this server name in TLS.
    SendName(&'a str),
    /// Look for this name in its certificate; none where the certificate has none.
    ExpectName(Option<&'a str>),
    /// Trust who issued its certificate.
    Trust,
    /// Show it a certificate.
    ShowCertificate,
    /// Take response heads of so many bytes.
    TakeHeads(usize),
    /// Send it the client's Host.
    PassHost(&'a Rewritten),
    /// Wait so long for its answer.
    WaitFor(Duration),
}

/// How a change is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// In one sentence.
    pub summary: String,
    /// Commands that make it, or show what has to be decided.
    pub commands: Vec<String>,
}

impl Remedy {
    fn new(summary: impl Into<String>, commands: impl IntoIterator<Item = String>) -> Self {
        Remedy { summary: summary.into(), commands: commands.into_iter().collect() }
    }
}

impl Change<'_> {
    /// How the gateway of a case is told so.
    pub fn at(self, case: &Case<'_>) -> Remedy {
        match &case.path.container {
            Some(route) => container::remedy(case, route, self),
            None => kubernetes::remedy(case, self),
        }
    }
}

/// The command that has the gateway of a container's route take up its configuration.
pub use container::reload;
