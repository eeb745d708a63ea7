use proptest::prelude::*;

use super::*;
use crate::evidence::config::{HostHeader, Lookup, Note};
use crate::probe::Scheme;

fn envoy(command: &[&str]) -> Container {
    let command = ["/docker-entrypoint.sh", "envoy"].iter().chain(command).map(|c| (*c).to_owned()).collect();
    Container { name: "gateway".into(), command, ..Container::default() }
}

fn of(text: &str) -> Configuration {
    let files = Files::from([(BOOTSTRAP.to_owned(), text.to_owned())]);
    match read(&files, &envoy(&["-c", BOOTSTRAP]), &[]) {
        Fact::Known(configuration) => configuration,
        other => panic!("{other:?}"),
    }
}

/// `HOST PATH -> SCHEME SERVERS at LISTENERS` of every route, then the notes.
fn summary(configuration: &Configuration) -> Vec<String> {
    let route = |r: &super::super::ConfiguredRoute| {
        let servers: Vec<String> = r.upstream.servers.iter().map(|s| format!("{s}{}", if s.backup { " backup" } else { "" })).collect();
        let listeners: Vec<String> = r.listeners.iter().map(|l| format!("{}{}", l.port, if l.tls { " tls" } else { "" })).collect();
        let host = r.host.as_deref().unwrap_or("any");
        format!("{host} {} -> {} {} at {}", r.path, r.upstream.scheme, servers.join(", "), listeners.join(", "))
    };
    let note = |n: &Note| format!("{}: {}", n.place.line, n.text);
    configuration.routes.iter().map(route).chain(configuration.notes.iter().map(note)).collect()
}

const SHOP: &str = r#"
static_resources:
  listeners:
  - name: web
    address:
      socket_address: { address: 0.0.0.0, port_value: 8080 }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts:
            - name: shop
              domains: ["shop.example", "shop.example:8080"]
              routes:
              - match: { prefix: "/api" }
                route: { cluster: api, prefix_rewrite: "/", timeout: 0.5s, host_rewrite_literal: api.internal }
              - match: { path: "/healthz" }
                direct_response: { status: 200 }
              - match:
                  prefix: "/canary"
                  headers: [{ name: x-canary, string_match: { exact: "1" } }]
                route: { cluster: web }
              - match: { prefix: "/" }
                route:
                  weighted_clusters:
                    clusters:
                    - { name: web, weight: 90 }
                    - { name: new, weight: 10 }
            - name: other
              domains: ["*"]
              routes:
              - match: { safe_regex: { regex: "/v[0-9]+/.*" } }
                route: { cluster: nowhere, timeout: 0s }
  clusters:
  - name: api
    type: STRICT_DNS
    load_assignment:
      cluster_name: api
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: api, port_value: 8000 } } }
      - priority: 1
        lb_endpoints:
        - endpoint: { address: { socket_address: { address: spare, port_value: 8000 } } }
  - name: web
    type: LOGICAL_DNS
    load_assignment:
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address:
                address: web
                port_value: 3000
  - name: new
    type: LOGICAL_DNS
    load_assignment:
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: new, port_value: 3000 } } }
"#;

#[test]
fn routes_lead_to_the_servers_of_their_clusters() {
    let configuration = of(SHOP);
    assert_eq!(
        summary(&configuration),
        [
            "shop.example /api -> http api:8000, spare:8000 backup at 8080",
            "shop.example / -> http web:3000, new:3000 at 8080",
            "any /v[0-9]+/.* -> http  at 8080",
            "22: what asks for the header x-canary is left out",
            "36: the cluster nowhere does not stand in the bootstrap",
        ]
    );
    let api = &configuration.routes[0].upstream;
    assert_eq!((api.path_prefix.as_deref(), api.lookup), (Some("/"), Lookup::WhileRunning));
    assert_eq!(api.host_header, HostHeader::Fixed("api.internal".into()));
    assert_eq!(api.read_timeout, Some(std::time::Duration::from_millis(500)));
    assert_eq!(configuration.routes[1].upstream.read_timeout, Some(std::time::Duration::from_secs(15)));
    assert_eq!(configuration.routes[2].upstream.read_timeout, None);
    assert_eq!(configuration.routes[0].place.line, 18);
    assert_eq!(configuration.listeners[0].name.as_deref(), Some("web"));
}

