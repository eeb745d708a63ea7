use super::readiness_probe_misconfigured::ask;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "readiness-depends-on-dependency",
    summary: "readiness checks something that all pods depend on, so all drop out together",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "readiness-probe-misconfigured", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The readiness probe's page fails because of something behind the application: a database, a cache, a queue. Since all pods share it, all of them become not ready at once, and what
might still have been served is not.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services, for all replicas within seconds.

## How we know
No pod is ready, each answers the probe's own request with an error of 500 or above, and the answer names a dependency.

## How to fix
Bring the dependency back; then let readiness say only whether this pod can take requests, and let the application answer with less where something is missing.

## Looks like
`readiness-probe-misconfigured` asks for the wrong page, and gets 404 or a refusal; `eps-all-not-ready` fails without a word.

## Limits
It rests on the words of the answer, which is read and not kept; the finding is Likely.
",
    check,
};

/// Words for what applications depend on. Each counts as a whole word.
const DEPENDENCIES: &[&str] = &[
    "database",
    "db",
    "redis",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "kafka",
    "rabbitmq",
    "amqp",
    "elasticsearch",
    "opensearch",
    "memcached",
    "cassandra",
    "etcd",
    "s3",
    "ldap",
    "dependency",
    "dependencies",
    "upstream",
    "downstream",
    "broker",
    "queue",
    "cache",
];

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let mut found = Vec::new();
    for endpoint in case.path.backend.endpoints.iter().filter(|e| !e.ready && !e.terminating).take(3) {
        let Some(pod) = endpoint.pod.known() else { continue };
        let Some((container, spec)) = pod.containers.iter().filter(|c| !c.ready).find_map(|c| Some((c, c.readiness.as_ref()?))) else {
            continue;
        };
        let Some(asked) = ask(case, endpoint, container, spec)? else { return Ok(None) };
        let Some(response) = asked.response().filter(|r| r.status >= 500) else { return Ok(None) };
        let Some(word) = dependency_in(&response.body_start) else { return Ok(None) };
        found.push((pod, asked, word));
    }
    let Some((pod, asked, word)) = found.first() else { return Ok(None) };
    let says = format!("{}'s answer to its readiness probe names a dependency: {word}", pod.reference());
    Ok(CAUSE
        .finding(
            Confidence::Likely,
            format!(
                "Service {} has no ready endpoint: its pods' readiness probe fails over something that they depend on ({word}).",
                case.service_name()
            ),
        )
        .object(&pod.reference(), "spec.containers[].readinessProbe")
        .saw(asked)
        .states(says.clone())
        .proof(asked.to_string(), says)
        .fix("Bring the dependency back, and keep it out of the readiness probe.")
        .command(format!("kubectl -n {} logs {} --tail=50", pod.meta.namespace, pod.meta.name))
        .command(format!("kubectl -n {} edit {}", pod.meta.namespace, super::pods::owner(case, pod)))
        .into())
}

fn dependency_in(body: &str) -> Option<&'static str> {
    let body = body.to_ascii_lowercase();
    let mut words = body.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| DEPENDENCIES.iter().copied().find(|d| *d == word))
}
