//! Lists for one-shot use: the whole cluster where that is allowed, else the target's namespace.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core, discovery::v1 as discovery, networking::v1 as networking};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::convert::Convert;
use crate::snapshot::objects::{Kind, Object};
use crate::snapshot::{Coverage, Snapshot};

/// Objects asked for at once.
const PAGE: u32 = 500;

/// Why nothing could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The API server could not be reached.
    #[error("the API server at {url} cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The credentials were not accepted.
    #[error("the API server at {url} does not accept these credentials (401): they may have expired")]
    Unauthorized {
        /// Its address.
        url: String,
    },
    /// Not one of the kinds needed may be read.
    #[error("nothing may be read: {reason}")]
    Forbidden {
        /// The API server's words.
        reason: String,
    },
}

/// Loads everything that paths need. A kind that cannot be read is left out and says why in its coverage.
///
/// # Errors
/// Fails only where nothing at all can be read: unreachable, credentials refused, or Ingresses and Services both forbidden.
pub async fn load(client: &Client, url: &str, namespace: &str) -> Result<Snapshot, ListError> {
    let loads: Vec<BoxFuture<'_, (Kind, Loaded)>> = vec![
        all::<networking::Ingress>(client, Kind::Ingress, namespace),
        whole::<networking::IngressClass>(client, Kind::IngressClass),
        all::<core::Service>(client, Kind::Service, namespace),
        all::<discovery::EndpointSlice>(client, Kind::EndpointSlice, namespace),
        all::<core::Pod>(client, Kind::Pod, namespace),
        whole::<core::Node>(client, Kind::Node),
        whole::<core::Namespace>(client, Kind::Namespace),
        all::<networking::NetworkPolicy>(client, Kind::NetworkPolicy, namespace),
        all::<apps::Deployment>(client, Kind::Deployment, namespace),
        all::<apps::ReplicaSet>(client, Kind::ReplicaSet, namespace),
        all::<apps::StatefulSet>(client, Kind::StatefulSet, namespace),
        all::<apps::DaemonSet>(client, Kind::DaemonSet, namespace),
        all::<batch::Job>(client, Kind::Job, namespace),
    ];
    let mut snapshot = Snapshot::default();
    let mut forbidden = None;
    let mut loaded = futures::stream::iter(loads).buffer_unordered(8);
    while let Some((kind, result)) = loaded.next().await {
        match result {
            Ok((objects, coverage)) => {
                snapshot.extend(objects);
                snapshot.cover(kind, coverage);
            }
            Err(error) => {
                let why = explain(&error, url)?;
                if matches!(kind, Kind::Ingress | Kind::Service) {
                    forbidden = Some(why.clone());
                }
                snapshot.cover(kind, Coverage::Failed(why));
            }
        }
    }
    let blind = |kind| matches!(snapshot.coverage(kind), Coverage::Failed(_));
    match forbidden {
        Some(reason) if blind(Kind::Ingress) && blind(Kind::Service) => Err(ListError::Forbidden { reason }),
        _ => Ok(snapshot),
    }
}

type Loaded = Result<(Vec<Object>, Coverage), kube::Error>;

/// A namespaced kind of all namespaces; where that is forbidden, of one.
fn all<'a, K>(client: &'a Client, kind: Kind, namespace: &'a str) -> BoxFuture<'a, (Kind, Loaded)>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    K::DynamicType: Default,
{
    async move {
        let result = match pages(Api::<K>::all(client.clone())).await {
            Err(kube::Error::Api(status)) if status.code == 403 => pages(Api::<K>::namespaced(client.clone(), namespace))
                .await
                .map(|objects| (objects, Coverage::Only(namespace.to_owned(), status.message.clone()))),
            other => other.map(|objects| (objects, Coverage::Complete)),
        };
        (kind, result)
    }
    .boxed()
}

/// A cluster-wide kind.
fn whole<K>(client: &Client, kind: Kind) -> BoxFuture<'_, (Kind, Loaded)>
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    K::DynamicType: Default,
{
    async move { (kind, pages(Api::<K>::all(client.clone())).await.map(|objects| (objects, Coverage::Complete))) }.boxed()
}

async fn pages<K>(api: Api<K>) -> Result<Vec<Object>, kube::Error>
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut objects = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&parameters).await?;
        objects.extend(page.items.into_iter().map(Convert::convert));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// A kind's failure in words, or the error that ends the whole load.
fn explain(error: &kube::Error, url: &str) -> Result<String, ListError> {
    match error {
        kube::Error::Api(status) if status.code == 401 => Err(ListError::Unauthorized { url: url.into() }),
        kube::Error::Api(status) if status.code == 404 => Ok("not served by this API server".into()),
        kube::Error::Api(status) => Ok(status.message.clone()),
        other => Err(ListError::Unreachable { url: url.into(), reason: root(other) }),
    }
}

/// The innermost reason of an error: the one that says what happened.
pub fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