#[test]
fn tls_and_http2_are_told_apart() {
    let json = r#"{"staticResources": {
      "listeners": [{"address": {"socketAddress": {"address": "::", "portValue": 443}}, "filterChains": [{
        "filterChainMatch": {"serverNames": ["shop.example"]},
        "transportSocket": {"name": "envoy.transport_sockets.tls", "typedConfig": {"@type": "x.DownstreamTlsContext"}},
        "filters": [{"name": "hcm", "typedConfig": {"@type": "x.HttpConnectionManager", "routeConfig": {"virtualHosts": [
          {"domains": ["*"], "routes": [
            {"match": {"prefix": "/a"}, "route": {"cluster": "tls", "autoHostRewrite": true}},
            {"match": {"prefix": "/b"}, "route": {"cluster": "grpc"}},
            {"match": {"prefix": "/c"}, "route": {"cluster": "old"}}]}]}}}]}]}],
      "clusters": [
        {"name": "tls", "type": "STRICT_DNS", "hosts": [{"socketAddress": {"address": "app", "portValue": 8443}}],
         "transportSocket": {"name": "envoy.transport_sockets.tls", "typedConfig": {"@type": "x.UpstreamTlsContext", "sni": "app.internal",
           "commonTlsContext": {"validationContext": {"trustedCa": {"filename": "/ca"}}}}}},
        {"name": "grpc", "type": "STATIC", "hosts": [{"socketAddress": {"address": "10.0.0.9", "portValue": 50051}}],
         "typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"explicitHttpConfig": {"http2ProtocolOptions": {}}}}},
        {"name": "old", "http2_protocol_options": {}, "tls_context": {}, "hosts": [{"socket_address": {"address": "app", "port_value": 1}}]}
      ]}}"#;
    let configuration = of(json);
    assert_eq!(
        summary(&configuration),
        [
            "shop.example /a -> https app:8443 at 443 tls",
            "shop.example /b -> h2c 10.0.0.9:50051 at 443 tls",
            "shop.example /c -> h2 app:1 at 443 tls",
            "16: the cluster old is STATIC and takes addresses only: Envoy does not start with app",
            "16: the cluster old sends no server name in TLS",
        ]
    );
    let tls = &configuration.routes[0].upstream;
    assert_eq!((tls.verifies, tls.server_name.as_deref()), (true, Some("app.internal")));
    assert_eq!(tls.host_header, HostHeader::Fixed("app".into()));
    assert!(!configuration.routes[2].upstream.verifies);
    assert_eq!([configuration.routes[1].upstream.lookup, configuration.routes[0].upstream.lookup], [Lookup::Given, Lookup::WhileRunning]);
    assert_eq!(configuration.routes[1].upstream.scheme, Scheme::H2c);
}

#[test]
fn what_comes_by_an_api_is_said() {
    let configuration = of("
dynamic_resources:
  cds_config: { path: /etc/envoy/cds.yaml }
static_resources:
  listeners:
  - address: { socket_address: { address: 0.0.0.0, port_value: 80 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config: { rds: { route_config_name: x } }
  - address: { socket_address: { protocol: UDP, address: 0.0.0.0, port_value: 443 } }
  - address: { pipe: { path: /run/x } }
  clusters:
  - { name: xds, type: EDS }
");
    assert_eq!(configuration.routes, []);
    assert_eq!(configuration.listeners.len(), 1);
    assert_eq!(
        summary(&configuration),
        [
            "3: what comes by cds_config is not known",
            "14: the servers of the cluster xds come by EDS and are not known",
            "10: routes that come by RDS are not known",
            "12: the address of a listener is not understood",
        ]
    );
}

#[test]
fn plain_requests_to_a_host_that_requires_tls_are_redirected() {
    let text = SHOP.replace("domains: [\"*\"]", "domains: [\"*\"]\n              require_tls: ALL");
    assert_eq!(of(&text).routes.len(), 2);
}

#[test]
fn the_command_line_adds_to_the_file() {
    let yaml = "static_resources: {clusters: [{name: nowhere, type: STRICT_DNS, hosts: [{socket_address: {address: b, port_value: 2}}]}]}";
    let files = Files::from([("/e.yaml".to_owned(), SHOP.to_owned())]);
    let both = read(&files, &envoy(&["--config-path", "/e.yaml", "--config-yaml", yaml]), &[]);
    assert_eq!(both.known().unwrap().routes[2].upstream.servers[0].to_string(), "b:2");
    assert_eq!(read(&files, &envoy(&["--config-yaml", yaml]), &[]).known().unwrap().routes, []);
}

#[test]
fn what_cannot_be_read_is_said() {
    let failed = |text: Option<&str>| {
        let files: Files = text.map(|t| (BOOTSTRAP.to_owned(), t.to_owned())).into_iter().collect();
        read(&files, &envoy(&[]), &[]).why_unknown().map(str::to_owned)
    };
    assert_eq!(failed(None).as_deref(), Some("its bootstrap /etc/envoy/envoy.yaml could not be read"));
    assert!(failed(Some("a: [")).is_some_and(|w| w.starts_with("/etc/envoy/envoy.yaml")));
    assert_eq!(failed(Some("a: b")), None);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        drop(read(&Files::from([(BOOTSTRAP.to_owned(), text.clone())]), &envoy(&["--config-yaml", &text]), &[]));
    }

    #[test]
    fn no_shape_panics(from in 0..SHOP.len(), to in 0..SHOP.len(), with in "[a-z:\\[\\]{}\\- \n]{0,12}") {
        let mut text = SHOP.to_owned();
        text.replace_range(from.min(to)..from.max(to).min(from.min(to) + 60), &with);
        drop(read(&Files::from([(BOOTSTRAP.to_owned(), text)]), &envoy(&[]), &[]));
    }
}
