//! Whether a container's labels are those that the Docker provider asks for.

use super::rule::Expression;
use super::startup::Docker;
use crate::snapshot::objects::docker::Container;

/// Whether a container meets the provider's constraints; nothing where that is not known.
pub(super) fn hold(docker: &Docker, container: &Container) -> Option<bool> {
    match &docker.constraints {
        None => Some(true),
        Some(condition) => holds(condition.as_ref().ok()?, container),
    }
}

fn holds(condition: &Expression, container: &Container) -> Option<bool> {
    match condition {
        Expression::Not(inner) => holds(inner, container).map(|b| !b),
        Expression::And(a, b) => Some(holds(a, container)? && holds(b, container)?),
        Expression::Or(a, b) => Some(holds(a, container)? || holds(b, container)?),
        Expression::Call(name, args) => match (name.as_str(), args.as_slice()) {
            ("Label", [key, value]) => Some(container.labels.get(key) == Some(value)),
            // A pattern without special characters is found as it is.
            ("LabelRegex" | "LabelRegexp", [key, pattern]) => {
                let Some(value) = container.labels.get(key) else { return Some(false) };
                let plain = pattern.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | ' '));
                plain.then(|| value.contains(pattern.as_str()))
            }
            _ => None,
        },
    }
}
