//! Two replicas that keep the certificate authority in one API server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use culprit::controller::agents::authority::Authorities;
use culprit::controller::agents::keep::Keeper;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};

const SECRET: &str = "/api/v1/namespaces/culprit-system/secrets/culprit-ca";
const CONFIG_MAP: &str = "/api/v1/namespaces/culprit-agents/configmaps/culprit-ca";

/// Holds objects by path, as an API server does: who writes what has changed meanwhile is told so.
#[derive(Default)]
struct Server {
    objects: Mutex<BTreeMap<String, Value>>,
    calls: Mutex<Vec<String>>,
}

impl Server {
    fn answer(&self, method: &Method, path: &str, mut object: Value) -> (StatusCode, Value) {
        self.calls.lock().expect("not poisoned").push(format!("{method} {path}"));
        let mut objects = self.objects.lock().expect("not poisoned");
        let path = if *method == Method::POST { format!("{path}/culprit-ca") } else { path.to_owned() };
        let there = objects.get(&path).cloned();
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        match (method, there) {
            (&Method::GET, Some(there)) => (StatusCode::OK, there),
            (&Method::POST, Some(_)) => failure(StatusCode::CONFLICT),
            (&Method::PUT, Some(there)) if version(&there) != version(&object) => failure(StatusCode::CONFLICT),
            (&Method::PUT, None) | (&Method::GET, None) => failure(StatusCode::NOT_FOUND),
            _ => {
                object["metadata"]["resourceVersion"] = (version(&object) + 1).to_string().into();
                objects.insert(path, object.clone());
                (StatusCode::OK, object)
            }
        }
    }

    fn object(&self, path: &str) -> Option<Value> {
        self.objects.lock().expect("not poisoned").get(path).cloned()
    }

    fn put(&self, path: &str, data: &Value) {
        let object = json!({"metadata": {"name": "culprit-ca", "resourceVersion": "7"}, "data": data});
        self.objects.lock().expect("not poisoned").insert(path.into(), object);
    }

    /// The certificates in the Secret, and those that agents are shown.
    fn bundles(&self) -> Option<(String, String)> {
        let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(self.object(SECRET)?).ok()?;
        let data = secret.data?;
        let kept = Authorities::parse(data.iter().map(|(k, v)| (k, v.0.as_slice()))).bundle();
        Some((kept, self.object(CONFIG_MAP)?["data"]["ca.crt"].as_str()?.to_owned()))
    }
}

fn failure(code: StatusCode) -> (StatusCode, Value) {
    let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code.as_u16()}))
}

/// A client whose first request waits for that of the other replica.
fn client(server: &Arc<Server>, first: &Arc<Barrier>) -> Client {
    let (server, first) = (server.clone(), Arc::new(Mutex::new(Some(first.clone()))));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (server, first) = (server.clone(), first.lock().expect("not poisoned").take());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let (code, object) = server.answer(&parts.method, parts.uri.path(), serde_json::from_slice(&body).unwrap_or_default());
            if let Some(first) = first {
                first.wait().await;
            }
            let response = Response::builder().status(code).body(Body::from(object.to_string().into_bytes()));
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(response?)
        }
    });
    Client::new(service, "default")
}

/// Runs so many replicas until they serve and show agents what to trust.
async fn run(server: &Arc<Server>, replicas: usize) -> (String, String) {
    let first = Arc::new(Barrier::new(replicas));
    let mut serving = Vec::new();
    for _ in 0..replicas {
        let (sender, receiver) = watch::channel(None);
        let keeper = Keeper::new(client(server, &first), "culprit-system", "culprit-agents");
        serving.push((tokio::spawn(keeper.run(sender)), receiver));
    }
    for (_, receiver) in &mut serving {
        let served = tokio::time::timeout(Duration::from_secs(5), receiver.wait_for(Option::is_some)).await;
        served.expect("in time").expect("the keeper runs");
    }
    // What was shown before is replaced right after.
    for _ in 0..100 {
        if let Some((kept, shown)) = server.bundles()
            && kept == shown
        {
            serving.iter().for_each(|(keeper, _)| keeper.abort());
            return (kept, shown);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("agents are not shown what to trust: {:?}", server.calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_begin_at_once_agree_on_one_authority() {
    let server = Arc::new(Server::default());
    let (kept, _) = run(&server, 2).await;
    assert_eq!(kept.matches("BEGIN CERTIFICATE").count(), 1);
    let calls = server.calls.lock().expect("not poisoned");
    assert_eq!(calls.iter().filter(|c| c.starts_with("POST") && c.contains("secrets")).count(), 2, "both tried: {calls:?}");
    assert!(calls.len() <= 10, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_there_is_read_and_nothing_is_written() {
    let server = Arc::new(Server::default());
    let first = run(&server, 1).await;
    server.calls.lock().expect("not poisoned").clear();
    assert_eq!(run(&server, 1).await, first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let calls = server.calls.lock().expect("not poisoned").clone();
    assert!(calls.iter().all(|c| c.starts_with("GET")), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spoilt_is_made_anew() {
    let server = Arc::new(Server::default());
    server.put(SECRET, &json!({"old.crt": "eA=="}));
    server.put(CONFIG_MAP, &json!({"ca.crt": "x"}));
    let (kept, shown) = run(&server, 1).await;
    assert!(kept.contains("BEGIN CERTIFICATE") && kept == shown);
}
