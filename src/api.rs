//! The custom resources: the one document that every way of asking gives.

pub mod connectivity_check;
pub mod diagnosis;
pub mod finding;
pub mod status;

pub use connectivity_check::*;
pub use diagnosis::*;
pub use finding::*;
pub use status::*;

/// API group of the custom resources.
pub const GROUP: &str = "culprit.dev";
/// `false` on a route or its namespace: no Diagnosis is made for it.
pub const ANNOTATION_DIAGNOSE: &str = "culprit.dev/diagnose";
/// `namespace/service` on a route, its IngressClass or its namespace: the gateway, where it cannot be found from objects.
pub const ANNOTATION_GATEWAY: &str = "culprit.dev/gateway";
/// Field manager of everything Culprit writes.
pub const FIELD_MANAGER: &str = "culprit";
