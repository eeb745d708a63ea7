//! Kinds that not every API server has: followed while their CustomResourceDefinition is there.
//!
//! Without one there is nothing to list, and nothing of the kind: that is known, costs one watch, and is no error.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::follow::{Change, Reached, follow};
use super::watch::Event;
use super::wire::Definition;
use crate::snapshot::objects::Kind;

/// What is said of a kind that is there in another version than the one that is read.
pub const ANOTHER_VERSION: &str = "served in versions that are not read";

/// Follows a kind, by a task of its own that is made anew, while the API server has it in a version. Ends where nobody listens.
pub async fn follow_where_served<F>(
    client: Client,
    kind: Kind,
    version: String,
    reached: Arc<Reached>,
    sender: mpsc::Sender<Event>,
    follow_kind: impl Fn() -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (tell, definitions) = mpsc::channel(1);
    let watch = follow(Api::<Definition>::all(client), super::definition(kind), reached, tell, |change| change);
    tokio::select! {
        () = watch => {}
        () = apply(definitions, kind, &version, &sender, follow_kind) => {}
        () = sender.closed() => {}
    }
}

async fn apply<F>(
    mut definitions: mpsc::Receiver<Change<Definition>>,
    kind: Kind,
    version: &str,
    sender: &mpsc::Sender<Event>,
    follow_kind: impl Fn() -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    // Ends what it holds when it is dropped.
    let mut following = JoinSet::new();
    while let Some(change) = definitions.recv().await {
        let event = match change {
            Change::Changed(definition) if serves(&definition, version) => {
                if following.is_empty() {
                    following.spawn(follow_kind());
                }
                continue;
            }
            Change::Changed(_) => Event::Failed(kind, ANOTHER_VERSION.into()),
            Change::Removed(_) => Event::Listed(kind, BTreeSet::new()),
            Change::Listed(present) if present.is_empty() => Event::Listed(kind, BTreeSet::new()),
            Change::Listed(_) => continue,
            // What is followed says itself how it goes.
            Change::Failed(_) if !following.is_empty() => continue,
            Change::Failed(why) => Event::Failed(kind, why),
        };
        following = JoinSet::new();
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

fn serves(definition: &Definition, version: &str) -> bool {
    let versions = definition.spec.iter().flat_map(|spec| spec.versions.iter().flatten());
    versions.into_iter().any(|v| v.name.as_deref() == Some(version) && v.served == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::Key;

    fn definition(version: &str) -> Definition {
        let yaml = format!("{{metadata: {{name: x}}, spec: {{versions: [{{name: {version}, served: true}}]}}}}");
        serde_yaml::from_str(&yaml).unwrap()
    }

    /// What is told of the kind, and how often it was begun to be followed.
    async fn told(changes: Vec<Change<Definition>>) -> (Vec<String>, usize) {
        let (tell, definitions) = mpsc::channel(16);
        let (sender, mut events) = mpsc::channel(16);
        for change in changes {
            tell.send(change).await.unwrap();
        }
        drop(tell);
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let follow = || {
            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::future::pending()
        };
        apply(definitions, Kind::ClusterNetworkPolicy, "v1alpha2", &sender, follow).await;
        drop(sender);
        let mut told = Vec::new();
        while let Some(event) = events.recv().await {
            told.push(match event {
                Event::Listed(_, present) => format!("listed {}", present.len()),
                Event::Failed(_, why) => why,
                other => format!("{other:?}"),
            });
        }
        (told, begun.into_inner())
    }

    #[tokio::test]
    async fn a_kind_that_is_not_installed_has_no_objects_and_is_not_asked_for() {
        assert_eq!(told(vec![Change::Listed(BTreeSet::new())]).await, (vec!["listed 0".into()], 0));
    }

    #[tokio::test]
    async fn one_that_is_installed_later_is_followed_once_and_gone_when_it_is_removed() {
        let present = || BTreeSet::from([Key::new("", "x")]);
        let changes = vec![
            Change::Listed(BTreeSet::new()),
            Change::Changed(definition("v1alpha2")),
            Change::Changed(definition("v1alpha2")),
            Change::Failed("the watch fails".into()),
            Change::Listed(present()),
            Change::Removed(Key::new("", "x")),
            Change::Changed(definition("v1alpha2")),
        ];
        assert_eq!(told(changes).await, (vec!["listed 0".into(), "listed 0".into()], 2));
    }

    #[tokio::test]
    async fn another_version_or_no_leave_to_ask_is_not_known() {
        let changes = vec![Change::Changed(definition("v1beta1")), Change::Failed("forbidden".into())];
        assert_eq!(told(changes).await, (vec![ANOTHER_VERSION.into(), "forbidden".into()], 0));
    }
}
