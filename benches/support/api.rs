//! Objects of a world, made in a real API server.

use anyhow::Context;
use http::Request;
use kube::Client;
use serde_json::Value;

/// What is removed namespace by namespace: the group's path, and the plural.
pub const COLLECTIONS: &[(&str, &str)] = &[
    ("/apis/networking.k8s.io/v1", "ingresses"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/discovery.k8s.io/v1", "endpointslices"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "replicasets"),
    ("/api/v1", "pods"),
    ("/api/v1", "services"),
];

/// Makes objects.
pub struct Objects(Client);

impl Objects {
    pub fn new(client: Client) -> Self {
        Objects(client)
    }

    /// Makes an object; one that is there already stays as it is.
    pub async fn make(&self, object: Value) -> anyhow::Result<Value> {
        let object = cleaned(object);
        let collection = collection_of(&object);
        let about = format!("{collection}: {}", object["metadata"]["name"]);
        match self.send(Request::post(&collection), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let request = Request::get(path_of(&object)).body(Vec::new())?;
                self.0.request(request).await.context(about)
            }
            made => made.context(about),
        }
    }

    /// Makes an object and writes its status, where it has one, as whoever runs it would.
    pub async fn make_with_status(&self, object: Value) -> anyhow::Result<Value> {
        let status = object["status"].clone();
        let mut made = self.make(object).await?;
        if status.is_null() {
            return Ok(made);
        }
        let about = path_of(&made);
        made["status"] = status;
        self.send(Request::put(format!("{about}/status")), &made).await.context(about)
    }

    async fn send(&self, request: http::request::Builder, body: &Value) -> Result<Value, kube::Error> {
        let request = request.header("content-type", "application/json").body(serde_json::to_vec(body).map_err(kube::Error::SerdeError)?);
        self.0.request(request.map_err(kube::Error::HttpError)?).await
    }
}

/// An object without what only the API server may write, and without what its admission would refuse or fill in otherwise.
fn cleaned(mut object: Value) -> Value {
    let remove = |of: &mut Value, fields: &[&str]| {
        if let Some(map) = of.as_object_mut() {
            fields.iter().for_each(|field| drop(map.remove(*field)));
        }
    };
    remove(&mut object["metadata"], &["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"]);
    match object["kind"].as_str() {
        Some("Service") => remove(&mut object["spec"], &["clusterIP", "clusterIPs"]),
        Some("Pod") => {
            remove(&mut object["spec"], &["serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"]);
            object["spec"]["automountServiceAccountToken"] = false.into();
        }
        _ => {}
    }
    remove(&mut object, &["status"]);
    object
}

/// The path of an object's kind, in its namespace where it has one.
fn collection_of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let plural = match text("/kind") {
        "Ingress" => "ingresses".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let base = match text("/apiVersion") {
        "v1" => "/api/v1".to_owned(),
        group => format!("/apis/{group}"),
    };
    match text("/metadata/namespace") {
        "" => format!("{base}/{plural}"),
        namespace => format!("{base}/namespaces/{namespace}/{plural}"),
    }
}

/// The path of an object.
pub fn path_of(object: &Value) -> String {
    format!("{}/{}", collection_of(object), object["metadata"]["name"].as_str().unwrap_or_default())
}
