//! Connectivity checks: who is to reach whom, asked from inside the pods.
//!
//! ```text
//! Snapshot + spec ──► Plan ──► probes of a round ──► Answers ──► status
//! ```
//!
//! Pure but for the probes, which whoever runs a round sends from the pods that the plan names.

mod judge;
mod mesh;
mod plan;
mod round;
mod select;
mod status;

pub use judge::{Answers, Judged, judge};
pub use mesh::{CHORDS, FULL_MESH, links};
pub use plan::{Address, ECHO, Pair, Place, Plan, Rejected, Replica, Spot, Where, plan};
pub use round::{FromPods, run};
pub use status::{rejected, says_the_same, succeed};
