//! What Traefik calls what a container makes without a name, and the rule that it gives it.

use crate::snapshot::objects::docker::{Container, PROJECT, SERVICE};

/// The longest rule that is made, in bytes.
const LONGEST: usize = 16 * 1024;

/// The name of what a container makes without a name: `service-project` of Compose, else its own.
pub(super) fn service_name(container: &Container) -> String {
    let value = |name: &str| container.labels.get(name).filter(|v| !v.is_empty());
    match (value(SERVICE), value(PROJECT)) {
        (Some(service), Some(project)) => normalized(&format!("{service}_{project}")),
        _ => normalized(&container.name),
    }
}

/// Letters and digits with hyphens between, as Traefik makes names fit for rules.
fn normalized(name: &str) -> String {
    name.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-")
}

/// Fills in the template of the default rule; nothing where it asks for what is not known here.
pub(super) fn default_rule(template: &str, container: &Container) -> Option<String> {
    let mut rule = String::new();
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once("{{") {
        let (inside, tail) = tail.split_once("}}")?;
        rule.push_str(before);
        rule.push_str(&filled(inside.trim_matches(['-', ' ']), container)?);
        rest = tail;
    }
    rule.push_str(rest);
    Some(rule).filter(|r| !r.is_empty() && r.len() <= LONGEST)
}

fn filled(expression: &str, container: &Container) -> Option<String> {
    let words: Vec<&str> = expression.split_whitespace().collect();
    match words.as_slice() {
        [".Name"] | ["normalize", ".Name"] | [".Name", "|", "normalize"] => Some(service_name(container)),
        [".ContainerName"] => Some(container.name.to_string()),
        ["normalize", ".ContainerName"] | [".ContainerName", "|", "normalize"] => Some(normalized(&container.name)),
        ["index", ".Labels", key] => container.labels.get(key.trim_matches(['"', '`'])).cloned(),
        _ => None,
    }
}
