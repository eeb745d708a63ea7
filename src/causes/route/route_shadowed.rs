use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, NO_SUCH_HOST, Platform, When, known};
use crate::path::{Implementation, Route, pattern};
use crate::probe::{Observation, Question, Signature};
use crate::snapshot::objects::Ingress;

use super::precedence::{self, Rank};
use super::rivals::{self, Judged, Rival, Winner};
use super::unserved;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "route-shadowed",
    summary: "another rule that matches the same requests comes first and takes them",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoRoute, Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Two rules with different hosts or paths match one request, and the gateway sends it to the other one's backend. The rule that loses never
gets it, however healthy its own pods are.

## What you see
Pages or errors of another application under this route's path.

## How we know
Of the rules that match the route's own request, those are looked at that the gateway prefers: on Traefik the one with the higher
`router.priority`, or the longer text, so that `Exact /api` loses to `Prefix /`; on ingress-nginx with regular expressions the longer
path; else the more specific one. The request is then sent to the gateway and to the endpoints of both: the gateway's answer is the
other's.

## How to fix
Give this route the precedence that it should have, or take the other rule away.

## Looks like
`route-host-path-collision`: both claim the same host and path, and no order between them is right. A more specific rule of the same
Ingress is meant to take its part, and is left alone; one of another Ingress that takes a part of this route's requests is a warning while
they are answered.

## Limits
Backends that answer alike cannot be told apart. Rules of other kinds of resources are not compared.
",
    check,
};

/// Rules compared at most.
const MOST: usize = 4;

/// A rule that takes this route's requests.
struct Shadow<'a> {
    rival: Rival,
    rank: Option<Rank>,
    /// Whether it is meant to take a part of them.
    partial: bool,
    judged: Judged<'a>,
}

fn check(case: &Case<'_>) -> Judgement {
    let Some(ingress) = unserved::ingress_of(case)? else { return Ok(None) };
    let candidates = candidates(case, &ingress)?;
    let (mut found, mut unasked) = (Vec::new(), Vec::new());
    for (rival, rank, partial) in candidates.into_iter().take(MOST) {
        match rivals::judge(case, &rival) {
            Ok(judged) => found.push(Shadow { rival, rank, partial, judged }),
            Err(Missing::Probes(probes)) => unasked.extend(probes),
            Err(missing) => return Err(missing),
        }
    }
    if !unasked.is_empty() {
        return Err(Missing::Probes(unasked));
    }
    // An error fits whoever answers nobody; that alone says little where the other rule does not even come first.
    let fits = |s: &&Shadow<'_>| s.judged.winner == Winner::Rival && (s.judged.direct.is_some() || s.rank.is_some());
    // Nor does the gateway's own page, where the other application happens to have the same.
    let takes = |s: &&Shadow<'_>| fits(s) && (s.rival.route.host.is_none() || s.judged.answer.is_none_or(|a| !is_own_page(case, a)));
    let shadow = found.iter().filter(takes).min_by_key(|s| (s.partial, !s.judged.exact, s.rank.is_none()));
    if let Some(shadow) = shadow {
        return Ok(finding(case, shadow).into());
    }
    match found.iter().find(|s| s.rank.is_some() && !s.partial && s.judged.winner == Winner::Unknown) {
        Some(open) => Err(Missing::Fact(format!("whether {} takes the requests cannot be told from the answers", name(case, &open.rival)))),
        None => Ok(None),
    }
}

/// Whether the gateway was seen to answer the same to a host that nobody has.
fn is_own_page(case: &Case<'_>, answer: &Observation) -> bool {
    let of_nobody = |o: &&Observation| matches!(&o.probe.question, Question::Request(r) if r.host == NO_SUCH_HOST);
    let mut pages = case.seen.values().filter(of_nobody).filter_map(|o| o.response());
    answer.response().is_some_and(|page| pages.any(|own| unserved::same_page(own, page)))
}

/// The rules that match the route's request: those that the gateway prefers, and where the route fails the others too.
fn candidates(case: &Case<'_>, ingress: &Ingress) -> Result<Vec<(Rival, Option<Rank>, bool)>, Missing> {
    let own = &case.path.route;
    let asked = case.answers().next().and_then(|o| match &o.probe.question {
        Question::Request(r) => r.path.split('?').next().map(str::to_owned),
        _ => None,
    });
    let asked = asked.unwrap_or_else(|| own.asked_path());
    let parent = own.host.as_deref().and_then(|h| h.split_once('.')).map(|(_, parent)| format!("*.{parent}"));
    let mut hosts = vec![own.host.as_deref().unwrap_or_default(), parent.as_deref().unwrap_or_default(), ""];
    hosts.dedup();
    let same = |r: &Route| r.host == own.host && rivals::claim(r) == rivals::claim(own);
    let found = rivals::among(case, ingress, &hosts, |_, r| precedence::matches(r, &asked) && !same(r))?;
    let implementation = case.path.gateway.known().map_or(Implementation::Other, |g| g.implementation);
    let works = *case.end_to_end == EndToEnd::Works;
    let mut ranked = Vec::new();
    for rival in found.into_iter().filter(|r| r.certain) {
        let other = ingress_at(case, &rival)?;
        let rank = precedence::of(implementation, has_patterns(case, own.host.as_deref()), (&other, &rival.route), (ingress, own));
        // How much a pattern takes does not show in its length.
        let is_pattern = pattern::is_meant(&rival.route.path, rival.route.path_type);
        let partial = !is_pattern && precedence::is_more_specific(&rival.route, own);
        // Within one Ingress the more specific rule is there to take its part.
        let meant = partial && rival.route.target == own.target;
        if !meant && (rank.is_some() || !works) {
            ranked.push((rival, rank, partial));
        }
    }
    ranked.sort_by_key(|(rival, rank, partial)| (rank.is_none(), *partial, rival.route.target.clone(), rival.route.field.clone()));
    Ok(ranked)
}

