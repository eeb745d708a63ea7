//! One watch per kind, for the controller.
//!
//! Objects are pruned the moment they arrive. A relist replaces nothing at once: what is listed is applied one by one, and what
//! was not listed is removed at its end, so that two copies of a store never stand side by side.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core, discovery::v1 as discovery, networking::v1 as networking};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::convert::Convert;
use super::list::root;
use crate::snapshot::Coverage;
use crate::snapshot::objects::{Key, Kind, Object, ObjectRef};

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// How long a watch may fail before what it has shown counts as too old.
const TOO_OLD: Duration = Duration::from_secs(30);
/// Pause before a watch that failed for good is begun anew.
const ANEW: Duration = Duration::from_secs(5);
/// Events held back while the receiver is busy.
const BUFFER: usize = 4096;

/// What a watch says.
#[derive(Clone, Debug)]
pub enum Event {
    /// An object was added or changed.
    Changed(Box<Object>),
    /// An object is gone.
    Removed(ObjectRef),
    /// A list ended; every other object of the kind is gone.
    Listed(Kind, BTreeSet<Key>),
    /// A kind cannot be watched now, for this reason.
    Failed(Kind, String),
}

/// Watches every kind that a snapshot holds. The watches end when the receiver is dropped.
pub fn all(client: &Client) -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    start::<networking::Ingress>(client, Kind::Ingress, &sender);
    start::<networking::IngressClass>(client, Kind::IngressClass, &sender);
    start::<core::Service>(client, Kind::Service, &sender);
    start::<discovery::EndpointSlice>(client, Kind::EndpointSlice, &sender);
    start::<core::Pod>(client, Kind::Pod, &sender);
    start::<core::Node>(client, Kind::Node, &sender);
    start::<core::Namespace>(client, Kind::Namespace, &sender);
    start::<networking::NetworkPolicy>(client, Kind::NetworkPolicy, &sender);
    start::<apps::Deployment>(client, Kind::Deployment, &sender);
    start::<apps::ReplicaSet>(client, Kind::ReplicaSet, &sender);
    start::<apps::StatefulSet>(client, Kind::StatefulSet, &sender);
    start::<apps::DaemonSet>(client, Kind::DaemonSet, &sender);
    start::<batch::Job>(client, Kind::Job, &sender);
    receiver
}

fn start<K>(client: &Client, kind: Kind, sender: &mpsc::Sender<Event>)
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
{
    let (api, sender) = (Api::<K>::all(client.clone()), sender.clone());
    tokio::spawn(async move {
        while watch(&api, kind, &sender).await.is_ok() {
            tokio::time::sleep(ANEW).await;
        }
    });
}

/// Watches one kind until it fails for too long; the error is that nobody listens any more.
async fn watch<K>(api: &Api<K>, kind: Kind, sender: &mpsc::Sender<Event>) -> Result<(), mpsc::error::SendError<Event>>
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    K::DynamicType: Default,
{
    let config = watcher::Config::default().page_size(PAGE);
    let mut stream = pin!(watcher(api.clone(), config).default_backoff());
    let mut listed = BTreeSet::new();
    let mut failing_since: Option<Instant> = None;
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let object = object.convert();
                listed.insert(object.reference().key);
                sender.send(Event::Changed(Box::new(object))).await?;
            }
            Ok(watcher::Event::InitDone) => sender.send(Event::Listed(kind, std::mem::take(&mut listed))).await?,
            Ok(watcher::Event::Apply(object)) => sender.send(Event::Changed(Box::new(object.convert()))).await?,
            Ok(watcher::Event::Delete(object)) => sender.send(Event::Removed(object.convert().reference())).await?,
            Err(error) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if let Some(why) = final_reason(&error) {
                    sender.send(Event::Failed(kind, why)).await?;
                    return Ok(());
                }
                tracing::warn!(%kind, error = %root(&error), "watch failed, trying again");
                if since.elapsed() > TOO_OLD {
                    sender.send(Event::Failed(kind, format!("the watch fails: {}", root(&error)))).await?;
                    return Ok(());
                }
                continue;
            }
        }
        failing_since = None;
    }
    Ok(())
}

/// A reason that another try within seconds would not change: forbidden, or not served.
fn final_reason(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(inner) | watcher::Error::WatchStartFailed(inner)) = error else { return None };
    match inner {
        kube::Error::Api(status) if status.code == 403 => Some(status.message.clone()),
        kube::Error::Api(status) if status.code == 404 => Some("not served by this API server".into()),
        _ => None,
    }
}

/// Applies an event to a snapshot. Returns the references whose objects changed.
pub fn apply(snapshot: &mut crate::snapshot::Snapshot, event: Event) -> Vec<ObjectRef> {
    match event {
        Event::Changed(object) => {
            let reference = object.reference();
            if snapshot.apply(*object) { vec![reference] } else { Vec::new() }
        }
        Event::Removed(reference) => {
            snapshot.remove(&reference);
            vec![reference]
        }
        Event::Listed(kind, present) => {
            let gone: Vec<ObjectRef> = snapshot.references(kind).into_iter().filter(|r| !present.contains(&r.key)).collect();
            gone.iter().for_each(|r| snapshot.remove(r));
            snapshot.cover(kind, Coverage::Complete);
            gone
        }
        Event::Failed(kind, why) => {
            snapshot.cover(kind, Coverage::Failed(why));
            Vec::new()
        }
    }
}
