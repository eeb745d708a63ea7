//! Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and autoscalers.

use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Convert, conditions, meta, wire};
use crate::snapshot::objects::{Autoscaler, Kind, Labels, Object, Strategy, Workload};

/// Pods wanted, made, ready, and made from the present template.
type Pods = [Option<i32>; 4];

/// Every kind counts its pods under names of its own.
macro_rules! workload {
    ($kind:ident, |$spec:ident, $status:ident| $pods:expr) => {
        impl Convert for wire::$kind {
            fn convert(self) -> Object {
                let ($spec, $status) = (self.spec.unwrap_or_default(), self.status.unwrap_or_default());
                let pods: Pods = $pods;
                let [desired, current, ready, updated] = pods.map(Option::unwrap_or_default);
                Object::Workload(Workload {
                    kind: Kind::$kind,
                    meta: meta(self.metadata),
                    desired,
                    current,
                    ready,
                    updated,
                    strategy: if Kind::$kind == Kind::Deployment { strategy($spec.strategy, desired) } else { Strategy::Unstated },
                    template_labels: template_labels($spec.template),
                    conditions: conditions($status.conditions),
                })
            }
        }
    };
}

workload!(Deployment, |spec, status| [spec.replicas.or(Some(1)), status.replicas, status.ready_replicas, status.updated_replicas]);
workload!(ReplicaSet, |spec, status| [spec.replicas.or(Some(1)), status.replicas, status.ready_replicas, status.replicas]);
workload!(StatefulSet, |spec, status| [spec.replicas.or(Some(1)), status.replicas, status.ready_replicas, status.updated_replicas]);
workload!(DaemonSet, |spec, status| [
    status.desired_number_scheduled,
    status.current_number_scheduled,
    status.number_ready,
    status.updated_number_scheduled
]);
workload!(Job, |spec, status| [spec.parallelism.or(Some(1)), status.active, status.ready, status.active]);

fn template_labels(template: Option<wire::Template>) -> Labels {
    template.and_then(|t| t.metadata).and_then(|m| m.labels).unwrap_or_default().into()
}

/// How a Deployment replaces its pods. A share of pods that may be missing is rounded down, and 25 % where nothing is said (API reference,
/// `RollingUpdateDeployment`).
fn strategy(strategy: Option<DeploymentStrategy>, replicas: i32) -> Strategy {
    let strategy = strategy.unwrap_or_default();
    if strategy.type_.as_deref() == Some("Recreate") {
        return Strategy::Recreate;
    }
    let share = |text: &str| text.trim_end_matches('%').parse::<i32>().unwrap_or(25).saturating_mul(replicas) / 100;
    let max_unavailable = match strategy.rolling_update.and_then(|r| r.max_unavailable) {
        Some(IntOrString::Int(number)) => number,
        Some(IntOrString::String(text)) => share(&text),
        None => share("25%"),
    };
    Strategy::Rolling { max_unavailable }
}

impl Convert for wire::HorizontalPodAutoscaler {
    fn convert(self) -> Object {
        let (spec, status) = (self.spec.unwrap_or_default(), self.status.unwrap_or_default());
        let conditions = status.conditions.unwrap_or_default().into_iter().map(|c| wire::Condition {
            type_: Some(c.type_),
            status: Some(c.status),
            reason: c.reason,
            message: c.message,
            last_transition_time: c.last_transition_time,
        });
        Object::Autoscaler(Autoscaler {
            meta: meta(self.metadata),
            target_kind: spec.scale_target_ref.kind,
            target_name: spec.scale_target_ref.name,
            most: spec.max_replicas,
            current: status.current_replicas.unwrap_or_default(),
            conditions: conditions.map(super::condition).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(yaml: &str) -> Workload {
        let deployment: wire::Deployment = serde_yaml::from_str(yaml).unwrap();
        let Object::Workload(workload) = deployment.convert() else { panic!("not a workload") };
        workload
    }

    #[test]
    fn labels_of_a_workload_are_those_of_its_pods() {
        let workload = workload(
            "metadata: {name: web, namespace: shop}\nspec: {replicas: 0, selector: {}, template: {metadata: {labels: {app: web}}}}",
        );
        assert_eq!((workload.desired, workload.template_labels), (0, [("app", "web")].into()));
    }

    #[test]
    fn a_share_of_missing_pods_is_rounded_down() {
        let strategy =
            |yaml: &str| workload(&format!("metadata: {{name: web}}\nspec: {{selector: {{}}, template: {{}}, {yaml}}}")).strategy;
        assert_eq!(strategy("replicas: 3"), Strategy::Rolling { max_unavailable: 0 });
        assert_eq!(strategy("replicas: 4, strategy: {rollingUpdate: {maxUnavailable: 50%}}"), Strategy::Rolling { max_unavailable: 2 });
        assert_eq!(strategy("strategy: {type: Recreate}"), Strategy::Recreate);
    }
}
