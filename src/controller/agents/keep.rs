//! Keeps the authorities in a Secret, their certificates where agents read them, and the controller's own certificate fresh.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use rustls::ServerConfig;
use tokio::sync::watch;

use super::authority::{Authorities, AuthorityError};
use crate::controller::writer::in_time;
use crate::snapshot::kubernetes::list::root;
use crate::stream::server_name;

/// Name of the Secret and of the ConfigMap.
const NAME: &str = "culprit-ca";
/// The ConfigMap's one key.
const CA: &str = "ca.crt";
/// Time between two looks at both.
const LOOK: Duration = Duration::from_secs(20 * 60);
/// The same after one that failed.
const RETRY: Duration = Duration::from_secs(15);
/// Attempts at a write that another replica was quicker with.
const ATTEMPTS: usize = 3;

/// Keeps the authorities.
pub struct Keeper {
    secrets: Api<Secret>,
    published: Api<ConfigMap>,
    server_name: String,
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("the {object} {NAME} cannot be {what}: {}", root(.source))]
    Api { object: &'static str, what: &'static str, source: kube::Error },
    #[error("the Secret {NAME} changes all the time")]
    Contended,
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl Keeper {
    /// For a controller and agents of these namespaces.
    pub fn new(client: Client, namespace: &str, of_agents: &str) -> Self {
        Keeper {
            secrets: Api::namespaced(client.clone(), namespace),
            published: Api::namespaced(client, of_agents),
            server_name: server_name(namespace),
        }
    }

    /// Hands out what to serve with, again and again. What is known of the authorities stays while the API server is away.
    pub async fn run(self, tls: watch::Sender<Option<Arc<ServerConfig>>>) {
        let mut known = Authorities::default();
        loop {
            let looked = self.look(&mut known).await;
            match known.serve(&self.server_name, Timestamp::now()) {
                Ok(config) => drop(tls.send_replace(Some(config))),
                Err(error) => tracing::warn!(%error, "agents cannot be served yet"),
            }
            let published = match looked {
                Ok(()) => self.publish(&known).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &published {
                tracing::warn!(%error, "the certificate authority is not as it should be, trying again");
            }
            tokio::time::sleep(if published.is_ok() { LOOK } else { RETRY }).await;
        }
    }

    /// Reads the Secret, and writes it where something is to be renewed.
    async fn look(&self, known: &mut Authorities) -> Result<(), KeepError> {
        for _ in 0..ATTEMPTS {
            let kept = in_time(self.secrets.get_opt(NAME)).await.map_err(failed("Secret", "read"))?;
            let data = kept.iter().filter_map(|s| s.data.as_ref()).flatten();
            let authorities = Authorities::parse(data.map(|(k, v)| (k, v.0.as_slice())));
            let renewed = authorities.renewed(Timestamp::now())?;
            if renewed == authorities || self.write(kept, &renewed).await? {
                *known = renewed;
                return Ok(());
            }
        }
        Err(KeepError::Contended)
    }

    /// Writes the Secret; false where another replica was quicker.
    async fn write(&self, kept: Option<Secret>, authorities: &Authorities) -> Result<bool, KeepError> {
        let data: BTreeMap<String, ByteString> = authorities.data().into_iter().map(|(k, v)| (k, ByteString(v.into_bytes()))).collect();
        let exists = kept.is_some();
        let secret = Secret { data: Some(data), ..kept.unwrap_or_else(|| Secret { metadata: named(), ..Secret::default() }) };
        won(put(&self.secrets, &secret, exists).await).map_err(failed("Secret", "written"))
    }

    /// Shows agents what to trust.
    async fn publish(&self, authorities: &Authorities) -> Result<(), KeepError> {
        let kept = in_time(self.published.get_opt(NAME)).await.map_err(failed("ConfigMap", "read"))?;
        let wanted = BTreeMap::from([(CA.to_owned(), authorities.bundle())]);
        if kept.as_ref().is_some_and(|c| c.data.as_ref() == Some(&wanted)) {
            return Ok(());
        }
        let exists = kept.is_some();
        let map = ConfigMap { data: Some(wanted), ..kept.unwrap_or_else(|| ConfigMap { metadata: named(), ..ConfigMap::default() }) };
        // Another replica that was quicker has written the same.
        won(put(&self.published, &map, exists).await).map_err(failed("ConfigMap", "written"))?;
        Ok(())
    }
}

/// Creates an object, or replaces the version of it that was read.
async fn put<K>(api: &Api<K>, object: &K, exists: bool) -> Result<K, kube::Error>
where
    K: Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let parameters = PostParams::default();
    if exists { in_time(api.replace(NAME, &parameters, object)).await } else { in_time(api.create(&parameters, object)).await }
}

/// Whether a write was the first: a conflict means that another was.
fn won<K>(written: Result<K, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(error)) if error.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn failed(object: &'static str, what: &'static str) -> impl Fn(kube::Error) -> KeepError {
    move |source| KeepError::Api { object, what, source }
}

fn named() -> ObjectMeta {
    ObjectMeta { name: Some(NAME.into()), labels: Some(crate::api::labels()), ..ObjectMeta::default() }
}
