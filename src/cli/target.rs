//! Targets as kubectl's users write them: `ingress/web`, `ing/web`, `svc web`.

use crate::api::TargetKind;
use crate::snapshot::objects::{Kind, ObjectRef};

use super::CliError;

/// Parses one or two words into a target.
pub fn parse(words: &[String], namespace: &str) -> Result<Option<ObjectRef>, CliError> {
    let (kind, name) = match words {
        [] => return Ok(None),
        [word] => word
            .split_once('/')
            .ok_or_else(|| CliError::Usage(format!("{word:?} is no target: write KIND/NAME, for example ingress/{word}")))?,
        [kind, name] => (kind.as_str(), name.as_str()),
        _ => return Err(CliError::Usage("one target at a time: KIND/NAME".into())),
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "ingress" | "ingresses" | "ing" | "ingresses.networking.k8s.io" => Kind::Ingress,
        "service" | "services" | "svc" => Kind::Service,
        other => {
            return Err(CliError::Usage(format!("{other:?} cannot be diagnosed: a target is an ingress or a service")));
        }
    };
    if name.is_empty() || name.contains('/') {
        return Err(CliError::Usage(format!("{name:?} is no name of an object")));
    }
    Ok(Some(ObjectRef::new(kind, namespace, name)))
}

/// The kind as a resource's target has it.
pub fn target_kind(kind: Kind) -> TargetKind {
    match kind {
        Kind::Service => TargetKind::Service,
        _ => TargetKind::Ingress,
    }
}

/// A label selector as kubectl's `-l` takes it: `a=b,c!=d,e,!f`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelFilter(crate::snapshot::objects::Selector);

impl LabelFilter {
    /// Parses a selector; set-based forms (`in`, `notin`) are not taken.
    pub fn parse(text: &str) -> Result<Self, CliError> {
        use crate::snapshot::objects::{Operator, Requirement};
        let mut selector = crate::snapshot::objects::Selector::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let requirement = |key: &str, operator, values| Requirement { key: key.trim().to_owned(), operator, values };
            let parsed = if let Some((key, value)) = part.split_once("!=") {
                requirement(key, Operator::NotIn, vec![value.trim().to_owned()])
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                requirement(key, Operator::In, vec![value.trim().to_owned()])
            } else if let Some(key) = part.strip_prefix('!') {
                requirement(key, Operator::DoesNotExist, Vec::new())
            } else {
                requirement(part, Operator::Exists, Vec::new())
            };
            let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if parsed.key.is_empty() || !parsed.key.chars().all(valid) {
                return Err(CliError::Usage(format!("{text:?} is no label selector: write key=value, key!=value, key or !key")));
            }
            selector.expressions.push(parsed);
        }
        Ok(LabelFilter(selector))
    }

    /// Whether labels satisfy it.
    pub fn matches(&self, labels: &crate::snapshot::objects::Labels) -> bool {
        self.0.matches(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_target_is_read_in_every_form_that_kubectl_takes() {
        for text in ["ingress/web", "ing/web", "Ingress web", "ingresses web"] {
            assert_eq!(parse(&words(text), "shop").unwrap().unwrap().to_string(), "Ingress/shop/web", "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_a_sentence() {
        for text in ["web", "pod/web", "ingress/", "ingress/a/b", "a b c"] {
            assert!(matches!(parse(&words(text), "shop"), Err(CliError::Usage(_))), "{text}");
        }
    }

    #[test]
    fn label_selectors_take_equality_and_existence() {
        let labels = [("app".to_owned(), "web".to_owned())].into();
        assert!(LabelFilter::parse("app=web,!old,tier!=db").unwrap().matches(&labels));
        assert!(!LabelFilter::parse("app!=web").unwrap().matches(&labels));
        assert!(LabelFilter::parse("app in (a)").is_err());
    }
}
