//! The engine: which probes to send, what they say, which causes hold, and the document that comes of it. Pure.
//!
//! ```text
//!            ┌────────── plan: what is still to ask ◄─────────┐
//!            ▼                                                │ Missing::Probes
//!   vantage sends ──► Observations ──► answers: works or not ─┤
//!                                                             │
//!                              causes: check every cause ─────┘
//!                                        │ Findings
//!                                        ▼
//!                              rank ──► hops, status ──► Diagnosis
//! ```
//!
//! An [`Examination`] does no I/O: it says what to ask next ([`Examination::next`]), takes the answers
//! ([`Examination::record`]) and concludes. [`crate::vantage::examine`] drives it.

mod answers;
mod beat;
mod examination;
mod hops;
mod plan;
mod rank;
mod settings;
mod status;
mod target;
mod versions;

pub use beat::Beat;
#[cfg(test)]
pub(crate) use beat::beat_answered;
pub use examination::{Examination, Step};
pub use settings::{InvalidSettings, Settings};
pub(crate) use settings::{duration, pause};
pub use status::{Conclusion, carried_over, carry_over, has_cause, succeed};
pub(crate) use status::{camel_case, rounded};
pub use target::{document_name, namespace_of, object_of, target_of};
