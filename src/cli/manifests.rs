//! `culprit manifests`: the installation, for `kubectl apply -f -`.

use std::process::ExitCode;

use kube::CustomResourceExt;
use serde_json::Value;

use super::{CliError, print};
use crate::IMAGE;
use crate::api::{ConnectivityCheck, Diagnosis};

/// The whole installation, as it is kept in the repository, and the same without agents.
const INSTALLATION: &str = include_str!("../../deploy/culprit.yaml");
const WITHOUT_AGENTS: &str = include_str!("../../deploy/culprit-without-agent.yaml");
/// Namespace that the kept installation has; its image is [`IMAGE`].
const NAMESPACE: &str = "culprit-system";
/// Formats that an API server knows; it warns about others.
const FORMATS: &[&str] = &["int32", "int64", "float", "double", "byte", "date", "date-time", "password"];

/// Arguments of `culprit manifests`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Namespace to install into
    #[arg(short, long, default_value = NAMESPACE)]
    namespace: String,
    /// Image to run
    #[arg(long, default_value = IMAGE)]
    image: String,
    /// Leave the agents out: probes are sent by the controller alone
    #[arg(long)]
    without_agents: bool,
    /// Only the custom resource definitions
    #[arg(long)]
    crds: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    if arguments.crds {
        return print(&crds());
    }
    if !is_namespace(&arguments.namespace) {
        return Err(CliError::Usage(format!("{:?} is no name of a namespace", arguments.namespace)));
    }
    if arguments.image.is_empty() || !arguments.image.chars().all(|c| c.is_ascii_graphic()) {
        return Err(CliError::Usage(format!("{:?} is no name of an image", arguments.image)));
    }
    let kept = if arguments.without_agents { WITHOUT_AGENTS } else { INSTALLATION };
    print(&installation(kept, &arguments.namespace, &arguments.image)?)
}

/// The installation with another namespace and image; as it is kept, comments and all, where both are the kept ones.
fn installation(kept: &str, namespace: &str, image: &str) -> Result<String, CliError> {
    if (namespace, image) == (NAMESPACE, IMAGE) {
        return Ok(kept.to_owned());
    }
    let broken = |_| CliError::Usage("this build holds no installation".into());
    let mut documents: Vec<Value> = serde_yaml::from_multiple(kept).map_err(broken)?;
    documents.retain(|document| !document.is_null());
    let mut text = String::new();
    for document in &mut documents {
        replace(document, namespace, image);
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(document).unwrap_or_default());
    }
    Ok(text)
}

