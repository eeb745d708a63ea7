//! Of a gateway container: the lines of its configuration, where they belong, and what has them take effect.

use super::{Change, Remedy, lines};
use crate::causes::{Case, upstream};
use crate::path::{ContainerRoute, Implementation};

/// How the gateway is told of a change.
pub fn remedy(case: &Case<'_>, route: &ContainerRoute, change: Change<'_>) -> Remedy {
    let software = upstream::implementation(case);
    let intent = intent(software, change);
    let place = place(case, route, software);
    let summary = match lines::of(software, change, route) {
        Some(how) => format!("{intent}: {how}, at {place}."),
        None => format!("{intent}, at {place}."),
    };
    Remedy { summary, commands: reload(case) }
}

/// What the change is for.
fn intent(software: Implementation, change: Change<'_>) -> String {
    let gateway = match software {
        Implementation::Other => "the gateway".to_owned(),
        known => known.to_string(),
    };
    match change {
        Change::SpeakTls => format!("Let {gateway} speak HTTPS to the upstream"),
        Change::SpeakPlain => format!("Let {gateway} speak plain HTTP to the upstream"),
        Change::SpeakHttp2 { .. } => format!("Let {gateway} speak HTTP/2 to the upstream"),
        Change::SendName(name) => format!("Let {gateway} send the server name {name}"),
        Change::ExpectName(_) => format!("Tell {gateway} the name that the certificate carries"),
        Change::Trust => format!("Give {gateway} the certificate of the authority that issued the upstream's"),
        Change::ShowCertificate => format!("Give {gateway} a client certificate for the upstream"),
        Change::TakeHeads(_) => format!("Send smaller headers, or let {gateway} take larger ones"),
        Change::PassHost(_) => format!("Let {gateway} pass the client's Host"),
        Change::WaitFor(_) => format!("Let {gateway} wait longer for the upstream"),
    }
}

/// Where it belongs: to the server where the software says it of servers, else to the route.
fn place(case: &Case<'_>, route: &ContainerRoute, software: Implementation) -> String {
    let of_servers = matches!(software, Implementation::Haproxy | Implementation::Traefik | Implementation::Envoy);
    let server = route.servers.first().filter(|_| of_servers).map(|s| &s.server);
    let place = server.map_or_else(|| case.path.route.field.clone(), |s| s.place.to_string());
    let holder = server.and_then(|s| s.container.clone()).unwrap_or_else(|| route.gateway.name.to_string());
    format!("{place} of {holder}")
}

/// Commands that have a gateway container take up its configuration; nothing where this is no gateway container's route.
pub fn reload(case: &Case<'_>) -> Vec<String> {
    let Some(route) = &case.path.container else { return Vec::new() };
    let gateway = &route.gateway.name;
    match upstream::implementation(case) {
        Implementation::Nginx => vec![format!("docker exec {gateway} nginx -t && docker exec {gateway} nginx -s reload")],
        // It takes labels and files up by itself; labels belong to a container for as long as it is there.
        Implementation::Traefik => {
            let service = route.servers.first().and_then(|s| route.host.container(s.server.container.as_deref()?)?.service());
            let anew = service.map(|service| format!("docker compose up -d {service}"));
            anew.into_iter().chain([format!("docker logs --tail 50 {gateway}")]).collect()
        }
        _ => vec![format!("docker restart {gateway}"), format!("docker logs --tail 50 {gateway}")],
    }
}
