use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, NO_SUCH_HOST, Platform, When, known};
use crate::path::{Gateway, gateway};
use crate::probe::{Observation, Probe, Question, Request, Response, Scheme, Signature};
use crate::snapshot::objects::{Ingress, IngressClass, Kind};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "ingress-class-missing",
    summary: "no gateway takes the Ingress, since its class does not exist or nobody runs it",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoRoute],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A gateway takes the Ingresses of its IngressClass. This one names a class that does not exist, or none where the cluster has no default
class, or one whose controller does not run. No gateway has read it.

## What you see
404 for every path of the host, as for a host that nobody knows, and an empty ADDRESS column in `kubectl get ingress`.

## How we know
The API server has no such class, and the gateway answers the route's host exactly as it answers a host that cannot exist. Where the
class exists, no pod of the cluster runs its controller and nobody has written an address into the Ingress' status.

## How to fix
Name an existing class in `spec.ingressClassName`, or install the controller of the class.

## Looks like
`route-backend-service-missing` and Services without endpoints give the same 404 on Traefik; there the Ingress is read. `gateway-pod-down`:
the controller is installed and its pods do not run.

## Limits
Some gateways take Ingresses without a class; where such a route works nothing is said. A controller outside the cluster is only seen
by the address that it writes. Manifests alone do not show which classes and controllers a cluster has.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if case.target().kind != Kind::Ingress {
        return Ok(None);
    }
    let ingress = case.snapshot.ingress(&case.target().key);
    let Some(ingress) = known(&ingress, "the Ingress")? else { return Ok(None) };
    let class = case.class()?;
    // Where a person has named the gateway, the class does not decide.
    if gateway::named(case.snapshot, ingress, class).is_some() || (class.is_some() && case.path.gateway.known().is_some()) {
        return Ok(None);
    }
    if !case.online {
        return Err(Missing::Fact("manifests alone do not show which classes and controllers the cluster has".into()));
    }
    match class {
        Some(class) => controller_missing(case, ingress, class),
        None => class_missing(case, ingress),
    }
}

/// The class exists, and nobody seems to run its controller.
fn controller_missing(case: &Case<'_>, ingress: &Ingress, class: &IngressClass) -> Judgement {
    known(&case.snapshot.holds_all(Kind::Service), "the cluster's Services")?;
    known(&case.snapshot.holds_all(Kind::Pod), "the cluster's pods")?;
    if !ingress.addresses.is_empty() || !gateway::controller_pods(case.snapshot, class).is_empty() {
        return Ok(None);
    }
    let (name, controller) = (&class.meta.name, &class.controller);
    let nobody = format!("no pod or Service of the cluster belongs to {controller}");
    Ok(CAUSE
        .finding(
            Confidence::Likely,
            format!("{} has class {name}, and nothing in the cluster runs its controller {controller}.", case.target()),
        )
        .object(case.target(), "spec.ingressClassName")
        .states(&nobody)
        .states(format!("{} has no address in its status", case.target()))
        .proof(case.failing_line(), nobody)
        .fix(format!("Install the controller {controller}, or name a class whose controller runs."))
        .command("kubectl get ingressclasses")
        .command(format!("kubectl -n {} edit ingress {}", case.namespace(), case.target().key.name))
        .into())
}

/// No class applies: whether a gateway has the route all the same decides.
fn class_missing(case: &Case<'_>, ingress: &Ingress) -> Judgement {
    let decided = match case.gateway()? {
        Some(gateway) => known_to(case, gateway)?,
        None if !ingress.addresses.is_empty() => return Ok(None),
        None => known_to_any(case)?,
    };
    let Some(passing) = decided else { return Ok(None) };
    let classes: Vec<Arc<IngressClass>> = known(&case.snapshot.classes(), "the IngressClasses")?.cloned().unwrap_or_default();
    let names: Vec<&str> = classes.iter().map(|c| c.meta.name.as_str()).collect();
    let has = if names.is_empty() { "the cluster has no class at all".to_owned() } else { format!("the cluster has {}", names.join(", ")) };
    let (says, field) = match &ingress.class {
        Some(name) if ingress.meta.annotations.get(ANNOTATION) == Some(name) => {
            (format!("names class {name}, which does not exist"), format!("metadata.annotations[{ANNOTATION}]"))
        }
        Some(name) => (format!("names class {name}, which does not exist"), "spec.ingressClassName".to_owned()),
        None => ("names no class, and no class is the default one".to_owned(), "spec.ingressClassName".to_owned()),
    };
    // A gateway that takes Ingresses without a class answers the same for a backend that is not there.
    let backend_answers = || case.walked().is_ok_and(|walked| walked.iter().any(|v| v.seen.signature().is_none()));
    let confidence = if ingress.class.is_some() || backend_answers() { Confidence::Proven } else { Confidence::Likely };
    let mut finding = CAUSE
        .finding(confidence, format!("{} {says}; {has}.", case.target()))
        .object(case.target(), &field)
        .states(&has)
        .proof(case.failing_line(), passing);
    let (namespace, name) = (case.namespace(), &case.target().key.name);
    if field != "spec.ingressClassName" {
        finding = finding.command(format!("kubectl -n {namespace} annotate ingress {name} {ANNOTATION}-"));
    }
    Ok(match meant(ingress.class.as_deref(), &names) {
        Some(class) => finding.fix(format!("Set spec.ingressClassName to {class}.")).command(format!(
            "kubectl -n {namespace} patch ingress {name} --type merge -p '{{\"spec\":{{\"ingressClassName\":\"{class}\"}}}}'"
        )),
        None => finding
            .fix("Set spec.ingressClassName to a class whose gateway runs.")
            .command("kubectl get ingressclasses")
            .command(format!("kubectl -n {namespace} edit ingress {name}")),
    }
    .into())
}

