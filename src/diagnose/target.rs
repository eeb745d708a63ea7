//! How a target is named: as an object of a snapshot, in a Diagnosis' spec, and by its Diagnosis' own name.

use crate::api::{Target, TargetKind};
use crate::snapshot::objects::{Kind, ObjectRef};

/// The longest name of an object that the API takes.
const LONGEST: usize = 253;

/// A target as a Diagnosis' spec has it.
pub fn target_of(object: &ObjectRef) -> Target {
    let kind = match object.kind {
        Kind::Container => TargetKind::Container,
        Kind::Service => TargetKind::Service,
        _ => TargetKind::Ingress,
    };
    let host = (kind == TargetKind::Container).then(|| object.key.namespace.to_string());
    Target { kind, name: object.key.name.to_string(), host }
}

/// What a spec's target names: an object of its Diagnosis' own namespace, or a container of a Docker host, which stands for the namespace.
pub fn object_of(target: &Target, namespace: &str) -> ObjectRef {
    match target.kind {
        TargetKind::Ingress => ObjectRef::new(Kind::Ingress, namespace, &target.name),
        TargetKind::Service => ObjectRef::new(Kind::Service, namespace, &target.name),
        TargetKind::Container => ObjectRef::new(Kind::Container, target.host.as_deref().unwrap_or_default(), &target.name),
    }
}

/// The namespace of a target's Diagnosis; none for a container, which has none.
pub fn namespace_of(object: &ObjectRef) -> Option<String> {
    (!object.kind.is_of_docker()).then(|| object.key.namespace.to_string())
}

/// The name of the Diagnosis that is made for a target: `ingress-web`, `container-HOST-NAME`. Names that would be too long, or that the API does
/// not take, end in a hash.
pub fn document_name(target: &ObjectRef) -> String {
    let kind = target.kind.to_string().to_lowercase();
    let name = match target.kind {
        Kind::Container => format!("{kind}-{}-{}", target.key.namespace, target.key.name),
        _ => format!("{kind}-{}", target.key.name),
    };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.len() <= LONGEST && name.chars().all(fits) {
        return name;
    }
    // FNV-1a, so that the name stays the same for good.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let plain: String = name.to_ascii_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(LONGEST - 17).collect();
    format!("{plain}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_with_its_host_in_what_the_api_takes() {
        let name = |name: &str| document_name(&ObjectRef::new(Kind::Container, "dock", name));
        assert_eq!(name("shop-gateway-1"), "container-dock-shop-gateway-1");
        let odd = name("Shop_gateway");
        assert!(odd.starts_with("container-dock-shop-gateway-") && odd != name("shop_gateway"), "{odd}");
    }

    #[test]
    fn a_target_survives_its_spec() {
        for object in [ObjectRef::new(Kind::Container, "dock", "web"), ObjectRef::new(Kind::Ingress, "shop", "web")] {
            assert_eq!(object_of(&target_of(&object), "shop"), object);
        }
    }
}
