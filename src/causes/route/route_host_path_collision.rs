use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::Kind;

use super::rivals::{self, Judged, Winner};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "route-host-path-collision",
    summary: "another rule has the same host and path, and leads elsewhere",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoRoute, Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Two rules of the same gateway claim one host and path and send it to different Services. The gateway keeps one of them, by age, name or
order of reading, and the other's backend gets nothing. Nothing in either object shows it.

## What you see
An old version of the application, another team's page, or errors of a backend that is not this route's, while this route's own pods are
healthy. It may change with a restart of the gateway.

## How we know
The rules are compared over all namespaces. The same request is then sent to the gateway and to the endpoints of both backends: the
gateway's answer equals that of one of them. Where the other rule wins, it is an error; where this one wins, or the answers are alike, a
warning.

## How to fix
Give the host and path one owner: delete one of the rules, or move one to another host or path.

## Looks like
`route-backend-service-missing` and other faults of the backend: there the route's own endpoints fail too. Canary Ingresses share host and
path on purpose and are left alone.

## Limits
Backends that answer the same, or differently each time, cannot be told apart. Default backends and rules of the same gateway in other
kinds of resources are not compared. Of an Ingress in another namespace no more than its name is shown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if case.target().kind != Kind::Ingress {
        return Ok(None);
    }
    let ingress = case.snapshot.ingress(&case.target().key);
    let Some(ingress) = known(&ingress, "the Ingress")? else { return Ok(None) };
    let mut judged = Vec::new();
    for rival in rivals::of(case, ingress)? {
        let found = rivals::judge(case, &rival)?;
        // Whether an Ingress of no class is read at all is only known where it gets the requests.
        if rival.certain || found.winner == Winner::Rival {
            judged.push((rival, found));
        }
    }
    judged.sort_by_key(|(rival, found)| (found.winner, rival.route.target.clone(), rival.route.field.clone()));
    let Some((rival, Judged { winner, exact, answer, direct })) = judged.first() else { return Ok(None) };
    let (own, other, title) = (case.target(), &rival.route.target, case.path.route.title());
    let theirs = if own == other { format!("its own rule {}", rival.route.field) } else { other.to_string() };
    let both = format!("{own} and {theirs} have the same host and path ({title})");
    let message = match winner {
        Winner::Rival => format!("Requests for {title} go to the backend of {theirs}, which has the same host and path as {own}."),
        Winner::Own => format!("{both}; {own} gets the requests, until the gateway orders them anew."),
        Winner::Unknown => format!("{both} and lead to different Services; which of them gets the requests cannot be told."),
    };
    let (severity, confidence) = match winner {
        Winner::Rival => (Severity::Error, if *exact { Confidence::Proven } else { Confidence::Likely }),
        Winner::Own => (Severity::Warning, if *exact { Confidence::Proven } else { Confidence::Likely }),
        Winner::Unknown => (Severity::Warning, Confidence::Likely),
    };
    let mut finding = CAUSE
        .finding(confidence, message)
        .severity(severity)
        .object(other, &rival.route.field)
        .object(own, &case.path.route.field)
        .states(&both)
        .fix(format!("Let one rule own {title}: delete the other, or give it another host or path."))
        .command(format!("kubectl -n {} edit ingress {}", other.key.namespace, other.key.name));
    for (more, _) in judged.iter().skip(1).take(3) {
        finding = finding.states(format!("{} has the same host and path, too", more.route.target));
    }
    if let Some(answer) = answer {
        finding = finding.saw(answer);
        let same_namespace = own.key.namespace == other.key.namespace;
        finding = match (winner, direct) {
            (Winner::Unknown, _) => finding.proof(both, format!("{answer}, which fits both or neither")),
            (Winner::Own, Some(direct)) => finding.proof(both, format!("{direct}, and the gateway answers the same")),
            (Winner::Rival, Some(direct)) if same_namespace => {
                finding.proof(answer.to_string(), format!("{direct}, the backend of {theirs}"))
            }
            (_, _) => finding.proof(answer.to_string(), format!("the answer is not that of this route's own endpoints, and fits {theirs}")),
        };
    }
    Ok(finding.into())
}
