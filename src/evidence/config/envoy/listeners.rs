//! Listeners and their filter chains.

use super::clusters::{Clusters, is_tls};
use super::routes::{self, Table};
use crate::evidence::config::condition::Condition;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::bound;
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{Configuration, Listener};

/// Reads a listener with its routes.
pub(super) fn read(tree: &Tree, clusters: &Clusters, into: &mut Configuration, notes: &mut Notes) {
    let name = tree.text("name").map(str::to_owned);
    let main = tree.get("address").into_iter();
    let addresses = main.chain(tree.items_of("additional_addresses").into_iter().filter_map(|a| a.get("address")));
    let addresses: Vec<Listener> = addresses.filter_map(|a| listener(a, name.clone(), notes)).collect();
    if addresses.is_empty() {
        return;
    }
    let chains = tree.items_of("filter_chains").into_iter().chain(tree.get("default_filter_chain"));
    for chain in chains {
        let tls = chain.get("transport_socket").is_some_and(is_tls) || chain.get("tls_context").is_some();
        let listeners: Vec<Listener> = addresses.iter().map(|l| Listener { tls, ..l.clone() }).collect();
        into.listeners.extend(listeners.iter().cloned());
        let names = chain.texts("filter_chain_match.server_names");
        let condition = match names.as_slice() {
            [] => Condition::All(Vec::new()),
            names => Condition::Any(names.iter().map(|n| routes::domain(n)).collect()),
        };
        for filter in chain.items_of("filters") {
            let table = Table { listeners: &listeners, condition: &condition, clusters };
            filter_routes(filter, &table, into, notes);
        }
    }
}

/// A TCP address; what listens on UDP is for HTTP/3 only.
fn listener(address: &Tree, name: Option<String>, notes: &mut Notes) -> Option<Listener> {
    let socket = address.get("socket_address");
    if socket.and_then(|s| s.text("protocol")).is_some_and(|p| p.eq_ignore_ascii_case("UDP")) {
        return None;
    }
    let found = socket.and_then(|s| Some((bound(s.text("address")?)?, s.text("port_value")?.parse().ok().filter(|p| *p != 0)?)));
    let Some((address, port)) = found else {
        notes.add(&address.place, "the address of a listener is not understood");
        return None;
    };
    Some(Listener { name, address, ..Listener::on(port, false) })
}

fn filter_routes(filter: &Tree, table: &Table<'_>, into: &mut Configuration, notes: &mut Notes) {
    let Some(config) = filter.get("typed_config").or_else(|| filter.get("config")) else { return };
    let kind = config.entries().iter().find(|(n, _)| n == "@type").and_then(|(_, t)| t.as_text()).unwrap_or_default();
    let name = filter.text("name").unwrap_or_default();
    if kind.ends_with("HttpConnectionManager") || name.ends_with("http_connection_manager") {
        match config.get("route_config") {
            Some(routes) => into.routes.extend(table.routes(routes, notes)),
            None => notes.add(&config.place, "routes that come by RDS are not known"),
        }
    } else if kind.ends_with("TcpProxy") || name.ends_with("tcp_proxy") {
        notes.add(&config.place, "connections that are passed on as they are are not looked at");
    }
}
