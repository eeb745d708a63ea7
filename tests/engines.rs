//! A Docker engine is followed: events have only what they touch read anew, and what is lost is said. The engine is one of this test's own.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use culprit::api::Diagnosis;
use culprit::engines::{Keeper, Options};
use culprit::metrics::Metrics;
use culprit::snapshot::docker::engine::{Address, Connection, Endpoint};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// What an engine holds, and what it was asked.
#[derive(Clone)]
struct Engine {
    held: Arc<Mutex<Held>>,
    events: broadcast::Sender<String>,
}

#[derive(Default)]
struct Held {
    containers: BTreeMap<String, Value>,
    asked: Vec<String>,
    fails: bool,
}

impl Engine {
    /// One with a gateway, its application and a container beside them.
    fn of_shop() -> Self {
        let engine = Engine { held: Arc::default(), events: broadcast::channel(64).0 };
        engine.run("web", &json!({"culprit.dev/upstream": "http://app:3000"}));
        engine.run("app", &json!({}));
        engine.run("other", &json!({}));
        engine
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic")
    }

    fn run(&self, name: &str, labels: &Value) {
        let address = format!("10.0.0.{}", self.held().containers.len() + 2);
        let container = json!({
            "Id": id(name),
            "Name": format!("/{name}"),
            "Config": {"Image": "shop", "Labels": labels},
            "State": {"Status": "running", "Pid": 1},
            "HostConfig": {"NetworkMode": "shop"},
            "NetworkSettings": {"Networks": {"shop": {"NetworkID": "f00d", "IPAddress": address, "Aliases": [name]}}},
        });
        self.held().containers.insert(id(name), container);
    }

    /// Says that something happened to a container.
    fn say(&self, action: &str, name: &str) {
        let event = json!({"Type": "container", "Action": action, "Actor": {"ID": id(name), "Attributes": {"name": name}}});
        self.events.send(format!("{event}\n")).expect("somebody listens");
    }

    /// What it was asked since the last time, without the questions of probes.
    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.held().asked);
        asked.into_iter().filter(|path| !path.contains("create") && !path.contains("images")).collect()
    }

    async fn serve(&self) -> Connection {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = axum::Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let address = Address::Tcp { host: "127.0.0.1".into(), port, tls: None };
        Connection::open(Endpoint { address, named_by: "the test".into() }).await.expect("an engine")
    }
}

/// 64 digits that begin with a name's bytes.
fn id(name: &str) -> String {
    let digits: String = name.bytes().map(|b| format!("{b:02x}")).collect();
    format!("{digits:0<64}")
}

