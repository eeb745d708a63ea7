//! A list and then a watch of one kind, kept going whatever the API server does.
//!
//! ```text
//!        ┌──────────── 410: the version is too old ─────────────┐
//!        ▼                                                      │
//!      list ──► Listed ──► watch ──► Changed, Removed, bookmarks┤
//!        ▲                   ▲  └── ended, silent, broken ──┐   │
//!        └── never listed ── pause ◄────────────────────────┘   │
//! ```
//!
//! Bookmarks show that a watch is alive (Kubernetes API concepts, "Watch bookmarks"; the API server sends one about every minute where
//! anything changed). A watch that shows nothing for longer may be dead, as behind a load balancer that forgot it, and is begun anew.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::metadata::ListMeta;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::list::root;
use crate::snapshot::objects::Key;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Limit of one page, and of the beginning of a watch.
const SLOW: Duration = Duration::from_secs(30);
/// A watch without an object or bookmark for this long may be dead.
pub const SILENT: Duration = Duration::from_secs(75);
/// How long a kind may fail before what it has shown counts as too old.
const TOO_OLD: Duration = Duration::from_secs(30);
/// Seconds after which the API server ends a watch by itself.
const WATCH_SECONDS: u32 = 290;

/// What is said of the objects of a kind.
#[derive(Debug)]
pub enum Change<K> {
    /// An object was added or changed.
    Changed(K),
    /// An object is gone.
    Removed(Key),
    /// A list ended; every other object is gone.
    Listed(BTreeSet<Key>),
    /// The kind cannot be seen now, for this reason.
    Failed(String),
}

/// Tells every watch that pauses that the API server answers again, so that what is known comes back all at once.
#[derive(Debug, Default)]
pub struct Reached(Notify);

/// Why a list or watch ended early.
enum End {
    /// The version that the watch was to begin at is forgotten (410).
    Expired,
    /// The answer will be the same for a while: forbidden, or not served.
    Refused(String),
    /// It may work again any moment; the API server may name the pause that it wants.
    Broken(String, Option<Duration>),
    /// Nobody listens any more.
    Unheard,
}

/// Lists and watches until the channel is closed. Changes are put into it as `put` makes of them.
pub async fn follow<K, T, F>(api: Api<K>, selector: Option<&'static str>, reached: Arc<Reached>, sender: mpsc::Sender<T>, put: F)
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
    F: Fn(Change<K>) -> T,
{
    let tell = Tell { sender, put };
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let mut version: Option<String> = None;
    let mut pause = DefaultBackoff::default();
    let mut trouble = Trouble::default();
    loop {
        let ended = match version.take() {
            None => list(&api, selector, &tell).await.map(Some),
            Some(mut at) => {
                let ended = watch(&api, selector, &mut at, &tell, || trouble.clear(&mut pause, &reached)).await;
                // What was seen was seen, however the watch ended: the next one goes on from there. Too old a version needs a list.
                version = (!matches!(ended, Err(End::Expired))).then_some(at);
                ended.map(|()| version.take())
            }
        };
        let (why, wait) = match ended {
            Ok(next) => {
                trouble.clear(&mut pause, &reached);
                version = next;
                continue;
            }
            Err(End::Unheard) => return,
            Err(End::Expired) => (Ok("the version to watch from is too old".into()), None),
            Err(End::Refused(why)) => (Err(why), None),
            Err(End::Broken(why, wait)) => (Ok(why), wait),
        };
        tracing::warn!(kind, reason = why.as_ref().unwrap_or_else(|e| e), "cannot be watched, trying again");
        if let Some(why) = trouble.is_news(why)
            && tell.tell(Change::Failed(why)).await.is_err()
        {
            return;
        }
        let wait = pause.next().unwrap_or(SLOW).max(wait.unwrap_or_default());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = reached.0.notified() => {}
        }
        // What was called unseen is seen again only once all of it was listed.
        if trouble.told {
            version = None;
        }
    }
}

/// Where changes go.
struct Tell<T, F> {
    sender: mpsc::Sender<T>,
    put: F,
}

impl<T, F> Tell<T, F> {
    async fn tell<K>(&self, change: Change<K>) -> Result<(), End>
    where
        F: Fn(Change<K>) -> T,
    {
        self.sender.send((self.put)(change)).await.map_err(|_| End::Unheard)
    }
}

/// Since when a kind fails, and whether that was told.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    told: bool,
}

impl Trouble {
    /// It works. Others that wait are told where it had not.
    fn clear(&mut self, pause: &mut DefaultBackoff, reached: &Reached) {
        if self.since.take().is_some() {
            pause.reset();
            reached.0.notify_waiters();
        }
        self.told = false;
    }

