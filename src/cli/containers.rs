//! `culprit diagnose container/NAME`, `compose/PROJECT`, and every gateway of a Docker engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CliError;
use super::diagnose::Arguments;
use super::examine::{Run, answer, exit_code};
use super::progress::Bar;
use super::select::{Specs, nearest};
use crate::api::Verdict;
use crate::fact::Fact;
use crate::path::Implementation;
use crate::path::container::implementation;
use crate::probe::PodRef;
use crate::report::document::Shape;
use crate::snapshot::Snapshot;
use crate::snapshot::docker::UPSTREAM;
use crate::snapshot::docker::engine::{self, Connection, Endpoint, Environment};
use crate::snapshot::objects::docker::{Container, Host};
use crate::snapshot::objects::{Kind, ObjectRef};
use crate::vantage::Vantage;
use crate::vantage::container::Containers;

/// Which gateways of an engine are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One container, by its name or id.
    Container(String),
    /// Those of a Compose project.
    Project(String),
    /// All of them.
    Every,
}

impl Asked {
    /// Parses a target; nothing where it is one of a cluster.
    pub fn parse(words: &[String], on_engine: bool) -> Result<Option<Self>, CliError> {
        let (kind, name) = match words {
            [] if on_engine => return Ok(Some(Asked::Every)),
            [word] => word.split_once('/').unwrap_or((word, "")),
            [kind, name] => (kind.as_str(), name.as_str()),
            _ => return Ok(None),
        };
        let asked = match (kind.to_ascii_lowercase().as_str(), name) {
            ("container" | "containers", "") => Asked::Every,
            ("container" | "containers", name) => Asked::Container(name.to_owned()),
            ("compose" | "project", name) if !name.is_empty() => Asked::Project(name.to_owned()),
            ("compose" | "project", _) => return Err(CliError::Usage("a Compose project has a name: write compose/NAME".into())),
            _ if on_engine => {
                return Err(CliError::Usage(format!("{kind:?} is no target of a Docker engine: write container/NAME or compose/NAME")));
            }
            _ => return Ok(None),
        };
        match &asked {
            Asked::Container(name) | Asked::Project(name) if !is_name(name) => {
                Err(CliError::Usage(format!("{name:?} is no name of a container or project")))
            }
            _ => Ok(Some(asked)),
        }
    }

    /// The gateways that are meant, never none.
    fn of(&self, host: &Host) -> Result<Vec<ObjectRef>, CliError> {
        let target = |c: &Arc<Container>| ObjectRef::new(Kind::Container, &host.name, &c.name);
        let gateways = || host.containers.iter().filter(|c| host.configurations.contains_key(c.name.as_str()));
        let found: Vec<ObjectRef> = match self {
            Asked::Container(name) => return named(host, name).map(|c| vec![target(c)]),
            Asked::Project(project) => gateways().filter(|c| c.project() == Some(project)).map(target).collect(),
            Asked::Every => gateways().map(target).collect(),
        };
        if found.is_empty() { Err(self.nothing(host)) } else { Ok(found) }
    }

    fn nothing(&self, host: &Host) -> CliError {
        let hint = format!("a container with the label {UPSTREAM} is a gateway, too");
        match self {
            Asked::Project(project) if !host.containers.iter().any(|c| c.project() == Some(project)) => {
                let projects: BTreeSet<&str> = host.containers.iter().filter_map(|c| c.project()).collect();
                let near = nearest(projects.into_iter(), project, 3);
                let hint = (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")));
                CliError::NotFound { what: format!("engine {} has no Compose project {project}", host.name), hint }
            }
            Asked::Project(project) => CliError::NotFound {
                what: format!("no container of the Compose project {project} is a gateway that is known"),
                hint: Some(hint),
            },
            Asked::Container(_) | Asked::Every => {
                CliError::NotFound { what: format!("no container of engine {} is a gateway that is known", host.name), hint: Some(hint) }
            }
        }
    }
}

/// The container that is named, where it is a gateway.
fn named<'h>(host: &'h Host, name: &str) -> Result<&'h Arc<Container>, CliError> {
    let Some(container) = host.container(name) else {
        let near = nearest(host.containers.iter().map(|c| c.name.as_str()), name, 3);
        let hint = (!near.is_empty())
            .then(|| format!("did you mean {}?", near.iter().map(|n| format!("container/{n}")).collect::<Vec<_>>().join(" or ")));
        return Err(CliError::NotFound { what: format!("engine {} has no container {name}", host.name), hint });
    };
    let is_told = host.configurations.get(container.name.as_str()).is_some_and(|c| !matches!(c, Fact::Absent | Fact::NotAsked));
    if !is_told && implementation(container) == Implementation::Other {
        let what =
            format!("container {} runs no gateway that is known (nginx, HAProxy, Traefik, Caddy, Apache httpd, Envoy)", container.name);
        let hint = format!("its label {UPSTREAM} may say where it sends requests, as in {UPSTREAM}=http://app:3000");
        return Err(CliError::NotFound { what, hint: Some(hint) });
    }
    Ok(container)
}

