//! Answers that the pods give and that do not reach the client: the gateway makes an error of them, or breaks off.

use crate::api::Confidence;
use crate::causes::{Case, EndToEnd, EndpointView, FindingBuilder, Missing};
use crate::path::Implementation;
use crate::probe::{HeadError, HeadFault, Observation, Outcome, Signature};

/// What does not reach the client.
#[derive(Clone, Debug)]
pub struct Undelivered<'a> {
    /// The first request that the gateway answered with an error of its own, or broke off.
    pub failure: &'a Observation,
    /// The ready endpoints, asked directly.
    pub views: Vec<EndpointView<'a>>,
}

/// A head that the gateway refuses.
#[derive(Clone, Debug)]
pub struct RefusedHead<'a> {
    /// What does not reach the client.
    pub lost: Undelivered<'a>,
    /// The first endpoint that answers with such a head.
    pub first: EndpointView<'a>,
    /// How many do.
    pub count: usize,
    /// What is wrong with it.
    pub error: HeadError,
    /// How sure it is that the gateway refuses it.
    pub confidence: Confidence,
}

/// What the endpoints answer where requests through the gateway fail by the gateway's own doing. Nothing where they meet silence, or where
/// the error is the application's.
pub fn of<'a>(case: &Case<'a>) -> Result<Option<Undelivered<'a>>, Missing> {
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    // A gateway that has only just learned of its endpoints may have said something else before.
    let own = case.failures.iter().copied().filter(|f| is_own_error(f));
    let Some(failure) = own.min_by_key(|f| !is_typical(case, f)) else { return Ok(None) };
    let views = case.walked()?;
    let status = |o: &Observation| o.response().map(|r| r.status).filter(|s| *s >= 500);
    let relayed = status(failure).is_some_and(|s| views.iter().any(|v| status(v.seen) == Some(s)));
    Ok((!relayed).then_some(Undelivered { failure, views }))
}

fn is_own_error(observation: &Observation) -> bool {
    const BROKEN: &[Signature] = &[Signature::EofEarly, Signature::RstEarly, Signature::HdrBad, Signature::HdrBig];
    match &observation.outcome {
        Outcome::Response(response) => matches!(response.status, 500..=503) || response.body_cut,
        Outcome::Broken { signature, .. } => BROKEN.contains(signature),
        _ => false,
    }
}

impl Undelivered<'_> {
    /// Whether the failure is the one that this gateway shows for a response that it cannot read, and not for a pod that it cannot reach.
    pub fn is_typical(&self, case: &Case<'_>) -> bool {
        is_typical(case, self.failure)
    }
}

/// Traefik answers 500 for a response that it cannot read, most others 502. A Service that is asked directly has nobody between.
fn is_typical(case: &Case<'_>, failure: &Observation) -> bool {
    let status = failure.response().map(|r| r.status);
    match (case.path.gateway.known().map(|g| g.implementation), status) {
        // Nobody stands between, or what does passes on what it cannot read.
        (None, _) => true,
        _ if failure.signature() == Some(Signature::HdrBad) => true,
        (Some(Implementation::Traefik), status) => status == Some(500),
        (Some(Implementation::Envoy), status) => matches!(status, Some(502 | 503)),
        (Some(_), status) => status == Some(502),
    }
}

impl RefusedHead<'_> {
    /// The direct answer as a line of proof.
    pub fn line(&self) -> String {
        match self.first.seen.response() {
            Some(_) => format!("{}, with {}", self.first.seen, self.error),
            None => self.first.seen.to_string(),
        }
    }
}