/// Puts namespace and image where the kept ones stand as a whole value, as a flag's, or within a Service's name.
fn replace(value: &mut Value, namespace: &str, image: &str) {
    match value {
        Value::String(text) if text == IMAGE => *text = image.to_owned(),
        Value::String(text) if text == NAMESPACE => *text = namespace.to_owned(),
        Value::String(text) => {
            if let Some(flag) = text.strip_suffix(NAMESPACE).filter(|flag| flag.starts_with("--") && flag.ends_with('=')) {
                *text = format!("{flag}{namespace}");
            }
            *text = text.replace(&format!(".{NAMESPACE}.svc"), &format!(".{namespace}.svc"));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, namespace, image)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, namespace, image)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A DNS label (RFC 1123), as the API demands of namespaces.
fn is_namespace(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// The custom resource definitions, generated from the types.
fn crds() -> String {
    let mut text = String::from("# Generated from src/api by `culprit manifests --crds`; do not edit.\n");
    for (number, definition) in [Diagnosis::crd(), ConnectivityCheck::crd()].iter().enumerate() {
        let mut definition = serde_json::to_value(definition).unwrap_or_default();
        tidy(&mut definition);
        text.push_str(if number > 0 { "---\n" } else { "" });
        text.push_str(&serde_yaml::to_string(&definition).unwrap_or_default());
    }
    text
}

/// Takes out what API servers do not know: formats of Rust's numbers. Whole numbers are written as such.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A property may itself be called `format`; then it is no string.
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
                fields.remove("format");
            }
            for bound in ["minimum", "maximum"] {
                let whole = fields.get(bound).and_then(Value::as_f64).filter(|n| n.fract() == 0.0 && n.abs() < 9e15);
                if let Some(whole) = whole {
                    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough, as checked above")]
                    fields.insert(bound.to_owned(), Value::from(whole as i64));
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "# The installation.
kind: Namespace
metadata: {name: culprit-system}
---
kind: Deployment
metadata: {name: culprit, namespace: culprit-system, labels: {app: my-culprit-system}}
spec: {image: IMAGE, args: [--namespace=culprit-system]}
";

    fn documents(text: &str) -> Vec<Value> {
        serde_yaml::from_multiple(text).unwrap()
    }

    #[test]
    fn namespace_and_image_are_replaced_as_values_and_nothing_else() {
        let kept = KEPT.replace("IMAGE", IMAGE);
        let made = documents(&installation(&kept, "123", "registry.test/culprit@sha256:0a").unwrap());
        assert_eq!(made[0]["metadata"]["name"], "123");
        assert_eq!(made[1]["metadata"]["namespace"], "123");
        assert_eq!(made[1]["metadata"]["labels"]["app"], "my-culprit-system");
        assert_eq!(made[1]["spec"], serde_json::json!({"image": "registry.test/culprit@sha256:0a", "args": ["--namespace=123"]}));
    }

    #[test]
    fn the_kept_installation_comes_out_as_it_is() {
        assert_eq!(installation(KEPT, NAMESPACE, IMAGE).unwrap(), KEPT);
        assert_eq!(installation(INSTALLATION, NAMESPACE, IMAGE).unwrap(), INSTALLATION);
    }

    #[test]
    fn no_kept_namespace_or_image_is_left_in_another_installation() {
        for kept in [INSTALLATION, WITHOUT_AGENTS] {
            let made = installation(kept, "elsewhere", "registry.test/other:2").unwrap();
            assert!(!made.contains(NAMESPACE) && !made.contains(IMAGE));
            assert_eq!(made.matches("registry.test/other:2").count(), kept.matches(IMAGE).count());
            assert_eq!(documents(&made).len(), documents(kept).into_iter().filter(|d| !d.is_null()).count());
        }
        let made = installation(INSTALLATION, "elsewhere", IMAGE).unwrap();
        assert!(made.contains("--controller=culprit-agents.elsewhere.svc:8443"), "agents find the controller");
    }

    #[test]
    fn a_namespace_is_a_dns_label() {
        assert!(is_namespace("culprit-system"));
        for text in ["", "-a", "a-", "A", "a.b", &"a".repeat(64)] {
            assert!(!is_namespace(text), "{text}");
        }
    }

    /// Every schema below a property, with its path.
    fn schemas<'a>(path: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
        found.push((path.to_owned(), schema));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            schemas(&format!("{path}.{name}"), property, found);
        }
        if !schema["items"].is_null() {
            schemas(&format!("{path}[]"), &schema["items"], found);
        }
    }

    #[test]
    fn the_definition_has_a_structural_schema() {
        let (definitions, mut all) = (documents(&crds()), Vec::new());
        for definition in &definitions {
            schemas("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut all);
        }
        assert!(all.len() > 100, "{}", all.len());
        for (path, schema) in all {
            assert!(schema["type"].is_string(), "{path} has no type");
            for keyword in ["$ref", "anyOf", "oneOf", "allOf", "not", "definitions", "$defs", "const"] {
                assert!(schema[keyword].is_null(), "{path} has {keyword}");
            }
            assert!(schema["format"].is_null() || FORMATS.contains(&schema["format"].as_str().unwrap()), "{path}: {}", schema["format"]);
            assert!(schema["description"].is_string() || path.is_empty() || path.contains("[]"), "{path} is not described");
        }
    }

    #[test]
    fn the_definition_has_what_its_readers_use() {
        let definition = &documents(&crds())[0];
        let version = &definition["spec"]["versions"][0];
        assert_eq!(definition["spec"]["names"]["shortNames"], serde_json::json!(["dx"]));
        assert_eq!(definition["spec"]["names"]["categories"], serde_json::json!(["culprit"]));
        assert_eq!(version["subresources"], serde_json::json!({"status": {}}));
        let columns = |priority: u64| -> Vec<&str> {
            let all = version["additionalPrinterColumns"].as_array().unwrap().iter();
            all.filter(|c| c["priority"].as_u64().unwrap_or(0) == priority).filter_map(|c| c["name"].as_str()).collect()
        };
        assert_eq!(columns(0), ["Target", "Verdict", "Cause", "Since", "Age"]);
        assert_eq!(columns(1), ["Hop", "Message"]);
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let rules = [&spec["target"], &spec["interval"], &spec["probe"]["properties"]["path"], &spec["probe"]["properties"]["headers"]];
        for rule in rules {
            assert!(rule["x-kubernetes-validations"][0]["message"].is_string(), "{rule}");
        }
    }

    #[test]
    fn the_kept_definition_is_the_generated_one() {
        assert_eq!(include_str!("../../crds/culprit.dev.yaml"), crds(), "run make generate");
    }
}
