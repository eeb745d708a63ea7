//! Where Traefik serves an Ingress: its annotations name entry points, and ask for TLS.
//!
//! Sources: Traefik `pkg/provider/kubernetes/ingress` (annotations), `pkg/server/router` (a router with TLS takes no plain request).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Gateway;
use crate::snapshot::objects::Ingress;

const PREFIX: &str = "traefik.ingress.kubernetes.io/router.";

/// The value of one of Traefik's router annotations.
pub fn annotation<'i>(ingress: &'i Ingress, name: &str) -> Option<&'i str> {
    ingress.meta.annotations.get(&format!("{PREFIX}{name}")).map(|v| v.as_str())
}

/// Whether an Ingress is served over TLS only.
pub fn is_tls_only(ingress: &Ingress) -> bool {
    let options = format!("{PREFIX}tls.");
    annotation(ingress, "tls") == Some("true") || ingress.meta.annotations.keys().any(|name| name.starts_with(&options))
}

/// The entry points that an Ingress names; none where it leaves them to the gateway.
pub fn entry_points(ingress: &Ingress) -> Vec<&str> {
    let named = annotation(ingress, "entrypoints").unwrap_or_default();
    named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// The entry points that a gateway's arguments define, with their ports; empty where it is configured otherwise.
pub fn defined(gateway: &Gateway) -> BTreeMap<String, u16> {
    let arguments = gateway.pods.iter().flat_map(|p| &p.containers).flat_map(|c| &c.args);
    let entry_point = |argument: &String| {
        let (flag, address) = argument.trim_start_matches('-').split_once('=')?;
        let flag = flag.to_ascii_lowercase();
        let name = flag.strip_prefix("entrypoints.")?.strip_suffix(".address")?;
        let address = address.split('/').next().unwrap_or_default();
        Some((name.to_owned(), address.rsplit(':').next()?.parse().ok()?))
    };
    arguments.filter_map(entry_point).collect()
}

/// Whether an entry point gives TLS to every route at it, as far as the gateway's arguments say.
pub fn gives_tls(gateway: &Gateway, port: u16) -> bool {
    let names: Vec<String> = defined(gateway).into_iter().filter(|(_, p)| *p == port).map(|(name, _)| name).collect();
    let arguments = gateway.pods.iter().flat_map(|p| &p.containers).flat_map(|c| &c.args);
    arguments.map(|a| a.trim_start_matches('-').to_ascii_lowercase()).any(|argument| {
        let option = |name: &String| argument.strip_prefix(&format!("entrypoints.{name}.http.tls")).map(str::to_owned);
        names.iter().filter_map(option).any(|rest| rest != "=false")
    })
}

/// The gateway as one Ingress sees it: only the entrances that it is served at.
pub fn narrowed(gateway: Arc<Gateway>, ingress: &Ingress) -> Arc<Gateway> {
    let wanted = entry_points(ingress);
    if wanted.is_empty() {
        return gateway;
    }
    let defined = defined(&gateway);
    let port = |name: &str| defined.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, port)| *port);
    let is_wanted = |name: &str, number: u16| wanted.iter().any(|w| w.eq_ignore_ascii_case(name) || port(w) == Some(number));
    let kept: Vec<_> = gateway.entrances.iter().filter(|e| is_wanted(&e.port, e.address.port())).cloned().collect();
    match kept.is_empty() {
        false => Arc::new(Gateway { entrances: kept, ..(*gateway).clone() }),
        // It is served, and at a port that is not known to be for clients; or what the gateway defines could not be read.
        true if !gateway.entrances.is_empty() && (gateway.pods.is_empty() || wanted.iter().any(|w| port(w).is_some())) => {
            let why = format!("it is served at the entry point {}, and how clients reach that is not known", wanted.join(", "));
            Arc::new(Gateway { entrances: Vec::new(), entrances_unknown: Some(why), ..(*gateway).clone() })
        }
        true => gateway,
    }
}
