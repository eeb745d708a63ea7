//! Requests that fail through the gateway alone, and the addresses that its log says it called.

use std::net::{IpAddr, SocketAddr};

use super::meant;
use crate::causes::{Case, EndToEnd, EndpointView, Missing};
use crate::path::{ContainerRoute, ServerPath};
use crate::probe::LogLine;

/// The servers that answer the gateway's own request directly, where requests through the gateway fail as they do where it gets no answer:
/// it breaks off, or says 502 to 504. Empty where that is not so.
pub fn answer_directly<'a>(case: &Case<'a>) -> Result<Vec<EndpointView<'a>>, Missing> {
    let fails = matches!(case.end_to_end, EndToEnd::Fails | EndToEnd::Partly { .. });
    let of_gateway = case.failures.iter().all(|f| f.response().is_none_or(|r| (502..=504).contains(&r.status)));
    if !fails || case.failures.is_empty() || !of_gateway {
        return Ok(Vec::new());
    }
    let views = case.walked()?;
    // What fails directly as well needs no gateway to explain it.
    Ok(if views.iter().all(|v| v.seen.signature().is_none()) { views } else { Vec::new() })
}

/// The last line of the gateway's log that names an address with the server's port, for which this holds.
pub fn last_line<'a>(
    case: &Case<'a>,
    route: &'a ContainerRoute,
    server: &ServerPath,
    is_meant: impl Fn(&LogLine, IpAddr) -> bool,
) -> Result<Option<(&'a str, IpAddr)>, Missing> {
    let lines = meant::log_of(case, &route.gateway)?;
    let found =
        |line: &'a LogLine| addresses(&line.text, server.server.port).find(|ip| is_meant(line, *ip)).map(|ip| (line.text.as_str(), ip));
    Ok(lines.iter().rev().find_map(found))
}

/// The addresses in a line that are written with a port.
fn addresses(line: &str, port: u16) -> impl Iterator<Item = IpAddr> {
    let words = line.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']')));
    words.filter_map(|w| w.trim_end_matches([':', '.']).parse::<SocketAddr>().ok()).filter(move |to| to.port() == port).map(|to| to.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_of_every_gateways_line() {
        for line in [
            r#"connect() failed (113: Host is unreachable) while connecting to upstream, upstream: "http://172.18.0.9:3000/", host: "x""#,
            "dial tcp 172.18.0.9:3000: connect: no route to host",
            "AH00957: HTTP: attempt to connect to 172.18.0.9:3000 (app) failed",
        ] {
            assert_eq!(addresses(line, 3000).collect::<Vec<_>>(), [IpAddr::from([172, 18, 0, 9])], "{line}");
            assert_eq!(addresses(line, 80).count(), 0);
        }
        assert_eq!(addresses("upstream: \"http://[fd00::9]:3000/\"", 3000).count(), 1);
    }
}
