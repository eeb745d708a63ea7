//! Questions put to the network, and the closed set of what may be seen.
//!
//! A [`Probe`] is a question, an [`Observation`] its answer from one vantage at one time. Types here are pure data; the
//! submodules ask (I/O) and are called by a vantage only.

pub mod dns;
pub mod head;
pub mod http;
pub mod io;
#[cfg(target_os = "linux")]
pub mod mtu;
mod observation;
mod pod;
mod question;
mod response;
mod signature;
mod special;
pub mod tcp;
pub mod tls;

pub use head::{Head, HeadError, HeadFault};
pub use observation::{DnsFailure, LogLine, Observation, Outcome, PathSize};
pub use pod::PodRef;
pub use question::{DEFAULT_TIMEOUT, Method, Probe, Question, Request, Scheme};
pub use response::{CERTIFICATE_WANTED, Certificate, Response, TlsFacts};
pub use signature::Signature;
pub use special::special;
