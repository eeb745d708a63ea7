//! Gateways of any software that say by a label where they send requests: `culprit.dev/upstream: http://app:3000`.

use std::collections::BTreeSet;

use super::notes::Notes;
use super::text::{authority, excerpt};
use super::{Configuration, ConfiguredRoute, Listener, Place, Server, Upstream};
use crate::probe::Scheme;
use crate::snapshot::objects::docker::Container;

/// The label: one URL, or several with commas between them.
const LABEL: &str = "culprit.dev/upstream";
/// Most servers that are read of a label.
const SERVERS: usize = 64;

/// What the label says; nothing without it.
pub fn read(container: &Container) -> Option<Configuration> {
    let place = Place { file: format!("label {LABEL}"), line: 0 };
    let label = container.labels.get(LABEL)?;
    let mut notes = Notes::default();
    let mut servers: Vec<(Scheme, Server)> = Vec::new();
    for url in label.split(',').map(str::trim).filter(|u| !u.is_empty()).take(SERVERS) {
        match server(url, &place) {
            Some((scheme, _)) if servers.first().is_some_and(|(first, _)| *first != scheme) => {
                notes.add(&place, format!("{} speaks another protocol than the first one and is left out", excerpt(url)));
            }
            Some(found) => servers.push(found),
            None => notes.add(&place, format!("{} is not a URL such as http://app:3000", excerpt(url))),
        }
    }
    let listeners = listeners(container);
    let scheme = servers.first().map(|(scheme, _)| *scheme);
    let routes = scheme.map(|scheme| ConfiguredRoute {
        place,
        listeners: listeners.clone(),
        upstream: Upstream { scheme, servers: servers.into_iter().map(|(_, server)| server).collect(), ..Upstream::untold() },
        ..ConfiguredRoute::untold()
    });
    Some(Configuration { listeners, routes: routes.into_iter().collect(), notes: notes.into_vec(), ..Configuration::default() })
}

fn server(url: &str, place: &Place) -> Option<(Scheme, Server)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "h2c" => Scheme::H2c,
        "h2" => Scheme::H2,
        _ => return None,
    };
    let (host, port) = authority(rest.strip_suffix('/').unwrap_or(rest))?;
    let port = port.unwrap_or(if scheme.is_tls() { 443 } else { 80 });
    Some((scheme, Server { host, port, backup: false, place: place.clone(), container: None }))
}

/// The ports that it publishes, else those that it exposes. The ports that end in 443 speak TLS by custom.
fn listeners(container: &Container) -> Vec<Listener> {
    let published: BTreeSet<u16> = container.published.iter().map(|p| p.port).collect();
    let ports = if published.is_empty() { container.exposed.iter().copied().collect() } else { published };
    ports.into_iter().map(|port| Listener::on(port, port % 1000 == 443)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(label: &str) -> Configuration {
        let labels = [(LABEL.to_owned(), label.to_owned())].into();
        read(&Container { labels, exposed: vec![80, 8443], ..Container::default() }).unwrap()
    }

    #[test]
    fn a_label_makes_one_route() {
        assert_eq!(read(&Container::default()), None);
        let configuration = labelled("http://app:3000, http://[::1]/ ,https://c");
        let servers: Vec<String> = configuration.routes[0].upstream.servers.iter().map(ToString::to_string).collect();
        assert_eq!((servers, configuration.notes.len()), (vec!["app:3000".to_owned(), "[::1]:80".to_owned()], 1));
        let listeners: Vec<(u16, bool)> = configuration.listeners.iter().map(|l| (l.port, l.tls)).collect();
        assert_eq!(listeners, [(80, false), (8443, true)]);
    }

    #[test]
    fn a_label_that_is_no_url_is_noted() {
        for label in ["app:3000", "ftp://app", "http://", "http://a/b", "http://a:b"] {
            let configuration = labelled(label);
            assert_eq!((configuration.routes.len(), configuration.notes.len()), (0, 1), "{label}");
        }
        assert_eq!(labelled("").routes, []);
    }
}
