//! Which targets a watch event makes due. Pure.

use std::collections::BTreeSet;

use crate::path::landmarks;
use crate::snapshot::kubernetes::watch::{self, Event};
use crate::snapshot::objects::{Key, Kind, ObjectRef};
use crate::snapshot::{Coverage, Snapshot};

/// Applies an event, and says which targets it touches. An object that did not change touches none.
pub fn apply(snapshot: &mut Snapshot, event: Event) -> BTreeSet<ObjectRef> {
    let mut touched = Touched::default();
    match &event {
        Event::Changed(object) if snapshot.holds(object) => return BTreeSet::new(),
        Event::Changed(object) => touched.add(snapshot, &object.reference()),
        Event::Removed(reference) => touched.add(snapshot, reference),
        Event::Listed(kind, present) => {
            let gone = watch::gone(snapshot, *kind, present);
            gone.iter().for_each(|reference| touched.add(snapshot, reference));
            // What a kind's return means for a verdict can be anything; a list of a kind that was there all the time means nothing.
            touched.everything |= *snapshot.coverage(*kind) != Coverage::Complete;
        }
        Event::Failed(..) => touched.everything = true,
    }
    let changed = watch::apply(snapshot, event);
    changed.iter().for_each(|reference| touched.add(snapshot, reference));
    if touched.everything {
        touched.targets.extend(snapshot.references(Kind::Ingress));
    }
    touched.targets.extend(touched.services.iter().flat_map(|s| snapshot.targets_of(s)));
    touched.targets
}

/// What a change touches; asked before and after it, since both count.
#[derive(Debug, Default)]
struct Touched {
    services: BTreeSet<Key>,
    targets: BTreeSet<ObjectRef>,
    /// Whether every route has to be looked at, as where a gateway changed.
    everything: bool,
}

impl Touched {
    fn add(&mut self, snapshot: &Snapshot, reference: &ObjectRef) {
        let services = snapshot.services_touched_by(reference);
        self.everything |= services.iter().any(|s| landmarks::is_gateway(snapshot, s));
        self.services.extend(services);
        self.targets.extend(snapshot.ingresses_touched_by(reference));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::{Ingress, IngressBackend, IngressPath, IngressRule, Meta, Object, PathType, Pod, PortRef, Service};

    fn meta(name: &str) -> Meta {
        Meta { namespace: "shop".into(), name: name.into(), labels: [("app", name)].into(), ..Meta::default() }
    }

    fn pod(name: &str, node: &str) -> Object {
        Object::Pod(Box::new(Pod { meta: meta(name), node: Some(node.into()), ..Pod::default() }))
    }

    fn shop() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for name in ["web", "cart"] {
            let backend = IngressBackend::Service { name: name.into(), port: PortRef::Number(80) };
            let paths = vec![IngressPath { path: "/".into(), path_type: PathType::Prefix, backend }];
            let rules = vec![IngressRule { host: Some(format!("{name}.test")), paths }];
            snapshot.apply(Object::Ingress(Ingress { meta: meta(name), rules, ..Ingress::default() }));
            snapshot.apply(Object::Service(Service { meta: meta(name), selector: Some([("app", name)].into()), ..Service::default() }));
            snapshot.apply(pod(name, "node1"));
        }
        for kind in [Kind::Ingress, Kind::Service, Kind::Pod] {
            snapshot.cover(kind, Coverage::Complete);
        }
        snapshot
    }

    fn texts(targets: &BTreeSet<ObjectRef>) -> Vec<String> {
        targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_pod_touches_the_routes_to_it_and_only_where_it_changed() {
        let mut snapshot = shop();
        assert_eq!(texts(&apply(&mut snapshot, Event::Changed(Box::new(pod("web", "node1"))))), [""; 0]);
        assert_eq!(texts(&apply(&mut snapshot, Event::Changed(Box::new(pod("web", "node2"))))), ["Ingress/shop/web", "Service/shop/web"]);
    }

    #[test]
    fn a_list_of_a_kind_that_was_there_touches_what_is_gone() {
        let mut snapshot = shop();
        let present = BTreeSet::from([Key::new("shop", "cart")]);
        assert_eq!(texts(&apply(&mut snapshot, Event::Listed(Kind::Pod, present.clone()))), ["Ingress/shop/web", "Service/shop/web"]);
        assert_eq!(texts(&apply(&mut snapshot, Event::Listed(Kind::Pod, present))), [""; 0]);
    }

    #[test]
    fn a_kind_that_fails_or_returns_touches_every_route() {
        let mut snapshot = shop();
        let all = ["Ingress/shop/cart", "Ingress/shop/web"];
        assert_eq!(texts(&apply(&mut snapshot, Event::Failed(Kind::Pod, "forbidden".into()))), all);
        let present = BTreeSet::from([Key::new("shop", "cart"), Key::new("shop", "web")]);
        assert_eq!(texts(&apply(&mut snapshot, Event::Listed(Kind::Pod, present))), all);
    }
}
