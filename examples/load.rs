//! Fills a real API server with routes and all that belongs to them, or empties it again. For clusters that are thrown away afterwards.
//!
//!     cargo run --release --example load -- apply --routes 5000
//!     cargo run --release --example load -- remove --routes 5000
//!     cargo run --release --example load -- serve 0.0.0.0:8080
//!
//! Pods are bound to nodes that do not exist and said to be ready; slices are written by hand. Where they are to answer, `serve` has to
//! stand behind their addresses (10.128.0.0/10, see `benches/real`), or `--answering ADDRESS:PORT` leads all of them to one that does;
//! `--answering none` leads them nowhere. A cluster whose controllers run would undo much of it: end its controller manager first.

#![expect(clippy::print_stdout, reason = "a command that says what it did")]

#[path = "../benches/support/mod.rs"]
mod support;

use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use futures::{StreamExt, TryStreamExt};
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use support::api::{self, Objects};
use support::world::{self, App, Size};
use support::{server, workloads};

/// Requests to the API server at once.
const AT_ONCE: usize = 48;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Makes the objects
    Apply(Load),
    /// Removes them
    Remove(Load),
    /// Answers every request with 200
    Serve { address: SocketAddr },
}

#[derive(clap::Args)]
struct Load {
    /// Ingresses, each with a Service, a slice, a Deployment, a ReplicaSet and three pods
    #[arg(long, default_value_t = 5_000)]
    routes: usize,
    /// Pods of each route
    #[arg(long, default_value_t = 3)]
    pods: usize,
    /// Where all slices lead: an address and port, or none
    #[arg(long)]
    answering: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Apply(load) => apply(&load).await,
        What::Remove(load) => remove(&load).await,
        What::Serve { address } => server::answer(&TcpListener::bind(address)?),
    }
}

async fn apply(load: &Load) -> anyhow::Result<()> {
    let begun = Instant::now();
    let size = Size { pods_per_route: load.pods, ..Size::of(load.routes) };
    let objects = Objects::new(Client::try_default().await.context("the cluster of KUBECONFIG")?);
    for object in world::cluster(size) {
        objects.make_with_status(object).await?;
    }
    for namespace in (0..size.namespaces).map(world::namespace_of) {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
        objects.make(account).await?;
    }
    let apps = (0..size.routes).map(|number| route(&objects, App::new(size, number), load.answering.as_deref()));
    futures::stream::iter(apps).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    println!("{} routes with {} pods made in {:.0?}", size.routes, size.pods(), begun.elapsed());
    Ok(())
}

async fn route(objects: &Objects, app: App, answering: Option<&str>) -> anyhow::Result<()> {
    let deployment = objects.make_with_status(workloads::deployment(&app)).await?;
    let replica_set = objects.make_with_status(owned(workloads::replica_set(&app, 0), &deployment)).await?;
    for pod in 0..app.pods {
        objects.make_with_status(owned(workloads::pod(&app, pod), &replica_set)).await?;
    }
    objects.make(app.service()).await?;
    objects.make(leading(app.slice(), answering)?).await?;
    objects.make(app.ingress()).await?;
    Ok(())
}

/// The same object under the owner as the API server knows it.
fn owned(mut object: Value, owner: &Value) -> Value {
    object["metadata"]["ownerReferences"][0]["uid"] = owner["metadata"]["uid"].clone();
    object
}

/// The same slice, leading elsewhere where that is wanted.
fn leading(mut slice: Value, answering: Option<&str>) -> anyhow::Result<Value> {
    match answering {
        None => {}
        Some("none") => slice["endpoints"] = json!([]),
        Some(text) => {
            let address: SocketAddr = text.parse().context("--answering takes an address and port, or none")?;
            slice["endpoints"] = json!([{"addresses": [address.ip()], "conditions": {"ready": true}}]);
            slice["ports"][0]["port"] = json!(address.port());
        }
    }
    Ok(slice)
}

async fn remove(load: &Load) -> anyhow::Result<()> {
    let begun = Instant::now();
    let client = Client::try_default().await.context("the cluster of KUBECONFIG")?;
    let size = Size { pods_per_route: load.pods, ..Size::of(load.routes) };
    let within = |namespace: String| {
        let paths = api::COLLECTIONS.iter().map(move |(base, plural)| format!("{base}/namespaces/{namespace}/{plural}"));
        paths.map(|path| Request::delete(format!("{path}?gracePeriodSeconds=0")))
    };
    let collections = (0..size.namespaces).map(world::namespace_of).flat_map(within);
    let cluster = world::cluster(size).map(|object| Request::delete(api::path_of(&object)));
    for requests in [collections.collect::<Vec<_>>(), cluster.collect()] {
        let one = |request: http::request::Builder| async {
            match client.request_text(request.body(Vec::new())?).await {
                Err(kube::Error::Api(status)) if status.code != 404 => bail!("{}", status.message),
                Err(kube::Error::Api(_)) | Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        futures::stream::iter(requests.into_iter().map(one)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    println!("removed in {:.0?}", begun.elapsed());
    Ok(())
}
