//! Documents of containers as Diagnosis resources of a cluster, so that Docker hosts stand beside its routes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::Client;

use crate::api::{Diagnosis, DiagnosisStatus};
use crate::controller::writer;
use crate::diagnose::carry_over;
use crate::snapshot::objects::ObjectRef;

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
