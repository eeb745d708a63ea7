//! Documents of containers as Diagnosis resources of a cluster, so that Docker hosts stand beside its routes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::api::{Diagnosis, DiagnosisStatus};
use crate::controller::writer;
use crate::diagnose::{carry_over, document_name, object_of};
use crate::snapshot::objects::{Kind, ObjectRef};

/// Where documents are written.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    namespace: String,
    /// What the cluster has.
    written: Arc<Mutex<BTreeMap<ObjectRef, Diagnosis>>>,
}

impl Writer {
    /// Into a namespace of a cluster.
    pub fn new(client: Client, namespace: String) -> Self {
        Writer { client, namespace, written: Arc::default() }
    }

    /// What the cluster says already of a host's gateways, so that nothing is said of one that is gone meanwhile; none where it cannot be listed.
    pub async fn written_before(&self, host: &str) -> BTreeMap<ObjectRef, Diagnosis> {
        let api = Api::<Diagnosis>::namespaced(self.client.clone(), &self.namespace);
        let listed = match writer::in_time(api.list(&ListParams::default())).await {
            Ok(listed) => listed.items,
            Err(error) => {
                tracing::debug!(%error, "Diagnoses that were written before are not known");
                Vec::new()
            }
        };
        let own = listed.into_iter().filter_map(|diagnosis| {
            let target = object_of(&diagnosis.spec.target, &self.namespace);
            let is_own = target.kind == Kind::Container && target.key.namespace == *host;
            (is_own && diagnosis.metadata.name == Some(document_name(&target))).then_some((target, diagnosis))
        });
        let own: BTreeMap<ObjectRef, Diagnosis> = own.collect();
        self.kept().extend(own.clone());
        own
    }

    /// Writes a status where it differs from what the cluster has; makes the Diagnosis where there is none. What fails is tried again with the
    /// next status, or the same one.
    pub async fn write(&self, target: &ObjectRef, status: &DiagnosisStatus) {
        if let Err(error) = self.try_to_write(target, status).await {
            tracing::warn!(%target, %error, "Diagnosis not written");
            self.kept().remove(target);
        }
    }

    async fn try_to_write(&self, target: &ObjectRef, status: &DiagnosisStatus) -> Result<(), kube::Error> {
        let known = self.kept().get(target).cloned();
        let made = match known {
            Some(made) => made,
            None => {
                let mut draft = writer::draft(target, None);
                draft.metadata.namespace = Some(self.namespace.clone());
                writer::apply(&self.client, &draft).await?
            }
        };
        let before = made.status.clone().unwrap_or_default();
        let status = carry_over(&before, status.clone(), Timestamp::now(), made.metadata.generation);
        let made = if before == status { made } else { writer::write_status(&self.client, &made, &status).await? };
        self.kept().insert(target.clone(), made);
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectRef, Diagnosis>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
