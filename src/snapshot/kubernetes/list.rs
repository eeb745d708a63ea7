//! Lists for one-shot use: the whole cluster where that is allowed, else the target's namespace.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::convert::Convert;
use super::wire;
use crate::snapshot::objects::{Kind, Object};
use crate::snapshot::{Coverage, Snapshot};

/// Objects asked for at once.
const PAGE: u32 = 500;
/// Pages that wait to be taken into the snapshot.
const PAGES_AHEAD: usize = 4;

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
    // Pages are taken into the snapshot as they come: a whole list would stand in memory twice.
    let (pages, mut read) = mpsc::channel(PAGES_AHEAD);
    let from = Source { client, namespace, pages };
    let loads: Vec<BoxFuture<'_, (Kind, Loaded)>> = vec![
        from.all::<wire::Ingress>(Kind::Ingress),
        from.whole::<wire::IngressClass>(Kind::IngressClass),
        from.all::<wire::Service>(Kind::Service),
        from.all::<wire::EndpointSlice>(Kind::EndpointSlice),
        from.all::<wire::Pod>(Kind::Pod),
        from.whole::<wire::Node>(Kind::Node),
        from.whole::<wire::Namespace>(Kind::Namespace),
        from.all::<wire::NetworkPolicy>(Kind::NetworkPolicy),
        from.where_served::<wire::AdminNetworkPolicy>(Kind::AdminNetworkPolicy),
        from.where_served::<wire::BaselineAdminNetworkPolicy>(Kind::BaselineAdminNetworkPolicy),
        from.where_served::<wire::ClusterNetworkPolicy>(Kind::ClusterNetworkPolicy),
        from.all::<wire::Deployment>(Kind::Deployment),
        from.all::<wire::ReplicaSet>(Kind::ReplicaSet),
        from.all::<wire::StatefulSet>(Kind::StatefulSet),
        from.all::<wire::DaemonSet>(Kind::DaemonSet),
        from.all::<wire::Job>(Kind::Job),
        from.all::<wire::HorizontalPodAutoscaler>(Kind::HorizontalPodAutoscaler),
        from.all::<wire::Event>(Kind::Event),
    ];
    let mut snapshot = Snapshot::default();
    let loading = async {
        let loaded: Vec<(Kind, Loaded)> = futures::stream::iter(loads).buffer_unordered(8).collect().await;
        // Nobody sends any more.
        drop(from);
        loaded
    };
    let taking = async {
        while let Some(objects) = read.recv().await {
            snapshot.extend(objects);
        }
    };
    let (loaded, ()) = futures::join!(loading, taking);
    let mut forbidden = None;
    for (kind, result) in loaded {
        match result {
            Ok(coverage) => snapshot.cover(kind, coverage),
            Err(error) => {
                let why = explain(&error, url)?;
                if matches!(kind, Kind::Ingress | Kind::Service) {
                    forbidden = Some(why.clone());
                }
                // Pages that came before it failed are no answer.
                snapshot.references(kind).iter().for_each(|r| snapshot.remove(r));
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

type Loaded = Result<Coverage, kube::Error>;

/// Where lists come from, and where their pages go.
struct Source<'a> {
    client: &'a Client,
    namespace: &'a str,
    pages: mpsc::Sender<Vec<Object>>,
}

impl<'a> Source<'a> {
    /// A namespaced kind of all namespaces; where that is forbidden, of one.
    fn all<K>(&self, kind: Kind) -> BoxFuture<'a, (Kind, Loaded)>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        K::DynamicType: Default,
    {
        let (client, namespace, to) = (self.client, self.namespace, self.pages.clone());
        async move {
            let result = match pages(Api::<K>::all(client.clone()), kind, &to).await {
                Err(kube::Error::Api(status)) if status.code == 403 => pages(Api::<K>::namespaced(client.clone(), namespace), kind, &to)
                    .await
                    .map(|()| Coverage::Only(namespace.to_owned(), status.message.clone())),
                other => other.map(|()| Coverage::Complete),
            };
            (kind, result)
        }
        .boxed()
    }

    /// A cluster-wide kind that not every API server has. There is no object of it where it has none.
    fn where_served<K>(&self, kind: Kind) -> BoxFuture<'a, (Kind, Loaded)>
    where
        K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        K::DynamicType: Default,
    {
        let (client, to) = (self.client, self.pages.clone());
        let load = async move {
            match served::<K>(client).await? {
                Served::Yes => pages(Api::<K>::all(client.clone()), kind, &to).await.map(|()| Coverage::Complete),
                Served::No => Ok(Coverage::Complete),
                Served::Otherwise => Ok(Coverage::Failed(super::served::ANOTHER_VERSION.into())),
            }
        };
        async move { (kind, load.await) }.boxed()
    }

    /// A cluster-wide kind.
    fn whole<K>(&self, kind: Kind) -> BoxFuture<'a, (Kind, Loaded)>
    where
        K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        K::DynamicType: Default,
    {
        let (client, to) = (self.client, self.pages.clone());
        async move { (kind, pages(Api::<K>::all(client.clone()), kind, &to).await.map(|()| Coverage::Complete)) }.boxed()
    }
}

/// Whether an API server has a kind in the version that is read.
enum Served {
    Yes,
    No,
    /// It has it in other versions alone.
    Otherwise,
}

async fn served<K>(client: &Client) -> Result<Served, kube::Error>
where
    K: Resource,
    K::DynamicType: Default,
{
    let kind = K::DynamicType::default();
    let group = match client.request::<APIGroup>(group_of(&K::group(&kind))?).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Served::No),
        group => group?,
    };
    let mut served = Served::No;
    for version in &group.versions {
        let resources = client.list_api_group_resources(&version.group_version).await?.resources;
        if resources.iter().any(|r| r.name == K::plural(&kind)) {
            if version.version == K::version(&kind) {
                return Ok(Served::Yes);
            }
            served = Served::Otherwise;
        }
    }
    Ok(served)
}

fn group_of(group: &str) -> Result<http::Request<Vec<u8>>, kube::Error> {
    http::Request::get(format!("/apis/{group}")).body(Vec::new()).map_err(kube::Error::HttpError)
}

async fn pages<K>(api: Api<K>, kind: Kind, to: &mpsc::Sender<Vec<Object>>) -> Result<(), kube::Error>
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut parameters = ListParams::default().limit(PAGE);
    parameters.field_selector = super::fields(kind).map(str::to_owned);
    loop {
        let page = api.list(&parameters).await?;
        // Whoever takes them takes all of them.
        let _ = to.send(page.items.into_iter().map(Convert::convert).collect()).await;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(()),
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
