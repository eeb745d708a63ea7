//! Whether one version of a workload fails while another one works: then the change between them is the first thing to undo.

use std::collections::BTreeSet;

use crate::api::{Evidence, EvidenceKind, Finding, Hop, Severity};
use crate::causes::{Case, endpoint_request, sample};
use crate::path::Endpoint;
use crate::probe::Outcome;
use crate::snapshot::objects::{Key, Kind, ObjectRef, Pod};

/// Two versions of one workload, of which one fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    workload: ObjectRef,
    failing: String,
    working: String,
    /// Whether the version that fails is the younger one; nothing where that is not known.
    younger_fails: Option<bool>,
}

/// Finds the split, where every endpoint that fails is of one version and every one that works of another.
pub fn split(case: &Case<'_>) -> Option<Split> {
    let (mut failing, mut working, mut workloads) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for endpoint in sample(&case.path.backend.endpoints).filter(|e| e.ready) {
        let pod = endpoint.pod.known()?;
        let (workload, version) = version_of(pod)?;
        if fails(case, endpoint)? {
            failing.insert(version)
        } else {
            working.insert(version)
        };
        workloads.insert(workload);
    }
    let ([failing], [working], [workload]) = (&*Vec::from_iter(failing), &*Vec::from_iter(working), &*Vec::from_iter(workloads)) else {
        return None;
    };
    (failing != working).then(|| Split {
        younger_fails: younger(case, workload, failing, working),
        workload: workload.clone(),
        failing: failing.clone(),
        working: working.clone(),
    })
}

/// Whether the gateway's own request to an endpoint fails; nothing where it was not asked.
fn fails(case: &Case<'_>, endpoint: &Endpoint) -> Option<bool> {
    let probe = endpoint_request(case.path, endpoint.socket()?, case.path.backend.scheme, case.timeout);
    let seen = case.seen.get(&probe).filter(|o| !matches!(o.outcome, Outcome::NotSent(_)))?;
    Some(seen.signature().is_some())
}

/// The workload that made a pod, and the hash of the template that it was made from.
fn version_of(pod: &Pod) -> Option<(ObjectRef, String)> {
    let owner = pod.meta.owner.as_ref()?;
    if let Some(hash) = pod.meta.labels.get("pod-template-hash").filter(|_| owner.kind == "ReplicaSet") {
        let name = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
        return Some((ObjectRef::new(Kind::Deployment, &pod.meta.namespace, name), hash.to_string()));
    }
    let kind: Kind = owner.kind.parse().ok().filter(|k: &Kind| k.is_workload())?;
    let hash = pod.meta.labels.get("controller-revision-hash")?;
    Some((ObjectRef::new(kind, &pod.meta.namespace, &owner.name), hash.to_string()))
}

fn younger(case: &Case<'_>, workload: &ObjectRef, failing: &str, working: &str) -> Option<bool> {
    let made = |hash: &str| {
        let key = Key::new(&workload.key.namespace, &format!("{}-{hash}", workload.key.name));
        case.snapshot.workload(&ObjectRef { kind: Kind::ReplicaSet, key }).known()?.meta.created
    };
    Some(made(failing)? > made(working)?)
}

impl Split {
    /// Adds to a finding that only one version fails, and how to go back to the other.
    pub fn note(&self, finding: &mut Finding) {
        if finding.severity != Severity::Error || finding.hop < Hop::Endpoint {
            return;
        }
        finding.message = format!("{} {self}", finding.message);
        let text = format!("every endpoint that fails is of version {}, every one that works of version {}", self.failing, self.working);
        finding.evidence.push(Evidence { kind: EvidenceKind::Object, vantage: None, text });
        if self.younger_fails != Some(false) {
            let undo = format!("kubectl -n {} rollout undo {}", self.workload.key.namespace, self.workload.argument());
            finding.fix.get_or_insert_default().commands.push(undo);
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let which = match self.younger_fails {
            Some(true) => "the new version",
            Some(false) => "the old version",
            None => "one version",
        };
        write!(f, "Only {which} of {} fails ({}); {} works.", self.workload, self.failing, self.working)
    }
}
