//! Targets as kubectl's users write them: `ingress/web`, `ing/web`, `svc web`.

use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Kind, ObjectRef};

use super::CliError;

/// A target as it was named, before its namespace is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    kind: Kind,
    name: String,
}

impl Named {
    /// Parses one word with a slash, or two words; none for none.
    pub fn parse(words: &[String]) -> Result<Option<Self>, CliError> {
        let (kind, name) = match words {
            [] => return Ok(None),
            [word] => match word.split_once('/') {
                Some(parts) => parts,
                None if kind_of(word).is_some() => {
                    return Err(CliError::Usage(format!("{word:?} is a kind: write {word}/NAME, or leave it out for every Ingress")));
                }
                None => return Err(CliError::Usage(format!("{word:?} is no target: write KIND/NAME, for example ingress/{word}"))),
            },
            [kind, name] => (kind.as_str(), name.as_str()),
            _ => return Err(CliError::Usage("one target at a time: KIND/NAME".into())),
        };
        let kind =
            kind_of(kind).ok_or_else(|| CliError::Usage(format!("{kind:?} cannot be diagnosed: a target is an ingress or a service")))?;
        // The API's own names hold neither; what does is a slip, or was meant for a shell.
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)) {
            return Err(CliError::Usage(format!("{name:?} is no name of an object")));
        }
        Ok(Some(Named { kind, name: name.to_owned() }))
    }

    /// The target in a namespace.
    pub fn within(&self, namespace: &str) -> ObjectRef {
        ObjectRef::new(self.kind, namespace, &self.name)
    }

    /// The only object of that name in all namespaces; none where there is none or more than one.
    pub fn only_one_in(&self, snapshot: &Snapshot) -> Option<ObjectRef> {
        let mut held = snapshot.references(self.kind).into_iter().filter(|r| *r.key.name == *self.name);
        held.next().filter(|_| held.next().is_none())
    }
}

fn kind_of(word: &str) -> Option<Kind> {
    match word.to_ascii_lowercase().as_str() {
        "ingress" | "ingresses" | "ing" | "ingress.networking.k8s.io" | "ingresses.networking.k8s.io" => Some(Kind::Ingress),
        "service" | "services" | "svc" => Some(Kind::Service),
        _ => None,
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
        for text in ["ingress/web", "ing/web", "Ingress web", "INGRESSES web", "ingress.networking.k8s.io/web"] {
            let named = Named::parse(&words(text)).unwrap().unwrap();
            assert_eq!(named.within("shop").to_string(), "Ingress/shop/web", "{text}");
        }
        assert_eq!(Named::parse(&words("svc/web")).unwrap().unwrap().within("a").to_string(), "Service/a/web");
    }

    #[test]
    fn what_is_no_target_is_refused_with_a_sentence() {
        for text in ["web", "ing", "pod/web", "ingress/", "ingress/a/b", "ingress/a$b", "a b c"] {
            assert!(matches!(Named::parse(&words(text)), Err(CliError::Usage(_))), "{text}");
        }
    }
}