async fn answer(State(engine): State<Engine>, uri: Uri) -> Response {
    let path =
        uri.path().split_once("/v1.").and_then(|(_, rest)| rest.split_once('/')).map_or_else(|| uri.path().to_owned(), |p| p.1.to_owned());
    let path = path.trim_start_matches('/').to_owned();
    if engine.held().fails {
        return (StatusCode::INTERNAL_SERVER_ERROR, r#"{"message": "it is ill"}"#).into_response();
    }
    if path == "events" {
        let events = engine.events.subscribe();
        let lines = futures::stream::unfold(events, |mut events| async move {
            let line = events.recv().await.ok()?;
            Some((Ok::<_, std::io::Error>(line), events))
        });
        return Body::from_stream(lines).into_response();
    }
    let mut held = engine.held();
    held.asked.push(path.clone());
    let parts: Vec<&str> = path.split('/').collect();
    let found = match parts.as_slice() {
        ["version"] => Some(json!({"Version": "29.1.3", "ApiVersion": "1.53"})),
        ["info"] => Some(json!({"Name": "dock", "ServerVersion": "29.1.3"})),
        ["networks"] => Some(json!([{"Name": "shop", "Id": "f00d", "Driver": "bridge"}])),
        ["containers", "json"] => Some(held.containers.keys().map(|id| json!({"Id": id})).collect()),
        ["containers", id, "json"] => held.containers.get(*id).cloned(),
        _ => None,
    };
    match found {
        Some(found) => ([("content-type", "application/json")], found.to_string()).into_response(),
        None => (StatusCode::NOT_FOUND, r#"{"message": "no such thing"}"#).into_response(),
    }
}

/// An engine that is followed.
struct Followed {
    engine: Engine,
    keeper: Arc<Keeper>,
    metrics: Arc<Metrics>,
}

impl Followed {
    async fn begin(interval: Duration) -> Self {
        let (engine, metrics) = (Engine::of_shop(), Arc::new(Metrics::default()));
        let options = Options { interval, helper_image: "localhost/none:1".into(), writer: None };
        let keeper = Arc::new(Keeper::new(engine.serve().await, &options, metrics.clone()));
        let watching = keeper.clone();
        tokio::spawn(async move { watching.watch().await });
        let followed = Followed { engine, keeper, metrics };
        followed.until("the gateway has a document", |documents| names(documents) == ["web"]).await;
        followed.until_followed(1).await;
        followed.engine.asked();
        followed
    }

    async fn until(&self, what: &str, is_so: impl Fn(&[Diagnosis]) -> bool) {
        for _ in 0..200 {
            if is_so(&self.keeper.documents()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: never, but {:?}", self.keeper.documents());
    }

    /// How many changes a document has followed.
    fn followed(&self) -> usize {
        let text = self.metrics.text(&[]);
        let count = text.lines().find_map(|line| line.strip_prefix("culprit_follow_seconds_count ")).expect("a count");
        count.parse().expect("a number")
    }

    async fn until_followed(&self, count: usize) {
        self.until("a document follows", |_| self.followed() >= count).await;
    }
}

fn names(documents: &[Diagnosis]) -> Vec<&str> {
    documents.iter().map(|d| d.spec.target.name.as_str()).collect()
}

fn message(documents: &[Diagnosis]) -> String {
    documents.first().and_then(|d| d.status.as_ref()?.message.clone()).unwrap_or_default()
}

fn inspection(name: &str) -> String {
    format!("containers/{}/json", id(name))
}

#[tokio::test]
async fn an_event_has_only_its_container_read_anew() {
    let followed = Followed::begin(Duration::from_secs(3600)).await;
    let before = followed.followed();
    for action in ["kill", "die", "start", "restart"] {
        followed.engine.say(action, "app");
    }
    followed.until_followed(before + 1).await;
    assert_eq!(followed.engine.asked(), [inspection("app")]);
    // What no gateway leads to is read, and nobody is examined for it.
    followed.engine.say("start", "other");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(followed.engine.asked(), [inspection("other")]);
    assert_eq!(followed.followed(), before + 1);
}

#[tokio::test]
async fn gateways_come_and_go_with_their_events() {
    let followed = Followed::begin(Duration::from_secs(3600)).await;
    followed.engine.run("shop", &json!({"culprit.dev/upstream": "http://app:3000"}));
    followed.engine.say("create", "shop");
    followed.until("one comes", |documents| names(documents) == ["shop", "web"]).await;
    followed.engine.held().containers.remove(&id("web"));
    followed.engine.say("destroy", "web");
    followed.until("one goes", |documents| names(documents) == ["shop"]).await;
}

#[tokio::test]
async fn what_no_event_told_is_found_at_the_interval() {
    let followed = Followed::begin(Duration::from_millis(500)).await;
    followed.engine.run("shop", &json!({"culprit.dev/upstream": "http://app:3000"}));
    followed.until("one comes", |documents| names(documents) == ["shop", "web"]).await;
    followed.engine.held().containers.remove(&id("web"));
    followed.until("one goes", |documents| names(documents) == ["shop"]).await;
}

#[tokio::test]
async fn nothing_is_known_while_the_engine_fails_and_all_is_read_again_then() {
    let followed = Followed::begin(Duration::from_millis(500)).await;
    followed.engine.held().fails = true;
    followed.until("it is lost", |documents| message(documents).contains("it is ill")).await;
    followed.engine.held().fails = false;
    followed.until("it is back", |documents| !message(documents).contains("it is ill")).await;
}