    /// The reason, where it is to be told now: a refusal at once, a failure once it lasts, and each only once.
    fn is_news(&mut self, why: Result<String, String>) -> Option<String> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let why = match why {
            Err(refused) => refused,
            Ok(broken) if since.elapsed() > TOO_OLD => format!("the watch fails: {broken}"),
            Ok(_) => return None,
        };
        (!std::mem::replace(&mut self.told, true)).then_some(why)
    }
}

/// Lists all pages. Returns the version to watch from.
async fn list<K, T, F>(api: &Api<K>, selector: Option<&str>, tell: &Tell<T, F>) -> Result<String, End>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    F: Fn(Change<K>) -> T,
{
    let mut parameters = ListParams::default().limit(PAGE);
    parameters.field_selector = selector.map(str::to_owned);
    let mut listed = BTreeSet::new();
    loop {
        let page = in_time(api.list(&parameters)).await?;
        for object in page.items {
            listed.insert(key_of(&object));
            tell.tell(Change::Changed(object)).await?;
        }
        let ListMeta { continue_, resource_version, .. } = page.metadata;
        match continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => {
                tell.tell(Change::Listed(listed)).await?;
                return Ok(resource_version.unwrap_or_default());
            }
        }
    }
}

/// Watches from a version on, which it brings forward. Ends well where the API server ends it.
async fn watch<K, T, F>(
    api: &Api<K>,
    selector: Option<&str>,
    version: &mut String,
    tell: &Tell<T, F>,
    mut alive: impl FnMut(),
) -> Result<(), End>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    F: Fn(Change<K>) -> T,
{
    let mut parameters = WatchParams::default().timeout(WATCH_SECONDS);
    parameters.field_selector = selector.map(str::to_owned);
    let mut stream = pin!(in_time(api.watch(&parameters, version)).await?);
    alive();
    loop {
        // Nothing may have happened, and not every API server sends bookmarks then; a new watch tells, and costs little.
        let Ok(event) = timeout(SILENT, stream.next()).await else { return Ok(()) };
        let change = match event {
            None => return Ok(()),
            Some(Err(error)) => return Err(end_of(&error)),
            Some(Ok(WatchEvent::Error(status))) => return Err(end_of(&kube::Error::Api(status))),
            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                version.clone_from(&bookmark.metadata.resource_version);
                continue;
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                *version = object.resource_version().unwrap_or_default();
                Change::Changed(object)
            }
            Some(Ok(WatchEvent::Deleted(object))) => {
                *version = object.resource_version().unwrap_or_default();
                Change::Removed(key_of(&object))
            }
        };
        tell.tell(change).await?;
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, End> {
    match timeout(SLOW, request).await {
        Ok(answer) => answer.map_err(|error| end_of(&error)),
        Err(_) => Err(End::Broken("the API server does not answer in time".into(), None)),
    }
}

fn end_of(error: &kube::Error) -> End {
    match error {
        kube::Error::Api(status) => match status.code {
            410 => End::Expired,
            403 => End::Refused(status.message.clone()),
            404 => End::Refused("not served by this API server".into()),
            _ => {
                let wanted = status.details.as_ref().map(|d| Duration::from_secs(u64::from(d.retry_after_seconds)));
                End::Broken(status.message.clone(), wanted)
            }
        },
        other => End::Broken(root(other), None),
    }
}

/// Key of an object.
pub fn key_of<K: Resource>(object: &K) -> Key {
    let meta = object.meta();
    Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::core::response::StatusDetails;

    use super::*;

    fn answer(code: u16, retry_after_seconds: u32) -> kube::Error {
        let details: StatusDetails =
            serde_json::from_value(serde_json::json!({"retryAfterSeconds": retry_after_seconds})).expect("details");
        kube::Error::Api(Box::new(Status { code, message: "no".into(), details: Some(details), ..Status::default() }))
    }

    #[test]
    fn who_is_asked_to_wait_waits_as_long() {
        assert!(matches!(end_of(&answer(429, 7)), End::Broken(_, Some(wait)) if wait == Duration::from_secs(7)));
        assert!(matches!(end_of(&answer(500, 0)), End::Broken(..)));
    }

    #[test]
    fn a_forgotten_version_is_listed_anew_and_a_refusal_is_told_at_once() {
        assert!(matches!(end_of(&answer(410, 0)), End::Expired));
        assert!(matches!(end_of(&answer(403, 0)), End::Refused(_)));
        assert!(matches!(end_of(&answer(404, 0)), End::Refused(_)));
    }

    #[test]
    fn a_failure_is_told_once_it_lasts_and_only_once() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.is_news(Ok("reset".into())), None);
        trouble.since = Instant::now().checked_sub(TOO_OLD + Duration::from_secs(1));
        assert_eq!(trouble.is_news(Ok("reset".into())), Some("the watch fails: reset".into()));
        assert_eq!(trouble.is_news(Ok("reset".into())), None);
    }
}
