//! Everything that an engine holds, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptions,
};
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::super::assemble::{Inventory, may_be_gateway};
use super::super::convert;
use super::super::renew::Fresh;
use super::archive::{self, Archive};
use super::{Connection, EngineError, Touched, said};
use crate::evidence::config::{self, Files};
use crate::fact::Fact;
use crate::path::container::implementation;
use crate::snapshot::objects::docker::{Container, Network};

/// Bytes of the archive of one path.
const LARGEST_ARCHIVE: usize = 4 << 20;
/// Limit for one archive.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(20);
/// Links that are followed from a path.
const MOST_LINKS: usize = 3;

/// Reads an engine's containers and networks, and the files of those that may be gateways. `named` are containers that are looked at as
/// gateways whatever they run. The packet filter is not the engine's to tell.
///
/// # Errors
///
/// [`EngineError`] where the engine does not answer. A container that vanishes meanwhile is left out; files that cannot be read are said
/// of their container alone.
pub async fn load(connection: &Connection, named: &BTreeSet<String>) -> Result<Inventory, EngineError> {
    let nothing = Inventory { named: named.clone(), ..Inventory::default() };
    load_again(connection, &nothing, &BTreeSet::new()).await
}

/// Reads an engine again, but for files: archives are dear to an engine. A gateway that is as it was known has those that it had, unless it is
/// one of these `stale` ones.
///
/// # Errors
///
/// As of [`load`].
pub async fn load_again(connection: &Connection, known: &Inventory, stale: &BTreeSet<String>) -> Result<Inventory, EngineError> {
    let docker = connection.docker();
    let (info, networks, containers) = tokio::try_join!(
        async { docker.info().await.map_err(|e| connection.failed("what it is", &e)) },
        networks(connection),
        containers(connection),
    )?;
    let gateways: Vec<Arc<Container>> = containers.iter().filter(|c| is_gateway(known, c)).cloned().collect();
    let (kept, read): (Vec<_>, Vec<_>) = gateways.into_iter().partition(|c| !stale.contains(c.name.as_str()) && known.has_files_of(c));
    let mut files = files(connection, read).await;
    files.extend(kept.iter().filter_map(|c| known.files.get_key_value(c.name.as_str())).map(|(name, files)| (name.clone(), files.clone())));
    let (name, engine) = convert::engine(info);
    let networks = networks.into_iter().map(Arc::new).collect();
    Ok(Inventory { name, engine, containers, networks, files, firewall: Fact::NotAsked, named: known.named.clone() })
}

/// Reads anew what events touch, and no more: the containers that they name, all networks where one came or went, and the files of those that
/// may be gateways. A gateway that does not run has the files that it had.
///
/// # Errors
///
/// As of [`load`].
pub async fn load_touched(connection: &Connection, known: &Inventory, touched: &BTreeSet<Touched>) -> Result<Fresh, EngineError> {
    let ids: BTreeSet<String> = touched.iter().filter_map(Touched::container).map(str::to_owned).collect();
    let inspected = futures::stream::iter(ids).map(|id| async move { Ok((id.clone(), inspect(connection, id).await?)) });
    let containers: BTreeMap<String, Option<Arc<Container>>> = inspected.buffer_unordered(connection.at_once()).try_collect().await?;
    let networks = if touched.iter().any(Touched::is_of_networks) { Some(networks(connection).await?) } else { None };
    let is_known = |container: &Container| known.containers.iter().any(|c| c.id == container.id);
    let must_be_read = |container: &Container| is_gateway(known, container) && (container.runs() || !is_known(container));
    let gateways = containers.values().flatten().filter(|c| must_be_read(c)).cloned().collect();
    let files = files(connection, gateways).await;
    Ok(Fresh { containers, networks, files })
}

fn is_gateway(known: &Inventory, container: &Container) -> bool {
    known.named.contains(container.name.as_str()) || may_be_gateway(container)
}

async fn networks(connection: &Connection) -> Result<Vec<Network>, EngineError> {
    let listed = connection.docker().list_networks(None::<ListNetworksOptions>).await;
    let listed = listed.map_err(|e| connection.failed("its networks", &e))?;
    Ok(listed.into_iter().filter_map(convert::network).collect())
}

async fn containers(connection: &Connection) -> Result<Vec<Arc<Container>>, EngineError> {
    let all = ListContainersOptionsBuilder::new().all(true).build();
    let listed = connection.docker().list_containers(Some(all)).await.map_err(|e| connection.failed("its containers", &e))?;
    let ids = listed.into_iter().filter_map(|summary| summary.id);
    let inspected = futures::stream::iter(ids).map(|id| inspect(connection, id)).buffer_unordered(connection.at_once());
    let found: Vec<Option<Arc<Container>>> = inspected.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// A container by its id; none where it is gone.
async fn inspect(connection: &Connection, id: String) -> Result<Option<Arc<Container>>, EngineError> {
    match connection.docker().inspect_container(&id, None::<InspectContainerOptions>).await {
        Ok(inspected) => Ok(convert::container(inspected).map(Arc::new)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(connection.failed(&format!("what container {} is", id.get(..12).unwrap_or(&id)), &error)),
    }
}

/// The files of gateways, by the container's name.
async fn files(connection: &Connection, gateways: Vec<Arc<Container>>) -> BTreeMap<String, Fact<Files>> {
    let read = futures::stream::iter(gateways).map(|container| async move {
        let read = files_of(connection, &container).await;
        (container.name.to_string(), read.map_or_else(Fact::Failed, Fact::Known))
    });
    read.buffer_unordered(connection.at_once()).collect().await
}

/// The configuration files of one container, or why these are not known.
async fn files_of(connection: &Connection, container: &Container) -> Result<Files, String> {
    let mut files = Files::new();
    for path in config::paths_to_read(container, implementation(container)) {
        let mut at = path.clone();
        for _ in 0..MOST_LINKS {
            let read = archive_of(connection, container, &at).await.map_err(|why| format!("{at} in {}: {why}", container.name))?;
            let Some(Archive { files: found, leads_to }) = read else { break };
            for (name, text) in found {
                // What lies behind a link is there under the link's name too.
                let behind = name.strip_prefix(at.as_str()).filter(|_| at != path).map(|rest| format!("{path}{rest}"));
                files.extend(behind.map(|behind| (behind, text.clone())));
                files.insert(name, text);
            }
            match leads_to {
                Some(target) => at = target,
                None => break,
            }
        }
    }
    Ok(files)
}

/// What a path in a container holds; none where there is no such path.
async fn archive_of(connection: &Connection, container: &Container, path: &str) -> Result<Option<Archive>, String> {
    let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
    let mut stream = std::pin::pin!(connection.docker().download_from_container(&container.id, Some(options)));
    let whole = async {
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            match part {
                Ok(part) => bytes.extend_from_slice(&part),
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(said(&error)),
            }
            if bytes.len() > LARGEST_ARCHIVE {
                return Err(format!("it holds more than {} MiB", LARGEST_ARCHIVE >> 20));
            }
        }
        Ok(Some(bytes))
    };
    let bytes = timeout(ARCHIVE_LIMIT, whole).await.map_err(|_| format!("it was not sent within {} s", ARCHIVE_LIMIT.as_secs()))??;
    bytes.map(|bytes| archive::read(bytes.as_slice(), path)).transpose().map_err(|e| e.to_string())
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}
