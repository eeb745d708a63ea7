//! Which targets a command is about, and what was probably meant where there is none.

use std::collections::BTreeMap;

use super::CliError;
use super::selector::LabelFilter;
use crate::api::{Diagnosis, DiagnosisSpec};
use crate::diagnose::object_of;
use crate::snapshot::kubernetes::list::ListError;
use crate::snapshot::objects::{Kind, ObjectRef};
use crate::snapshot::{Coverage, Snapshot};

/// Names offered at most.
const MOST_NAMES: usize = 5;

/// What is to be diagnosed.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// One object; every Ingress where there is none.
    pub target: Option<ObjectRef>,
    /// The namespace; none for all.
    pub namespace: Option<&'a str>,
    /// Labels that the Ingresses have to carry.
    pub labels: Option<&'a LabelFilter>,
}

impl Wanted<'_> {
    /// The targets of a snapshot, never none.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Vec<ObjectRef>, CliError> {
        if let Some(target) = &self.target {
            return one(snapshot, target).map(|target| vec![target]);
        }
        let namespace_is = |ns: &str| self.namespace.is_none_or(|wanted| wanted == ns);
        match (snapshot.coverage(Kind::Ingress), self.namespace) {
            (Coverage::Failed(reason), _) => return Err(ListError::Forbidden { reason: reason.clone() }.into()),
            // A part is no answer to the question for the whole.
            (Coverage::Only(_, reason), None) => return Err(ListError::Forbidden { reason: reason.clone() }.into()),
            (Coverage::Only(only, reason), Some(wanted)) if only != wanted => {
                return Err(ListError::Forbidden { reason: reason.clone() }.into());
            }
            _ => {}
        }
        let all = snapshot.ingresses().filter(|i| namespace_is(&i.meta.namespace));
        let chosen = all.filter(|i| self.labels.is_none_or(|labels| labels.matches(&i.meta.labels)));
        let found: Vec<ObjectRef> = chosen.map(|i| ObjectRef { kind: Kind::Ingress, key: i.meta.key() }).collect();
        if found.is_empty() { Err(self.nothing(snapshot)) } else { Ok(found) }
    }

    fn nothing(&self, snapshot: &Snapshot) -> CliError {
        let labelled = if self.labels.is_some() { " with these labels" } else { "" };
        match self.namespace {
            None => CliError::Usage(format!("there is no Ingress{labelled} in any namespace")),
            Some(namespace) if snapshot.namespace(namespace).is_absent() => unknown_namespace(snapshot, namespace),
            Some(namespace) => {
                let others = snapshot.ingresses().filter(|i| i.meta.namespace != namespace).map(|i| i.meta.namespace.to_string());
                let others: std::collections::BTreeSet<String> = others.collect();
                let hint = match others.len() {
                    0 => None,
                    _ if self.labels.is_some() => None,
                    _ => Some(format!("{} has some; -A is for all namespaces", listed(&others.into_iter().collect::<Vec<_>>()))),
                };
                CliError::NotFound { what: format!("there is no Ingress{labelled} in namespace {namespace}"), hint }
            }
        }
    }
}

/// A target that exists, or of which it is not known that it does not.
fn one(snapshot: &Snapshot, target: &ObjectRef) -> Result<ObjectRef, CliError> {
    let held = snapshot.references(target.kind);
    let unread = match snapshot.coverage(target.kind) {
        Coverage::Failed(_) => true,
        Coverage::Only(namespace, _) => **namespace != *target.key.namespace,
        Coverage::Complete | Coverage::NotLoaded => false,
    };
    if held.contains(target) || unread {
        return Ok(target.clone());
    }
    if snapshot.namespace(&target.key.namespace).is_absent() {
        return Err(unknown_namespace(snapshot, &target.key.namespace));
    }
    Err(CliError::NotFound { what: format!("{target} does not exist"), hint: did_you_mean(&held, target) })
}

/// What was probably meant: names that are nearly the wanted one, those of its namespace first; else what there is.
fn did_you_mean(held: &[ObjectRef], wanted: &ObjectRef) -> Option<String> {
    let here = |r: &ObjectRef| r.key.namespace == wanted.key.namespace;
    let mut near: Vec<(bool, usize, &ObjectRef)> = held
        .iter()
        .map(|r| (!here(r), strsim::osa_distance(&r.key.name, &wanted.key.name), r))
        .filter(|(far, distance, r)| *distance <= 2 || (!far && is_part(&r.key.name, &wanted.key.name)))
        .collect();
    near.sort();
    if near.is_empty() {
        let there: Vec<String> = held.iter().filter(|r| here(r)).map(|r| r.key.name.to_string()).collect();
        return (!there.is_empty()).then(|| format!("namespace {} has {}", wanted.key.namespace, listed(&there)));
    }
    let as_written = |r: &ObjectRef| format!("{} -n {}", r.argument(), r.key.namespace);
    let shown: Vec<String> = near.iter().take(3).map(|(_, _, r)| as_written(r)).collect();
    Some(format!("did you mean {}?", shown.join(" or ")))
}

fn is_part(name: &str, wanted: &str) -> bool {
    wanted.len() > 1 && (name.contains(wanted) || wanted.contains(name))
}

