//! Where a gateway's configuration is kept in its container, and which parser reads it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::arguments::Arguments;
use super::text::{absolute, folder};
use super::{Configuration, Files, apache, caddy, envoy, haproxy, labelled, nginx, traefik};
use crate::fact::Fact;
use crate::snapshot::objects::docker::Container;
use crate::snapshot::software::Implementation;
use strum::IntoEnumIterator;

/// Folders that hold more than configuration: of these only the file itself is read.
const SHARED: &[&str] =
    &["/", "/etc", "/tmp", "/usr", "/usr/local", "/usr/local/etc", "/opt", "/srv", "/home", "/root", "/var", "/var/lib"];

/// How a gateway is told where its configuration is.
struct Source {
    /// Names of its program.
    programs: &'static [&'static str],
    /// Options that name a file.
    files: &'static [&'static str],
    /// Options that name a folder.
    folders: &'static [&'static str],
    /// Where its images keep it.
    defaults: &'static [&'static str],
}

/// The files and folders of a container that hold its gateway's configuration: those that its command names, and those of common images.
/// They need not exist.
pub fn paths_to_read(container: &Container, software: Implementation) -> Vec<String> {
    let Some(source) = source(software) else { return Vec::new() };
    let arguments = Arguments::of(container, source.programs);
    let base = arguments.value(source.folders).unwrap_or("/");
    let files = arguments.values(source.files).map(|file| holding(&absolute(base, file), software));
    let folders = arguments.values(source.folders).map(|f| absolute("/", f)).filter(|f| !SHARED.contains(&f.as_str()));
    let defaults = source.defaults.iter().map(|d| (*d).to_owned());
    let mut seen = BTreeSet::new();
    let paths: Vec<String> = files.chain(folders).chain(defaults).filter(|p| seen.insert(p.clone())).collect();
    let within = |path: &String| paths.iter().any(|outer| path.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/')));
    paths.iter().filter(|p| !within(p)).cloned().collect()
}

/// The gateway software that a container's command names.
pub fn program(container: &Container) -> Implementation {
    let runs = |software: &Implementation| source(*software).is_some_and(|s| Arguments::name(container, s.programs));
    Implementation::iter().find(runs).unwrap_or_default()
}

/// What a gateway is told, by its label or its files. Absent where there is nothing to read; failed where what there is cannot be read.
///
/// `containers` are those of the same engine: some software takes its orders from their labels.
pub fn read(files: &Files, container: &Container, containers: &[Arc<Container>], software: Implementation) -> Fact<Configuration> {
    if let Some(configuration) = labelled::read(container) {
        return Fact::Known(configuration);
    }
    match software {
        Implementation::Nginx => nginx::read(files, container, containers),
        Implementation::Haproxy => haproxy::read(files, container, containers),
        Implementation::Apache => apache::read(files, container, containers),
        Implementation::Traefik => traefik::read(files, container, containers),
        Implementation::Caddy => caddy::read(files, container, containers),
        Implementation::Envoy => envoy::read(files, container, containers),
        Implementation::Other => Fact::Absent,
    }
}

fn source(software: Implementation) -> Option<Source> {
    let source = match software {
        Implementation::Nginx => Source {
            programs: nginx::PROGRAMS,
            files: &["-c"],
            folders: &["-p"],
            defaults: &[
                "/etc/nginx",
                "/usr/local/openresty/nginx/conf",
                "/usr/local/nginx/conf",
                "/opt/bitnami/nginx/conf",
                "/usr/share/nginx/modules",
            ],
        },
        Implementation::Haproxy => Source {
            programs: haproxy::PROGRAMS,
            files: &["-f"],
            folders: &["-C"],
            defaults: &["/usr/local/etc/haproxy", "/etc/haproxy", "/opt/bitnami/haproxy/conf"],
        },
        Implementation::Apache => Source {
            programs: apache::PROGRAMS,
            files: &["-f"],
            folders: &["-d"],
            defaults: &["/usr/local/apache2/conf", "/etc/apache2", "/etc/httpd", "/opt/bitnami/apache/conf", "/opt/bitnami/apache2/conf"],
        },
        Implementation::Caddy => {
            Source { programs: &["caddy"], files: &["--config", "-c"], folders: &[], defaults: &["/etc/caddy", "/config/caddy"] }
        }
        Implementation::Envoy => Source { programs: &["envoy"], files: &["-c", "--config-path"], folders: &[], defaults: &["/etc/envoy"] },
        Implementation::Traefik => Source {
            programs: &["traefik"],
            files: &["--configFile", "--configfile", "--providers.file.filename"],
            folders: &["--providers.file.directory"],
            defaults: &["/etc/traefik"],
        },
        Implementation::Other => return None,
    };
    Some(source)
}

/// What is to be read for a file: its folder, for it may include its neighbours, or itself where that folder holds more. HAProxy takes folders
/// too.
fn holding(file: &str, software: Implementation) -> String {
    let around = folder(file);
    let may_be_folder = software == Implementation::Haproxy && !file.ends_with(".cfg");
    if may_be_folder || SHARED.contains(&around) { file.to_owned() } else { around.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(command: &[&str], software: Implementation) -> Vec<String> {
        let command = command.iter().map(|c| (*c).to_owned()).collect();
        paths_to_read(&Container { command, ..Container::default() }, software)
    }

    #[test]
    fn what_the_command_names_is_read_with_its_folder() {
        for (command, software, expected) in [
            (&["nginx", "-c", "/srv/gw/nginx.conf"][..], Implementation::Nginx, "/srv/gw"),
            (&["nginx", "-p", "/srv/gw", "-c", "x/nginx.conf"], Implementation::Nginx, "/srv/gw"),
            (&["nginx", "-c", "/nginx.conf"], Implementation::Nginx, "/nginx.conf"),
            (&["nginx", "-c", "/tmp/nginx.conf"], Implementation::Nginx, "/tmp/nginx.conf"),
            (&["haproxy", "-f", "/cfg"], Implementation::Haproxy, "/cfg"),
            (&["caddy", "run", "--config", "/srv/caddy/Caddyfile"], Implementation::Caddy, "/srv/caddy"),
            (&["envoy", "--config-path", "/srv/envoy/envoy.yaml"], Implementation::Envoy, "/srv/envoy"),
        ] {
            assert_eq!(paths(command, software).first().map(String::as_str), Some(expected), "{command:?}");
        }
    }

    #[test]
    fn what_lies_within_another_is_read_once() {
        assert_eq!(paths(&["nginx", "-c", "/etc/nginx/other/nginx.conf"], Implementation::Nginx), paths(&[], Implementation::Nginx));
        assert_eq!(paths(&[], Implementation::Other), Vec::<String>::new());
    }

    #[test]
    fn a_label_comes_before_files() {
        let labels = [("culprit.dev/upstream".to_owned(), "http://app:1".to_owned())].into();
        let container = Container { labels, ..Container::default() };
        for software in [Implementation::Other, Implementation::Nginx] {
            assert_eq!(read(&Files::new(), &container, &[], software).known().map(|c| c.routes.len()), Some(1));
        }
        assert_eq!(read(&Files::new(), &Container::default(), &[], Implementation::Nginx), Fact::Absent);
    }
}
