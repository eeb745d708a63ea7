//! Hosts as rules write them.

use std::net::IpAddr;

use crate::causes::Case;

/// Why no request can ever name this host; nothing where one can.
pub fn impossible(host: &str) -> Option<&'static str> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |l: &str| !l.is_empty() && l.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if host.contains('/') {
        Some("it is a URL or a path, not a host")
    } else if host.parse::<IpAddr>().is_ok() {
        Some("it is an address, and rules are for names")
    } else if host.contains(':') {
        Some("it has a port, and rules are compared without one")
    } else if name.contains('*') {
        Some("a wildcard stands for one whole label, the left-most")
    } else if name.chars().any(|c| c.is_ascii_uppercase()) {
        Some("it has capital letters, which the API does not take")
    } else if !name.split('.').all(label) {
        Some("it is no DNS name")
    } else {
        None
    }
}

/// The field of the Ingress that holds the route's host.
pub fn field(case: &Case<'_>) -> String {
    let field = &case.path.route.field;
    field.split_once(".http").map_or_else(|| field.clone(), |(rule, _)| format!("{rule}.host"))
}

/// The command that opens the Ingress.
pub fn edit(case: &Case<'_>) -> String {
    format!("kubectl -n {} edit ingress {}", case.namespace(), case.target().key.name)
}

#[cfg(test)]
mod tests {
    use super::impossible;

    #[test]
    fn only_hosts_that_no_request_names_are_refused() {
        for host in ["shop.test", "*.shop.test", "a-b.c", "localhost", "xn--bcher-kva.test"] {
            assert_eq!(impossible(host), None, "{host}");
        }
        for host in ["shop.test:80", "http://shop.test", "Shop.test", "a.*.test", "*", "*shop.test", "10.0.0.1", "::1", "shop..test"] {
            assert!(impossible(host).is_some(), "{host}");
        }
    }
}
