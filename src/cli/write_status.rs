//! `--write-status`: the answers into the Diagnosis resources, as the controller writes them.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
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

/// Writes every document's status where it differs from the one that is there; a Diagnosis that is missing is made.
pub async fn write(
    client: &Client,
    snapshot: &Snapshot,
    documents: &[(ObjectRef, &Diagnosis)],
    there: &[Document],
) -> Result<(), CliError> {
    let there: BTreeMap<Key, &Document> = there.iter().map(|d| (key_of(&d.diagnosis), d)).collect();
    let wanted = documents.iter().filter(|(target, _)| !opted_out(snapshot, target));
    let writes = wanted.map(|(target, document)| one(client, snapshot, target, document, &there));
    futures::stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
}

async fn one(
    client: &Client,
    snapshot: &Snapshot,
    target: &ObjectRef,
    document: &Diagnosis,
    there: &BTreeMap<Key, &Document>,
) -> Result<(), CliError> {
    let name = document_name(target);
    let failed = |error: kube::Error| {
        // A Diagnosis that is gone is named in the answer; a resource that is not served is not.
        let unserved = matches!(&error, kube::Error::Api(status) if status.code == 404 && !status.message.contains(&name));
        let why = if unserved { "the API server does not know the resource".to_owned() } else { list::root(&error) };
        CliError::Write { what: format!("Diagnosis {}/{name}", target.key.namespace), why, unserved }
    };
    let made = match there.get(&Key { namespace: target.key.namespace.clone(), name: name.as_str().into() }) {
        Some(existing) => (*existing).clone(),
        None => match writer::create(client, snapshot, target).await {
            Ok(made) => Document::of(made),
            // The route goes with its namespace while this runs.
            Err(kube::Error::Api(status)) if status.message.contains("because it is being terminated") => return Ok(()),
            Err(error) => return Err(failed(error)),
        },
    };
    let before = made.diagnosis.status.clone().unwrap_or_default();
    let status = document.status.clone().unwrap_or_default();
    let status = carry_over(&before, status, jiff::Timestamp::now(), made.diagnosis.metadata.generation);
    if !made.has(&status) {
        writer::write_status(client, &made.diagnosis, &status).await.map_err(failed)?;
    }
    Ok(())
}
