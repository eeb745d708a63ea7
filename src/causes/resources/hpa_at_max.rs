use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, Platform, When, known};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::{Autoscaler, Condition, ConditionStatus, Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "hpa-at-max",
    summary: "the autoscaler cannot add the pods that the load asks for",
    hop: Hop::Node,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ReadTimeout, Signature::ConnTimeout, Signature::Overload],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The HorizontalPodAutoscaler of the backend wants more pods than its `maxReplicas` allows, or gets no metrics and so adds none. The pods that are there have more to do than they can.

## What you see
Requests that time out under load, by turns: some are answered, others wait too long.

## How we know
The autoscaler's condition ScalingLimited is True with the reason TooManyReplicas, or ScalingActive is False because metrics cannot be had; and requests to its pods time out. Without
such requests it is no fault. Where some requests are answered and the autoscaler is at its limit, it is Likely, else Possible.

## How to fix
Raise `maxReplicas` where the nodes have room, or mend the metrics (metrics-server, resource requests of the containers); else make the pods do more.

## Looks like
`listen-backlog-full` and `app-never-answers` are how the pods show it, and are named beside it; `scaled-to-zero` switches the autoscaler off.

## Limits
The load itself is not measured, and a route that times out for another reason beside an autoscaler at its limit looks the same.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(seen) = saturated(case)? else { return Ok(None) };
    let Some((autoscaler, held)) = held(case)? else { return Ok(None) };
    let by_turns = matches!(case.end_to_end, EndToEnd::Partly { .. });
    let confidence = if by_turns && held == Held::AtMost { Confidence::Likely } else { Confidence::Possible };
    let reference = ObjectRef { kind: Kind::HorizontalPodAutoscaler, key: autoscaler.meta.key() };
    let workload = format!("{}/{}", autoscaler.target_kind.to_lowercase(), autoscaler.target_name);
    let (namespace, name, most) = (&autoscaler.meta.namespace, &autoscaler.meta.name, autoscaler.most);
    let (why, field) = match held {
        Held::AtMost => (format!("wants more pods than its maxReplicas of {most}"), "spec.maxReplicas"),
        Held::Blind => ("gets no metrics and adds no pods".to_owned(), "status.conditions"),
    };
    let says = format!("{reference}: {}", words(&autoscaler, held));
    let finding = CAUSE
        .finding(confidence, format!("{reference} of {workload} {why}, and requests to its pods time out."))
        .object(&reference, field)
        .saw(seen)
        .states(says.clone())
        .proof(seen.to_string(), says);
    Ok(match held {
        Held::AtMost => {
            let patch = serde_json::json!({"spec": {"maxReplicas": most.saturating_mul(2)}});
            finding
                .fix("Raise maxReplicas where the nodes have room, or let each pod do more.")
                .command(format!("kubectl -n {namespace} patch hpa {name} -p '{patch}'"))
        }
        Held::Blind => finding
            .fix("Mend what the autoscaler's metrics come from: metrics-server, and resource requests of the containers.")
            .command(format!("kubectl -n {namespace} describe hpa {name}")),
    }
    .command(format!("kubectl -n {namespace} top pods"))
    .into())
}

/// Why an autoscaler adds no pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    AtMost,
    Blind,
}

impl Held {
    fn condition(self, autoscaler: &Autoscaler) -> Option<&Condition> {
        let holds = |c: &&Condition| match self {
            Held::AtMost => {
                c.condition_type == "ScalingLimited" && c.status == ConditionStatus::True && c.reason.as_deref() == Some("TooManyReplicas")
            }
            Held::Blind => {
                c.condition_type == "ScalingActive"
                    && c.status == ConditionStatus::False
                    && c.reason.as_deref().is_some_and(|r| r.starts_with("FailedGet"))
            }
        };
        autoscaler.conditions.iter().find(holds)
    }
}

/// The autoscaler of the backend's workload, where something holds it.
fn held(case: &Case<'_>) -> Result<Option<(Arc<Autoscaler>, Held)>, Missing> {
    let autoscalers = case.snapshot.autoscalers_in(case.namespace());
    let Some(autoscalers) = known(&autoscalers, "HorizontalPodAutoscalers")?.filter(|a| !a.is_empty()) else { return Ok(None) };
    let workloads = case.workloads()?;
    let scales = |a: &Arc<Autoscaler>| workloads.iter().any(|w| w.kind.to_string() == a.target_kind && w.meta.name == a.target_name);
    let held = |a: &Arc<Autoscaler>| [Held::AtMost, Held::Blind].into_iter().find(|held| held.condition(a).is_some());
    Ok(autoscalers.iter().filter(|a| scales(a)).find_map(|a| Some((a.clone(), held(a)?))))
}

fn words(autoscaler: &Autoscaler, held: Held) -> String {
    held.condition(autoscaler).map_or_else(String::new, |c| {
        let reason = c.reason.as_deref().unwrap_or_default();
        format!("{} is {} ({reason})", c.condition_type, c.status)
    })
}

/// A request that shows pods with too much to do: one that timed out, at a pod or through the gateway.
fn saturated<'a>(case: &Case<'a>) -> Result<Option<&'a Observation>, Missing> {
    let walked = case.walked_with(&[Signature::ReadTimeout, Signature::ConnTimeout])?;
    let by_turns = matches!(case.end_to_end, EndToEnd::Partly { .. });
    let late =
        |o: &&&Observation| o.signature() == Some(Signature::ReadTimeout) || o.response().is_some_and(|r| matches!(r.status, 503 | 504));
    let through = case.failures.iter().filter(|_| by_turns).find(late).copied();
    Ok(walked.first().map(|v| v.seen).or(through))
}