/// Names as the engine and Compose take them.
fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Runs it.
pub async fn run(arguments: &Arguments, asked: &Asked) -> Result<std::process::ExitCode, CliError> {
    let endpoint = Endpoint::find(arguments.docker_host.as_deref(), &Environment::of_process())?;
    let connection = Connection::open(endpoint).await?;
    let until = arguments.until();
    let (reports, vantage) = loop {
        let (reports, vantage) = look(arguments, &connection, asked).await?;
        let healthy = reports.iter().all(|r| r.verdict() == Verdict::Healthy);
        if healthy || !super::diagnose::is_time_for_another(until) {
            break (reports, vantage);
        }
        tokio::time::sleep(super::diagnose::AGAIN).await;
    };
    let shape = if matches!(asked, Asked::Container(_)) { Shape::AsMany } else { Shape::List };
    answer(&reports, arguments.output, shape, Some(&vantage))?;
    Ok(exit_code(&reports))
}

/// One look at the engine: the reports, and where they were made from.
async fn look(
    arguments: &Arguments,
    connection: &Connection,
    asked: &Asked,
) -> Result<(Vec<crate::report::text::Report>, String), CliError> {
    let reading = Bar::reading();
    let names = match asked {
        Asked::Container(name) => BTreeSet::from([name.clone()]),
        Asked::Project(_) | Asked::Every => BTreeSet::new(),
    };
    let inventory = engine::load(connection, &names).await;
    reading.finish();
    let mut inventory = inventory?;
    let containers = Containers::of_engine(connection, &inventory.engine, &arguments.helper_image);
    let host = containers.host(&mut inventory).await;
    let targets = asked.of(&host)?;
    let gateway =
        |target: &ObjectRef| host.container(&target.key.name).map(|c| PodRef::of_container(c)).unwrap_or_else(PodRef::docker_host);
    let vantage = |target: &ObjectRef| Box::new(containers.of(gateway(target))) as Box<dyn Vantage + '_>;
    let name = match targets.as_slice() {
        [one] => format!("inside container {}", one.key.name),
        _ => "inside each gateway's container".into(),
    };
    let mut snapshot = Snapshot::default();
    snapshot.set_docker_host(host.clone());
    let specs = Specs::new();
    let run = Run { vantage, specs: &specs, timeout: arguments.timeout.clone(), online: true, concurrency: arguments.concurrency };
    let reports = run.reports(&snapshot, &targets).await;
    containers.close().await;
    Ok((reports?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, on_engine: bool) -> Result<Option<Asked>, CliError> {
        Asked::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), on_engine)
    }

    #[test]
    fn targets_of_an_engine_are_told_from_those_of_a_cluster() {
        let container = || Some(Asked::Container("web".into()));
        assert_eq!(parsed("container/web", false).unwrap(), container());
        assert_eq!(parsed("container web", true).unwrap(), container());
        assert_eq!(parsed("compose/shop", false).unwrap(), Some(Asked::Project("shop".into())));
        assert_eq!(parsed("containers", false).unwrap(), Some(Asked::Every));
        assert_eq!(parsed("", true).unwrap(), Some(Asked::Every));
        assert_eq!(parsed("", false).unwrap(), None);
        assert_eq!(parsed("ingress/web", false).unwrap(), None);
    }

    #[test]
    fn what_is_no_target_of_an_engine_is_refused() {
        for (text, on_engine) in [("ingress/web", true), ("compose/", false), ("container/a$b", false)] {
            assert!(matches!(parsed(text, on_engine), Err(CliError::Usage(_))), "{text}");
        }
    }
}