fn ingress_at(case: &Case<'_>, rival: &Rival) -> Result<Arc<Ingress>, Missing> {
    let other = case.snapshot.ingress(&rival.route.target.key);
    known(&other, "the other Ingress")?.cloned().ok_or_else(|| Missing::Fact("the other Ingress is gone".into()))
}

/// Whether ingress-nginx reads the paths of a host as regular expressions: one Ingress that asks for it is enough.
fn has_patterns(case: &Case<'_>, host: Option<&str>) -> bool {
    let names = ["nginx.ingress.kubernetes.io/use-regex", "nginx.ingress.kubernetes.io/rewrite-target"];
    let asks = |i: &Arc<Ingress>| names.iter().any(|n| i.meta.annotations.get(n).is_some_and(|v| v != "false"));
    case.snapshot.ingresses_for_host(host.unwrap_or_default()).any(asks)
}

/// The other rule as a reader finds it: of another namespace no more than the Ingress.
fn name(case: &Case<'_>, rival: &Rival) -> String {
    let (own, other) = (case.target(), &rival.route.target);
    match own.key.namespace == other.key.namespace {
        true if own == other => format!("its own rule {} {}", rival.route.path_type, rival.route.title()),
        true => format!("{} ({} {})", other, rival.route.path_type, rival.route.title()),
        false => other.to_string(),
    }
}

fn finding(case: &Case<'_>, shadow: &Shadow<'_>) -> crate::causes::FindingBuilder {
    let (own, other, title) = (case.target(), &shadow.rival.route.target, case.path.route.title());
    let theirs = name(case, &shadow.rival);
    let because = match shadow.rank {
        Some(Rank::Priority(set)) => format!("its annotation router.priority ({set}) puts it first"),
        Some(Rank::Text(_)) => "its rule is the longer text, which comes first on Traefik".to_owned(),
        Some(Rank::Pattern) => "its path is the longer expression, which comes first on ingress-nginx".to_owned(),
        Some(Rank::Specific) => "it is more specific".to_owned(),
        None => "the gateway prefers it".to_owned(),
    };
    let works = *case.end_to_end == EndToEnd::Works;
    let severity = if shadow.partial && works { Severity::Warning } else { Severity::Error };
    let confidence = if shadow.judged.exact && shadow.rank.is_some() { Confidence::Proven } else { Confidence::Likely };
    let rule = format!("{} {title}", case.path.route.path_type);
    let mut finding = CAUSE
        .finding(confidence, format!("Requests for {title} do not reach {own} ({rule}): {theirs} takes them, since {because}."))
        .severity(severity)
        .object(other, &shadow.rival.route.field)
        .object(own, &case.path.route.field)
        .states(format!("{rule} and {theirs} match the same request; {because}"))
        .fix(fix(shadow, own == other))
        .command(format!("kubectl -n {} edit ingress {}", own.key.namespace, own.key.name));
    if let Some(answer) = shadow.judged.answer {
        finding = finding.saw(answer);
        finding = match shadow.judged.direct.filter(|_| own.key.namespace == other.key.namespace) {
            Some(direct) => finding.proof(answer.to_string(), format!("{direct}, the backend of {theirs}")),
            None => finding.proof(answer.to_string(), format!("the answer is not that of this route's own endpoints, and fits {theirs}")),
        };
    }
    finding
}

fn fix(shadow: &Shadow<'_>, same_ingress: bool) -> String {
    let above = match shadow.rank {
        Some(Rank::Priority(n) | Rank::Text(n)) => n.saturating_add(1),
        _ => return "Let one rule take these requests: change the other's host or path, or send both to one Service.".into(),
    };
    let annotation = format!("the annotation traefik.ingress.kubernetes.io/router.priority: \"{above}\"");
    match same_ingress {
        true => format!("Write the path as Prefix, or move the rule into an Ingress of its own with {annotation}."),
        false => format!("Give this Ingress {annotation}, or take the other rule away."),
    }
}
