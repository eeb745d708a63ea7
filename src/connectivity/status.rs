//! From one round to the next: since when, and which outages there were.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::judge::Judged;
use super::plan::Rejected;
use crate::api::{ConnectivityCheckSpec, ConnectivityStatus, Outage, Verdict};
use crate::diagnose::{camel_case, rounded};

/// Outages that are kept.
const KEPT: usize = 10;

/// The status that follows another one.
pub fn succeed(
    before: &ConnectivityStatus,
    spec: &ConnectivityCheckSpec,
    judged: Judged,
    now: Timestamp,
    generation: Option<i64>,
) -> ConnectivityStatus {
    let Judged { verdict, cause, message, pairs, failing, dns } = judged;
    let cause = cause.map(str::to_owned);
    let text = rounded(now).to_string();
    let same = before.since.is_some() && before.verdict == verdict;
    let mut outages = before.outages.clone();
    let lasts = outages.first().is_some_and(|o| o.to.is_none());
    match verdict {
        Verdict::Failing | Verdict::Degraded if !lasts => {
            outages.insert(0, Outage { from: text.clone(), to: None, cause: cause.clone() });
            outages.truncate(KEPT);
        }
        Verdict::Healthy if lasts => outages[0].to = Some(text.clone()),
        // What is not seen neither begins nor ends an outage; a cause may come to be known while it lasts.
        _ if lasts && outages[0].cause.is_none() => outages[0].cause.clone_from(&cause),
        _ => {}
    }
    let healthy = match verdict {
        Verdict::Healthy => "True",
        Verdict::Unknown => "Unknown",
        Verdict::Degraded | Verdict::Failing => "False",
    };
    let reason = cause.as_deref().map_or_else(|| verdict.to_string(), camel_case);
    let conditions = vec![condition("Healthy", healthy, &reason, &message, before, now, generation)];
    ConnectivityStatus {
        observed_generation: generation,
        check: Some(title(spec)),
        verdict,
        cause,
        message: Some(message),
        since: if same { before.since.clone() } else { Some(text) },
        conditions,
        pairs,
        failing,
        dns,
        outages,
    }
}

/// The status of a check that cannot be asked as it is written.
pub fn rejected(
    before: &ConnectivityStatus,
    spec: &ConnectivityCheckSpec,
    why: &Rejected,
    now: Timestamp,
    generation: Option<i64>,
) -> ConnectivityStatus {
    let judged = Judged { message: why.to_string(), ..Judged::default() };
    let mut status = succeed(before, spec, judged, now, generation);
    status.conditions.push(condition("Stalled", "True", "Rejected", &why.to_string(), before, now, generation));
    status
}

/// Whether two statuses say the same: quantiles of times alone are no reason to write.
pub fn says_the_same(one: &ConnectivityStatus, other: &ConnectivityStatus) -> bool {
    let timeless = |status: &ConnectivityStatus| {
        let mut status = status.clone();
        for replica in &mut status.dns {
            (replica.p50_millis, replica.p99_millis) = (0, 0);
        }
        status
    };
    timeless(one) == timeless(other)
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    before: &ConnectivityStatus,
    now: Timestamp,
    generation: Option<i64>,
) -> Condition {
    let earlier = before.conditions.iter().find(|c| c.type_ == kind && c.status == status);
    Condition {
        type_: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: earlier.map_or_else(|| Time(rounded(now)), |c| c.last_transition_time.clone()),
        observed_generation: generation,
    }
}

/// From whom to whom, in few words.
fn title(spec: &ConnectivityCheckSpec) -> String {
    let from = if spec.from.nodes.is_some() { "nodes" } else { "pods" };
    let port = spec.port.map(|p| format!(":{p}")).unwrap_or_default();
    let to = spec.to.as_ref().map(|to| match (&to.service, &to.host) {
        (Some(service), _) => format!("service/{}{port}", service.name),
        (_, Some(host)) => format!("{host}{port}"),
        _ if to.nodes.is_some() => "nodes".into(),
        _ => format!("pods{port}"),
    });
    match (to, spec.dns.is_some()) {
        (Some(to), true) => format!("{from} → {to}, DNS"),
        (Some(to), false) => format!("{from} → {to}"),
        (None, _) => format!("{from} → DNS"),
    }
}
