//! Writing Diagnoses: server-side apply, and only what changed.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::{self, Diagnosis, DiagnosisSpec, FIELD_MANAGER};
use crate::diagnose::{document_name, target_of};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Kind, ObjectRef, Text};

/// Limit of one write.
const SLOW: Duration = Duration::from_secs(5);

/// Makes the Diagnosis of a route, owned by it, so that it goes when the route goes.
pub async fn create(client: &Client, snapshot: &Snapshot, target: &ObjectRef) -> Result<Diagnosis, kube::Error> {
    let owner = match target.kind {
        Kind::Ingress => snapshot.ingress(&target.key).known().map(|i| ("networking.k8s.io/v1", i.meta.uid.clone())),
        Kind::Service => snapshot.service(&target.key).known().map(|s| ("v1", s.meta.uid.clone())),
        _ => None,
    };
    apply(client, &draft(target, owner)).await
}

/// Applies a Diagnosis without its status.
pub async fn apply(client: &Client, document: &Diagnosis) -> Result<Diagnosis, kube::Error> {
    let namespaced = Api::<Diagnosis>::namespaced(client.clone(), document.metadata.namespace.as_deref().unwrap_or_default());
    in_time(namespaced.patch(document.metadata.name.as_deref().unwrap_or_default(), &parameters(), &Patch::Apply(document))).await
}

/// The Diagnosis as it is made for a route, given the route's API version and UID.
pub fn draft(target: &ObjectRef, owner: Option<(&str, Text)>) -> Diagnosis {
    let owner = owner.map(|(api_version, uid)| OwnerReference {
        api_version: api_version.into(),
        kind: target.kind.to_string(),
        name: target.key.name.to_string(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    });
    let metadata = ObjectMeta {
        name: Some(document_name(target)),
        namespace: Some(target.key.namespace.to_string()),
        labels: Some(api::labels()),
        owner_references: owner.map(|o| vec![o]),
        ..ObjectMeta::default()
    };
    let spec = DiagnosisSpec { target: target_of(target), ..DiagnosisSpec::default() };
    Diagnosis { metadata, spec, status: None }
}

/// Writes a status. The whole status is Culprit's, so what is left out is removed.
pub async fn write_status<K, S>(client: &Client, object: &K, status: &S) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize,
{
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    in_time(Api::<K>::namespaced(client.clone(), &namespace).patch_status(&name, &parameters(), &Patch::Apply(&patch))).await
}

/// A question over a connection that died unseen is given up.
pub async fn in_time<T>(write: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| Err(kube::Error::Service("the API server does not answer in time".into()));
    tokio::time::timeout(SLOW, write).await.unwrap_or_else(late)
}

fn parameters() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}
