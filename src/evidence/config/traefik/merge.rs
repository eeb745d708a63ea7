//! What several containers declare under the same names.

use super::dynamic::{Dynamic, Kind, Router, Target};
use crate::evidence::config::{Note, Place};

/// Routers and services that several containers declare differently: Traefik drops them.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    routers: Vec<String>,
    services: Vec<String>,
}

impl Clashes {
    /// Adds a container's part. Routers that are the same stay one, services that differ in their servers only share them.
    pub fn merge(&mut self, part: Dynamic, into: &mut Dynamic) {
        for (name, router) in part.routers {
            let placed = |r: &Router| Router { place: Place::default(), ..r.clone() };
            match into.routers.get(&name) {
                Some(other) if placed(other) != placed(&router) => self.routers.push(name),
                Some(_) => {}
                None => _ = into.routers.insert(name, router),
            }
        }
        for (name, service) in part.services {
            match into.services.get_mut(&name).map(|s| &mut s.kind) {
                Some(Kind::Servers(known)) => match service.kind {
                    Kind::Servers(more) if (known.passes_host, &known.transport) == (more.passes_host, &more.transport) => {
                        let new = more.servers.into_iter().filter(|t| !known.servers.iter().any(|k| same_server(k, t)));
                        let new: Vec<Target> = new.collect();
                        known.servers.extend(new);
                    }
                    _ => self.services.push(name),
                },
                Some(_) => self.services.push(name),
                None => _ = into.services.insert(name, service),
            }
        }
        into.middlewares.extend(part.middlewares);
        into.transports.extend(part.transports);
        into.notes.extend(part.notes);
    }

    /// Removes what clashes, and says so.
    pub fn remove(self, dynamic: &mut Dynamic) {
        for name in self.routers {
            if let Some(router) = dynamic.routers.remove(&name) {
                let text = format!("the router {name} is declared several times with differences: Traefik drops it");
                dynamic.notes.push(Note { place: router.place, text });
            }
        }
        for name in self.services {
            if let Some(service) = dynamic.services.remove(&name) {
                let text = format!("the service {name} is declared several times with differences: Traefik drops it");
                dynamic.notes.push(Note { place: service.place, text });
            }
        }
    }
}

fn same_server(a: &Target, b: &Target) -> bool {
    (a.scheme, &a.authority) == (b.scheme, &b.authority)
}
