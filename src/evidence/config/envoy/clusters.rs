//! Clusters: the servers and how they are spoken to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::evidence::config::limits::{SERVERS, cut};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{Lookup, Place, Server, Upstream};
use crate::probe::Scheme;

/// All clusters by their names.
#[derive(Debug, Default)]
pub(super) struct Clusters(BTreeMap<String, Upstream>);

impl Clusters {
    /// Reads the clusters of all parts of a bootstrap.
    pub fn read(trees: &[Tree], notes: &mut Notes) -> Clusters {
        let clusters = trees.iter().flat_map(|t| t.items_of("static_resources.clusters"));
        Clusters(clusters.filter_map(|c| Some((c.text("name")?.to_owned(), cluster(c, notes)))).collect())
    }

    /// The upstream that clusters make together, spoken to as the first is. Without servers where none of them is known.
    pub fn upstream(&self, names: &[&str], place: &Place, notes: &mut Notes) -> Upstream {
        let mut whole: Option<Upstream> = None;
        for name in names {
            let Some(cluster) = self.0.get(*name) else {
                notes.add(place, format!("the cluster {name} does not stand in the bootstrap"));
                continue;
            };
            match &mut whole {
                None => whole = Some(cluster.clone()),
                Some(known) if (known.scheme, known.lookup) == (cluster.scheme, cluster.lookup) => {
                    known.servers.extend(cluster.servers.clone())
                }
                Some(known) => notes.add(
                    place,
                    format!("the cluster {name} is spoken to by {}, others by {}: it is left out", cluster.scheme, known.scheme),
                ),
            }
        }
        whole.unwrap_or_else(|| empty(names.first().copied()))
    }
}

fn empty(name: Option<&str>) -> Upstream {
    Upstream { name: name.map(str::to_owned), lookup: Lookup::Given, ..Upstream::untold() }
}

fn cluster(tree: &Tree, notes: &mut Notes) -> Upstream {
    let name = tree.text("name").unwrap_or_default();
    let discovery = tree.text("type").unwrap_or("STATIC").to_ascii_uppercase();
    let lookup = match discovery.as_str() {
        _ if tree.get("cluster_type").is_some() => {
            notes.add(&tree.place, format!("the cluster {name} is of a type that is not understood"));
            Lookup::WhileRunning
        }
        "STATIC" => Lookup::Given,
        "STRICT_DNS" | "LOGICAL_DNS" => Lookup::WhileRunning,
        _ => {
            notes.add(&tree.place, format!("the servers of the cluster {name} come by {discovery} and are not known"));
            Lookup::Given
        }
    };
    let servers = servers(tree, notes);
    let names = servers.iter().filter(|s| s.host.parse::<IpAddr>().is_err());
    for server in names.filter(|_| discovery == "STATIC" && tree.get("cluster_type").is_none()) {
        notes.add(
            &server.place,
            format!("the cluster {name} is STATIC and takes addresses only: Envoy does not start with {}", server.host),
        );
    }
    let tls = tls(tree);
    if let Some(context) = tls.filter(|c| c.get("sni").is_none() && !takes_name_of_client(tree)) {
        notes.add(&context.place, format!("the cluster {name} sends no server name in TLS"));
    }
    let scheme = match (tls.is_some(), speaks_http2(tree)) {
        (true, true) => Scheme::H2,
        (true, false) => Scheme::Https,
        (false, true) => Scheme::H2c,
        (false, false) => Scheme::Http,
    };
    Upstream {
        scheme,
        servers,
        lookup,
        server_name: tls.and_then(|c| c.text("sni")).map(str::to_owned),
        verifies: tls.and_then(|c| c.get("common_tls_context")).is_some_and(checks_certificates),
        ..empty(Some(name))
    }
}

/// The TLS settings towards the servers, where TLS is spoken: `transport_socket`, or `tls_context` of old.
fn tls(cluster: &Tree) -> Option<&Tree> {
    let socket = cluster.get("transport_socket").filter(|s| is_tls(s));
    socket.map(|s| s.get("typed_config").unwrap_or(s)).or_else(|| cluster.get("tls_context"))
}

/// Whether a transport socket is one of TLS.
pub(super) fn is_tls(socket: &Tree) -> bool {
    let kind = socket.get("typed_config").and_then(|c| c.entries().iter().find(|(n, _)| n == "@type")).and_then(|(_, t)| t.as_text());
    kind.is_some_and(|k| k.ends_with("TlsContext")) || socket.text("name").is_some_and(|n| n.ends_with("tls"))
}

/// Envoy checks no certificate unless it is told what to trust.
fn checks_certificates(context: &Tree) -> bool {
    ["validation_context", "combined_validation_context", "validation_context_sds_secret_config"].iter().any(|n| context.get(n).is_some())
}

fn http_options(cluster: &Tree) -> Option<&Tree> {
    let options = cluster.get("typed_extension_protocol_options")?;
    options.entries().iter().find(|(n, _)| n.ends_with("HttpProtocolOptions")).map(|(_, t)| t)
}

fn speaks_http2(cluster: &Tree) -> bool {
    let explicit = http_options(cluster).and_then(|o| o.get("explicit_http_config.http2_protocol_options"));
    explicit.or_else(|| cluster.get("http2_protocol_options")).is_some()
}

fn takes_name_of_client(cluster: &Tree) -> bool {
    http_options(cluster).and_then(|o| o.truth("upstream_http_protocol_options.auto_sni")) == Some(true)
        || cluster.truth("upstream_http_protocol_options.auto_sni") == Some(true)
}

/// The servers of `load_assignment`, or of `hosts` of old. Those of a later priority are used where the first fails.
fn servers(cluster: &Tree, notes: &mut Notes) -> Vec<Server> {
    let priority = |group: &Tree| group.text("priority").and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
    let groups = cluster.items_of("load_assignment.endpoints");
    let first = groups.iter().map(|g| priority(g)).min().unwrap_or(0);
    let mut servers = Vec::new();
    for group in groups {
        for endpoint in group.items_of("lb_endpoints") {
            let address = endpoint.get("endpoint.address").unwrap_or(endpoint);
            servers.extend(server(address, priority(group) > first, notes));
        }
    }
    for address in cluster.items_of("hosts") {
        servers.extend(server(address, false, notes));
    }
    cut(&mut servers, SERVERS, "servers", &cluster.place, notes);
    servers
}

fn server(address: &Tree, backup: bool, notes: &mut Notes) -> Option<Server> {
    let socket = address.get("socket_address");
    let found = socket.and_then(|s| Some((s.text("address")?.to_owned(), s.text("port_value")?.parse().ok().filter(|p| *p != 0)?)));
    match found {
        Some((host, port)) => Some(Server { host, port, backup, place: socket.unwrap_or(address).place.clone(), container: None }),
        None => {
            notes.add(&address.place, "the address of a server is not understood");
            None
        }
    }
}