/// The older form of `spec.ingressClassName`.
const ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Whether a gateway does not have the route: the line that shows it, or nothing where it has.
fn known_to(case: &Case<'_>, gateway: &Gateway) -> Result<Option<String>, Missing> {
    let at = |o: &&Observation| o.probe.address().is_some_and(|a| gateway.entrances.iter().any(|e| e.address == a));
    let is_reference = |o: &&Observation| matches!(&o.probe.question, Question::Request(r) if r.host == NO_SUCH_HOST);
    let reference = case.seen.values().filter(at).find(|o| is_reference(o) && o.response().is_some());
    let Some((reference, page)) = reference.and_then(|o| o.response().map(|page| (o, page))) else {
        return Err(Missing::Fact("what the gateway answers for a host that nobody has was not seen".into()));
    };
    let failing: Vec<&Response> = case.failures.iter().filter_map(|o| o.response()).collect();
    if failing.is_empty() {
        return Err(Missing::Fact("the gateway gave no answer that shows whether it has the route".into()));
    }
    Ok(failing.iter().any(|r| same_page(r, page)).then(|| format!("{reference}, the same answer")))
}

/// The same over every gateway of the cluster, where none is known to be this route's.
fn known_to_any(case: &Case<'_>) -> Result<Option<String>, Missing> {
    let gateways = gateway::all(case.snapshot);
    if gateways.is_empty() {
        known(&case.snapshot.holds_all(Kind::Pod), "the cluster's pods")?;
        return match gateway::any_gateway_pod(case.snapshot) {
            Some(pod) => Err(Missing::Fact(format!("{} looks like a gateway, and what it takes is not known", pod.reference()))),
            None => Ok(Some("no gateway was found in the cluster".into())),
        };
    }
    let pairs: Vec<(Probe, Probe)> = gateways.iter().filter_map(|g| questions(case, g)).collect();
    if pairs.len() < gateways.len() {
        return Err(Missing::Fact("not every gateway of the cluster can be asked".into()));
    }
    case.ask_all(pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect())?;
    let mut line = None;
    for (own, reference) in pairs {
        let (own, reference) = (case.ask(own)?, case.ask(reference)?);
        match (own.response(), reference.response()) {
            (Some(a), Some(b)) if same_page(a, b) => line = line.or_else(|| Some(format!("{own}, as for a host that nobody has"))),
            (Some(_), Some(_)) => return Ok(None),
            _ => return Err(Missing::Fact(format!("{own}, which does not show whether the gateway has the route"))),
        }
    }
    Ok(line)
}

/// The route's request to a gateway, and the same for a host that nobody has.
fn questions(case: &Case<'_>, gateway: &Gateway) -> Option<(Probe, Probe)> {
    let entrance = gateway.entrance(false).or_else(|| gateway.entrance(true))?;
    let scheme = if entrance.tls { Scheme::Https } else { Scheme::Http };
    let own = case.request_to(entrance.address, scheme);
    let Question::Request(request) = &own.question else { return None };
    let host = NO_SUCH_HOST.to_owned();
    let reference = Request { host: host.clone(), server_name: Some(host), ..(**request).clone() };
    let reference = Probe { question: Question::Request(Arc::new(reference)), ..own.clone() };
    Some((own, reference))
}

fn same_page(a: &Response, b: &Response) -> bool {
    a.status == b.status && a.body_hash == b.body_hash
}

/// The class that was meant: the only one, or the one that is nearly written so.
fn meant<'n>(written: Option<&str>, names: &[&'n str]) -> Option<&'n str> {
    if let [only] = names {
        return Some(only);
    }
    let near = names.iter().map(|n| (strsim::osa_distance(n, written.unwrap_or_default()), *n));
    near.filter(|(distance, _)| *distance <= 2).min().map(|(_, name)| name)
}