/// The first head of an endpoint's answer that the gateway refuses, for a fault of the wanted sort.
pub fn refused_head<'a>(case: &Case<'a>, wanted: impl Fn(HeadFault) -> bool) -> Result<Option<RefusedHead<'a>>, Missing> {
    let Some(lost) = of(case)? else { return Ok(None) };
    let implementation = case.path.gateway.known().map_or(Implementation::Other, |g| g.implementation);
    let refused = |view: &EndpointView<'_>| {
        // An answer that is an error by itself is the application's, whatever its head looks like.
        let own = view.seen.response().is_some_and(|r| r.status >= 500);
        let faults = view.seen.head_faults().into_iter().filter(|e| !own && wanted(e.fault));
        faults.filter_map(|e| Some((refusal(implementation, &e)?, e))).min_by_key(|(confidence, _)| *confidence)
    };
    let found: Vec<_> = lost.views.iter().filter_map(|v| Some((*v, refused(v)?))).collect();
    let Some((first, (confidence, error))) = found.first().cloned() else { return Ok(None) };
    // Not even a lenient reader takes it: that is the failure itself where nobody stands between.
    let direct = first.seen.probe == lost.failure.probe;
    let confidence = match (direct, lost.is_typical(case)) {
        (true, _) => Confidence::Proven,
        (false, true) => confidence,
        (false, false) => confidence.max(Confidence::Likely),
    };
    Ok(Some(RefusedHead { count: found.len(), lost, first, error, confidence }))
}

/// Whether a gateway refuses a head with this fault, and how sure that is; nothing where it is known to pass it on.
///
/// Sources: Go `net/textproto` and `net/http/transfer.go` (Traefik, Caddy); nginx `ngx_http_parse.c` and `ngx_http_upstream.c`; HAProxy
/// `h1.c`. Each was asked with each fault (Traefik 3, nginx 1.22, HAProxy 2.6); nginx refuses contradicting lengths since 1.23.
fn refusal(gateway: Implementation, error: &HeadError) -> Option<Confidence> {
    use Confidence::{Likely, Proven};
    use HeadFault::{
        BadLength, BadName, Control, Encodings, Folded, LengthAndEncoding, Lengths, NoColon, Nul, SameLengths, SpaceInName, UnknownEncoding,
    };
    match (gateway, error.fault) {
        (Implementation::Traefik | Implementation::Caddy, SpaceInName | Folded | SameLengths | LengthAndEncoding) => None,
        (Implementation::Traefik | Implementation::Caddy, _) => Some(Proven),
        (Implementation::Nginx, Control | BadLength) => None,
        // A single word without a colon is a header without a value there.
        (Implementation::Nginx, NoColon) => error.field.contains(' ').then_some(Proven),
        (Implementation::Nginx, BadName) => (error.field.is_empty() || error.field.starts_with(' ')).then_some(Proven),
        (Implementation::Nginx, SameLengths | Lengths | LengthAndEncoding | Encodings | UnknownEncoding) => Some(Likely),
        (Implementation::Nginx, _) => Some(Proven),
        (Implementation::Haproxy, Control | Folded | SameLengths | LengthAndEncoding) => None,
        (Implementation::Haproxy, Nul) => Some(Likely),
        (Implementation::Haproxy, _) => Some(Proven),
        (Implementation::Envoy | Implementation::Apache | Implementation::Other, _) => Some(Likely),
    }
}

/// Adds the pod that answers so, its log, and the command that shows the raw answer.
pub fn point_at(case: &Case<'_>, finding: FindingBuilder, view: &EndpointView<'_>) -> FindingBuilder {
    let finding = finding.read_log_of(view);
    raw_answer(case, view).into_iter().fold(finding, |f, command| f.command(command))
}

/// A command that shows the raw answer of what is behind an endpoint to the route's request. Nothing where its address cannot be reached from
/// where the command is typed.
pub fn raw_answer(case: &Case<'_>, view: &EndpointView<'_>) -> Option<String> {
    let (scheme, insecure) = if case.path.backend.scheme.is_tls() { ("https", "k") } else { ("http", "") };
    let host = case.path.route.asked_host().map(|h| format!(" -H 'Host: {h}'")).unwrap_or_default();
    let (curl, path) = (format!("curl -si{insecure} --raw{host} {scheme}:/"), case.path.path_sent());
    if let Some(route) = &case.path.container {
        let to = view.endpoint.socket().filter(|_| !route.host.engine.is_apart())?;
        return Some(format!("{curl}/{to}{path} | cat -v"));
    }
    let (pod, port) = (view.endpoint.pod.known()?, view.endpoint.port?);
    let forward = format!("kubectl -n {} port-forward {} 18080:{port}", pod.meta.namespace, pod.meta.name);
    Some(format!("{forward} & sleep 2; {curl}/127.0.0.1:18080{path} | cat -v"))
}