fn unknown_namespace(snapshot: &Snapshot, wanted: &str) -> CliError {
    let names = snapshot.references(Kind::Namespace);
    let near = nearest(names.iter().map(|r| &*r.key.name), wanted, 3);
    let hint = (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")));
    CliError::NotFound { what: format!("namespace {wanted} does not exist"), hint }
}

/// The names that are near enough to be meant, the nearest first.
pub fn nearest<'a>(names: impl Iterator<Item = &'a str>, wanted: &str, most: usize) -> Vec<&'a str> {
    let limit = (wanted.len() / 3).max(2);
    let scored = names.map(|name| (strsim::osa_distance(name, wanted), name));
    let mut near: Vec<_> = scored.filter(|(distance, name)| *distance <= limit || is_part(name, wanted)).collect();
    near.sort_unstable();
    near.into_iter().take(most).map(|(_, name)| name).collect()
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES { format!("{shown} and {} more", names.len() - MOST_NAMES) } else { shown }
}

/// How targets are asked, by what was written for them.
pub type Specs = BTreeMap<ObjectRef, DiagnosisSpec>;

/// The settings that were written for targets. Those written by hand count before those that Culprit made.
pub fn specs<'d>(diagnoses: impl IntoIterator<Item = &'d Diagnosis>) -> Specs {
    let mut specs = Specs::new();
    for diagnosis in diagnoses {
        let target = object_of(&diagnosis.spec.target, diagnosis.metadata.namespace.as_deref().unwrap_or_default());
        let by_hand = diagnosis.spec.probe.is_some() || diagnosis.spec.interval.is_some();
        if by_hand || !specs.contains_key(&target) {
            specs.insert(target, diagnosis.spec.clone());
        }
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::{Ingress, Meta, Namespace, Object};

    fn meta(namespace: &str, name: &str) -> Meta {
        Meta { namespace: namespace.into(), name: name.into(), ..Meta::default() }
    }

    fn cluster() -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.cover(Kind::Ingress, Coverage::Complete);
        snapshot.cover(Kind::Namespace, Coverage::Complete);
        for (namespace, name) in [("shop", "web"), ("shop", "checkout"), ("blog", "front")] {
            snapshot.apply(Object::Namespace(Namespace { meta: meta("", namespace) }));
            snapshot.apply(Object::Ingress(Ingress { meta: meta(namespace, name), ..Ingress::default() }));
        }
        snapshot
    }

    fn said(wanted: &Wanted<'_>, snapshot: &Snapshot) -> String {
        match wanted.of(snapshot) {
            Ok(targets) => targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => [Some(error.to_string()), error.hint()].into_iter().flatten().collect::<Vec<_>>().join("; "),
        }
    }

    fn named<'a>(namespace: &str, name: &str) -> Wanted<'a> {
        Wanted { target: Some(ObjectRef::new(Kind::Ingress, namespace, name)), namespace: None, labels: None }
    }

    fn all(namespace: Option<&str>) -> Wanted<'_> {
        Wanted { target: None, namespace, labels: None }
    }

    #[test]
    fn a_namespace_or_all_of_them_are_chosen() {
        assert_eq!(said(&all(Some("shop")), &cluster()), "Ingress/shop/checkout Ingress/shop/web");
        assert_eq!(said(&all(None), &cluster()), "Ingress/blog/front Ingress/shop/checkout Ingress/shop/web");
    }

    #[test]
    fn a_target_that_does_not_exist_is_told_with_what_was_meant() {
        let say = |namespace, name| said(&named(namespace, name), &cluster());
        assert_eq!(say("shop", "wbe"), "Ingress/shop/wbe does not exist; did you mean ingress/web -n shop?");
        assert_eq!(say("blog", "web"), "Ingress/blog/web does not exist; did you mean ingress/web -n shop?");
        assert_eq!(say("shop", "payments"), "Ingress/shop/payments does not exist; namespace shop has checkout, web");
        assert_eq!(say("shpo", "web"), "namespace shpo does not exist; did you mean shop?");
    }

    #[test]
    fn a_part_is_no_answer_to_the_question_for_all_namespaces() {
        let mut snapshot = cluster();
        snapshot.cover(Kind::Ingress, Coverage::Only("shop".into(), "ingresses is forbidden".into()));
        assert!(matches!(all(None).of(&snapshot), Err(CliError::Cluster(ListError::Forbidden { .. }))));
        assert!(matches!(all(Some("blog")).of(&snapshot), Err(CliError::Cluster(ListError::Forbidden { .. }))));
        assert_eq!(said(&all(Some("shop")), &snapshot), "Ingress/shop/checkout Ingress/shop/web");
    }

    #[test]
    fn what_could_not_be_read_is_not_called_missing() {
        let mut snapshot = cluster();
        snapshot.cover(Kind::Ingress, Coverage::Failed("forbidden".into()));
        assert_eq!(said(&named("shop", "hidden"), &snapshot), "Ingress/shop/hidden");
    }

    #[test]
    fn settings_written_by_hand_count_before_those_that_culprit_made() {
        let document = |name: &str, interval: Option<&str>| {
            let spec = DiagnosisSpec {
                target: crate::api::Target { name: "web".into(), ..Default::default() },
                interval: interval.map(str::to_owned),
                ..DiagnosisSpec::default()
            };
            let mut document = Diagnosis::new(name, spec);
            document.metadata.namespace = Some("shop".into());
            document
        };
        let (by_hand, made) = (document("mine", Some("60s")), document("ingress-web", None));
        let target = ObjectRef::new(Kind::Ingress, "shop", "web");
        for order in [vec![by_hand.clone(), made.clone()], vec![made, by_hand]] {
            assert_eq!(specs(&order)[&target].interval.as_deref(), Some("60s"));
        }
    }
}
