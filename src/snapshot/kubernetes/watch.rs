//! One watch per kind, for the controller.
//!
//! Objects are pruned the moment they arrive. A relist replaces nothing at once: what is listed is applied one by one, and what
//! was not listed is removed at its end, so that two copies of a store never stand side by side.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::convert::Convert;
use super::follow::{Change, Reached, follow};
use super::served::follow_where_served;
use super::wire;
use crate::snapshot::objects::{Key, Kind, Object, ObjectRef};
use crate::snapshot::{Coverage, Snapshot};

/// Events held back while the receiver is busy.
const BUFFER: usize = 256;

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
pub fn all(client: &Client, reached: &Arc<Reached>) -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    start::<wire::Ingress>(client, Kind::Ingress, reached, &sender);
    start::<wire::IngressClass>(client, Kind::IngressClass, reached, &sender);
    start::<wire::Service>(client, Kind::Service, reached, &sender);
    start::<wire::EndpointSlice>(client, Kind::EndpointSlice, reached, &sender);
    start::<wire::Pod>(client, Kind::Pod, reached, &sender);
    start::<wire::Node>(client, Kind::Node, reached, &sender);
    start::<wire::Namespace>(client, Kind::Namespace, reached, &sender);
    start::<wire::NetworkPolicy>(client, Kind::NetworkPolicy, reached, &sender);
    start_where_served::<wire::AdminNetworkPolicy>(client, Kind::AdminNetworkPolicy, reached, &sender);
    start_where_served::<wire::BaselineAdminNetworkPolicy>(client, Kind::BaselineAdminNetworkPolicy, reached, &sender);
    start_where_served::<wire::ClusterNetworkPolicy>(client, Kind::ClusterNetworkPolicy, reached, &sender);
    start::<wire::Deployment>(client, Kind::Deployment, reached, &sender);
    start::<wire::ReplicaSet>(client, Kind::ReplicaSet, reached, &sender);
    start::<wire::StatefulSet>(client, Kind::StatefulSet, reached, &sender);
    start::<wire::DaemonSet>(client, Kind::DaemonSet, reached, &sender);
    start::<wire::Job>(client, Kind::Job, reached, &sender);
    start::<wire::HorizontalPodAutoscaler>(client, Kind::HorizontalPodAutoscaler, reached, &sender);
    start::<wire::Event>(client, Kind::Event, reached, &sender);
    receiver
}

fn start<K>(client: &Client, kind: Kind, reached: &Arc<Reached>, sender: &mpsc::Sender<Event>)
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
{
    tokio::spawn(following::<K>(client, kind, reached, sender));
}

fn start_where_served<K>(client: &Client, kind: Kind, reached: &Arc<Reached>, sender: &mpsc::Sender<Event>)
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
{
    let again = (client.clone(), reached.clone(), sender.clone());
    let follow = move || following::<K>(&again.0, kind, &again.1, &again.2);
    let version = K::version(&K::DynamicType::default()).into_owned();
    tokio::spawn(follow_where_served(client.clone(), kind, version, reached.clone(), sender.clone(), follow));
}

/// Follows a kind and puts what changes into the channel.
fn following<K>(
    client: &Client,
    kind: Kind,
    reached: &Arc<Reached>,
    sender: &mpsc::Sender<Event>,
) -> impl Future<Output = ()> + Send + use<K>
where
    K: Resource + Convert + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
{
    let put = move |change: Change<K>| match change {
        Change::Changed(object) => Event::Changed(Box::new(object.convert())),
        Change::Removed(key) => Event::Removed(ObjectRef { kind, key }),
        Change::Listed(keys) => Event::Listed(kind, keys),
        Change::Failed(why) => Event::Failed(kind, why),
    };
    follow(Api::<K>::all(client.clone()), super::fields(kind), reached.clone(), sender.clone(), put)
}

/// What a snapshot holds of a kind and a list did not show.
pub fn gone(snapshot: &Snapshot, kind: Kind, present: &BTreeSet<Key>) -> Vec<ObjectRef> {
    snapshot.references(kind).into_iter().filter(|r| !present.contains(&r.key)).collect()
}

/// Applies an event to a snapshot. Returns the references whose objects changed.
pub fn apply(snapshot: &mut Snapshot, event: Event) -> Vec<ObjectRef> {
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
            let gone = gone(snapshot, kind, &present);
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
