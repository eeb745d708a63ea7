//! `--write-status`: the answers into the Diagnosis resources, as the controller writes them.

use std::collections::BTreeMap;

use futures::StreamExt;
use kube::Client;

use super::CliError;
use crate::api::Diagnosis;
use crate::controller::diagnoses::Document;
use crate::controller::{opted_out, writer};
use crate::diagnose::{carry_over, document_name};
use crate::snapshot::Snapshot;
use crate::snapshot::kubernetes::follow::key_of;
use crate::snapshot::kubernetes::list;
use crate::snapshot::objects::{Key, ObjectRef};

/// Writes at once at most.
const AT_ONCE: usize = 8;
/// Attempts at one write.
const ATTEMPTS: usize = 3;

/// Writes every document's status where it differs from the one that is there; a Diagnosis that is missing is made. One that cannot be
/// written keeps no other from it; the first such error is returned.
pub async fn write(
    client: &Client,
    snapshot: &Snapshot,
    documents: &[(ObjectRef, &Diagnosis)],
    there: &[Document],
) -> Result<(), CliError> {
    let there: BTreeMap<Key, &Document> = there.iter().map(|d| (key_of(&d.diagnosis), d)).collect();
    let wanted = documents.iter().filter(|(target, _)| !opted_out(snapshot, target));
    let writes = wanted.map(|(target, document)| one(client, snapshot, target, document, &there));
    let written: Vec<Result<(), CliError>> = futures::stream::iter(writes).buffered(AT_ONCE).collect().await;
    written.into_iter().collect()
}

/// Writes again where no answer came: an API server may be busy, and the same apply twice is the same as once.
async fn persevering<T, F: Future<Output = Result<T, kube::Error>>>(write: impl Fn() -> F) -> Result<T, kube::Error> {
    for _ in 1..ATTEMPTS {
        match write().await {
            Err(error) if !matches!(error, kube::Error::Api(_)) => tracing::debug!(%error, "written again"),
            answer => return answer,
        }
    }
    write().await
}

/// Whether an object cannot be written because it, or its namespace, went while this ran.
fn is_gone(error: &kube::Error, namespace: &str, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let names = |what: &str| status.message.contains(&format!("\"{what}\" not found"));
    status.message.contains("because it is being terminated") || (status.code == 404 && (names(name) || names(namespace)))
}

async fn one(
    client: &Client,
    snapshot: &Snapshot,
    target: &ObjectRef,
    document: &Diagnosis,
    there: &BTreeMap<Key, &Document>,
) -> Result<(), CliError> {
    let (name, namespace) = (document_name(target), target.key.namespace.as_ref());
    let or_gone = |error: kube::Error| {
        if is_gone(&error, namespace, &name) {
            return Ok(());
        }
        let unserved = matches!(&error, kube::Error::Api(status) if status.code == 404);
        let why = if unserved { "the API server does not know the resource".to_owned() } else { list::root(&error) };
        Err(CliError::Write { what: format!("Diagnosis {namespace}/{name}"), why, unserved })
    };
    let made = match there.get(&Key { namespace: target.key.namespace.clone(), name: name.as_str().into() }) {
        Some(existing) => (*existing).clone(),
        None => match persevering(|| writer::create(client, snapshot, target)).await {
            Ok(made) => Document::of(made),
            Err(error) => return or_gone(error),
        },
    };
    let before = made.diagnosis.status.clone().unwrap_or_default();
    let status = document.status.clone().unwrap_or_default();
    let status = carry_over(&before, status, jiff::Timestamp::now(), made.diagnosis.metadata.generation);
    if !made.has(&status) {
        return persevering(|| writer::write_status(client, &made.diagnosis, &status)).await.map(drop).or_else(or_gone);
    }
    Ok(())
}
