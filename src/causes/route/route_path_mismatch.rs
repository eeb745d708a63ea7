use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::path::Implementation;
use crate::probe::{Observation, Question, Signature};
use crate::snapshot::objects::PathType;

use super::rivals::DEFAULT_BACKEND;
use super::unserved::{self, Unserved};
use super::why::{self, Why};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "route-path-mismatch",
    summary: "the gateway knows the host, and no rule of it matches the path that is asked for",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoRoute],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A rule's path is compared by its type: `Exact` matches itself only, `Prefix` what is below it, `ImplementationSpecific` what the gateway
makes of it. The path that is asked for is none of it: a slash at the end, a path beside the prefix, or a regular expression that the
gateway reads letter by letter.

## What you see
The gateway's own 404 on some paths of the host, while others work.

## How we know
The gateway answers the path exactly as it answers a host that nobody has. The counter-probe is the same request with the path as the rule
has it, or the pattern taken letter by letter, or another path of the host: that one is served.

## How to fix
Choose the path type and path that cover what clients ask for. On Traefik a pattern needs `ImplementationSpecific` and the annotation
`router.pathmatcher: PathRegexp`; on ingress-nginx `use-regex`.

## Looks like
`route-host-mismatch`: no path of the host is known. A 404 of the application, which is its right: it is not the gateway's own page.
`route-shadowed`: another rule takes the path.

## Limits
Only one path of each route is asked: its own, or the one that the Diagnosis names. Where nothing but another path of the host speaks for
it, a gateway that has not taken up the rule looks the same, and the finding is no more than possible.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(ingress) = unserved::ingress_of(case)?.filter(|_| case.path.route.field != DEFAULT_BACKEND) else { return Ok(None) };
    let Some(unserved) = unserved::of(case, &ingress)? else { return Ok(None) };
    let (title, target) = (case.path.route.title(), case.target());
    let asked = asked_path(&unserved);
    let finding = match why::of(case, &ingress, &unserved)? {
        Why::AnotherPathAsked(seen) => {
            let rule = format!("the {} rule {}", case.path.route.path_type, case.path.route.path);
            begin(Confidence::Proven, format!("No rule of {target} covers {asked}: {rule} {}.", reason(case, &asked)), &unserved, seen)
                .fix(format!("Add a rule that covers {asked}, or ask for a path that the rules cover."))
        }
        Why::Pattern(seen) => {
            let message = format!(
                "The gateway reads the path of {title} in {target} letter by letter, not as a pattern, so {asked} matches no rule."
            );
            let confidence = if seen.is_some() { Confidence::Proven } else { Confidence::Likely };
            begin(confidence, message, &unserved, seen.unwrap_or(unserved.direct)).fix(switch(case))
        }
        Why::OtherPath(_) if unserved.answer.response().is_some_and(|r| r.status >= 500) => {
            return Err(Missing::Fact("the gateway's page for unknown paths is also what it shows where it has nobody to call".into()));
        }
        Why::OtherPath(seen) => {
            let message = format!("The gateway knows the host of {title}, and no route for {asked}, which {target} names.");
            begin(Confidence::Possible, message, &unserved, seen)
                .fix("Compare the path with the gateway's own: see in its log and its configuration whether it has taken up the rule.")
        }
        Why::OtherEntrance(_) | Why::PlainRouter | Why::EntryPoint(_) | Why::OtherName(..) | Why::Unseen => return Ok(None),
    };
    Ok(finding
        .object(target, &format!("{}.path", case.path.route.field))
        .states(format!("{target} has the {} path {}", case.path.route.path_type, case.path.route.path))
        .command(format!("kubectl -n {} edit ingress {}", case.namespace(), target.key.name))
        .into())
}

fn begin(confidence: Confidence, message: String, unserved: &Unserved<'_>, passing: &Observation) -> crate::causes::FindingBuilder {
    let finding = CAUSE.finding(confidence, message).saw(unserved.answer).saw(unserved.reference).saw(passing);
    finding.proof(unserved.answer.to_string(), passing.to_string())
}

/// The path that was asked for, without its query.
fn asked_path(unserved: &Unserved<'_>) -> String {
    match &unserved.answer.probe.question {
        Question::Request(request) => request.path.split('?').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Why the rule's path does not cover another.
fn reason(case: &Case<'_>, asked: &str) -> &'static str {
    let route = &case.path.route;
    let rule = route.path.as_str();
    if rule.trim_end_matches('/') == asked.trim_end_matches('/') {
        "differs by the slash at its end"
    } else if rule.eq_ignore_ascii_case(asked) {
        "differs in capital letters"
    } else if route.path_type == PathType::Exact {
        "matches itself only"
    } else {
        "is no beginning of it"
    }
}

/// How patterns are switched on.
fn switch(case: &Case<'_>) -> &'static str {
    match case.path.gateway.known().map(|g| g.implementation) {
        Some(Implementation::Traefik) => {
            "Write a plain prefix, or pathType ImplementationSpecific with traefik.ingress.kubernetes.io/router.pathmatcher: PathRegexp."
        }
        Some(Implementation::Nginx) => {
            "Write a plain prefix, or pathType ImplementationSpecific with nginx.ingress.kubernetes.io/use-regex: \"true\"."
        }
        _ => "Write a plain prefix, or what the gateway needs to read a path as a pattern.",
    }
}
