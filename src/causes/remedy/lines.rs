//! What is written into the configuration of each gateway.
//!
//! Sources: nginx `ngx_http_proxy_module`, `ngx_http_grpc_module`; HAProxy configuration manual 5.2 (server options), 3.2 (`tune.bufsize`);
//! Traefik reference of labels and ServersTransport; Caddy `reverse_proxy`; Apache `mod_proxy`, `mod_ssl`; Envoy `UpstreamTlsContext`,
//! `HttpProtocolOptions`, `RouteAction`.

use super::Change;
use super::kubernetes::buffer_kibibytes;
use crate::path::{ContainerRoute, Implementation};

/// What has to be done to a configuration, as the middle of a sentence; nothing for software that is not known.
pub fn of(software: Implementation, change: Change<'_>, route: &ContainerRoute) -> Option<String> {
    match software {
        Implementation::Nginx => Some(nginx(change, route)),
        Implementation::Haproxy => Some(haproxy(change)),
        Implementation::Traefik => Some(traefik(change, route)),
        Implementation::Caddy => Some(caddy(change, route)),
        Implementation::Apache => Some(apache(change, route)),
        Implementation::Envoy => Some(envoy(change)),
        Implementation::Other => None,
    }
}

/// The upstream as it follows a scheme: its name, or its only server.
fn target(route: &ContainerRoute) -> String {
    let server = || route.upstream.servers.first().map_or_else(|| "UPSTREAM".to_owned(), ToString::to_string);
    route.upstream.name.clone().unwrap_or_else(server)
}

fn server(route: &ContainerRoute) -> String {
    route.upstream.servers.first().map_or_else(|| "UPSTREAM".to_owned(), ToString::to_string)
}

fn nginx(change: Change<'_>, route: &ContainerRoute) -> String {
    let is_http2 = matches!(route.upstream.scheme, crate::probe::Scheme::H2c | crate::probe::Scheme::H2);
    let (module, plain, tls) = if is_http2 { ("grpc", "grpc", "grpcs") } else { ("proxy", "http", "https") };
    let to = target(route);
    match change {
        Change::SpeakTls => format!("write `{module}_pass {tls}://{to};`"),
        Change::SpeakPlain => format!("write `{module}_pass {plain}://{to};`"),
        Change::SpeakHttp2 { tls } => format!("write `grpc_pass {}://{to};`", if tls { "grpcs" } else { "grpc" }),
        Change::SendName(name) => format!("add `{module}_ssl_server_name on; {module}_ssl_name {name};`"),
        Change::ExpectName(name) => format!("add `{module}_ssl_name {};`", name.unwrap_or("NAME")),
        Change::Trust => format!("add `{module}_ssl_trusted_certificate FILE;`"),
        Change::ShowCertificate => format!("add `{module}_ssl_certificate FILE; {module}_ssl_certificate_key FILE;`"),
        Change::TakeHeads(length) if is_http2 => format!("add `grpc_buffer_size {}k;`", buffer_kibibytes(length)),
        // nginx refuses buffers that are small beside the first one.
        Change::TakeHeads(length) => {
            let size = buffer_kibibytes(length);
            format!("add `proxy_buffer_size {size}k; proxy_buffers 8 {size}k;`")
        }
        Change::PassHost(_) => format!("add `{module}_set_header Host $host;`"),
        Change::WaitFor(time) => format!("add `{module}_read_timeout {}s;`", time.as_secs()),
    }
}

fn haproxy(change: Change<'_>) -> String {
    match change {
        Change::SpeakTls => "add `ssl verify none` (or `ssl verify required ca-file FILE`) to the server's line".into(),
        Change::SpeakPlain => "take `ssl` off the server's line".into(),
        Change::SpeakHttp2 { tls: false } => "add `proto h2` to the server's line".into(),
        Change::SpeakHttp2 { tls: true } => "add `alpn h2` to the server's line".into(),
        Change::SendName(name) => format!("add `sni str({name})` to the server's line"),
        Change::ExpectName(name) => format!("add `verifyhost {}` to the server's line", name.unwrap_or("NAME")),
        Change::Trust => "add `ca-file FILE` to the server's line".into(),
        Change::ShowCertificate => "add `crt FILE` to the server's line".into(),
        Change::TakeHeads(length) => {
            format!(
                "raise `tune.bufsize` in `global` to {} (`tune.http.maxhdr` for their number)",
                (buffer_kibibytes(length) << 10).max(32768)
            )
        }
        Change::PassHost(_) => "take away what sets the Host (`http-request set-header Host`)".into(),
        Change::WaitFor(time) => format!("write `timeout server {}s` into the backend", time.as_secs()),
    }
}

fn traefik(change: Change<'_>, route: &ContainerRoute) -> String {
    let name = route.upstream.name.as_deref().unwrap_or("SERVICE");
    let service = name.split('@').next().unwrap_or(name);
    let label = |option: &str| format!("`traefik.http.services.{service}.loadbalancer.{option}`");
    let transport = |option: String| {
        format!("give a serversTransport of the file provider `{option}`, and name it by the label {}", label("serverstransport=NAME@file"))
    };
    match change {
        Change::SpeakTls | Change::SpeakHttp2 { tls: true } => format!("set the label {}", label("server.scheme=https")),
        Change::SpeakPlain => format!("set the label {}", label("server.scheme=http")),
        Change::SpeakHttp2 { tls: false } => format!("set the label {}", label("server.scheme=h2c")),
        Change::SendName(name) => transport(format!("serverName: {name}")),
        Change::ExpectName(name) => transport(format!("serverName: {}", name.unwrap_or("NAME"))),
        Change::Trust => transport("rootCAs: [FILE]".into()),
        Change::ShowCertificate => transport("certificates: [{certFile: FILE, keyFile: FILE}]".into()),
        Change::TakeHeads(_) => "it takes 10 MiB".into(),
        Change::PassHost(_) => format!("set the label {}", label("passhostheader=true")),
        Change::WaitFor(time) => transport(format!("forwardingTimeouts: {{responseHeaderTimeout: {}s}}", time.as_secs())),
    }
}

fn caddy(change: Change<'_>, route: &ContainerRoute) -> String {
    let to = server(route);
    let transport = |option: String| format!("add `transport http {{ {option} }}` to `reverse_proxy`");
    match change {
        Change::SpeakTls => format!("write `reverse_proxy https://{to}`"),
        Change::SpeakPlain => format!("write `reverse_proxy http://{to}`"),
        Change::SpeakHttp2 { tls: false } => format!("write `reverse_proxy h2c://{to}`"),
        Change::SpeakHttp2 { tls: true } => transport("versions 2".into()),
        Change::SendName(name) => transport(format!("tls_server_name {name}")),
        Change::ExpectName(name) => transport(format!("tls_server_name {}", name.unwrap_or("NAME"))),
        Change::Trust => transport("tls_trust_pool file FILE".into()),
        Change::ShowCertificate => transport("tls_client_auth FILE KEYFILE".into()),
        Change::TakeHeads(length) => transport(format!("max_response_header {}KiB", buffer_kibibytes(length))),
        Change::PassHost(_) => "write `header_up Host {host}` into `reverse_proxy`".into(),
        Change::WaitFor(time) => transport(format!("response_header_timeout {}s", time.as_secs())),
    }
}

fn apache(change: Change<'_>, route: &ContainerRoute) -> String {
    let to = server(route);
    match change {
        Change::SpeakTls => format!("write `SSLProxyEngine on` and `ProxyPass … https://{to}/`"),
        Change::SpeakPlain => format!("write `ProxyPass … http://{to}/`"),
        Change::SpeakHttp2 { tls: false } => format!("load `mod_proxy_http2` and write `ProxyPass … h2c://{to}/`"),
        Change::SpeakHttp2 { tls: true } => format!("load `mod_proxy_http2` and write `ProxyPass … h2://{to}/`"),
        Change::SendName(name) => format!("name it in `ProxyPass … https://{name}:PORT/`, since the name in the URL is what is sent"),
        Change::ExpectName(name) => format!("name it in `ProxyPass … https://{}:PORT/`", name.unwrap_or("NAME")),
        Change::Trust => "add `SSLProxyCACertificateFile FILE`".into(),
        Change::ShowCertificate => "add `SSLProxyMachineCertificateFile FILE`".into(),
        Change::TakeHeads(length) => format!("add `responsefieldsize={}` to `ProxyPass`", buffer_kibibytes(length) << 10),
        Change::PassHost(_) => "add `ProxyPreserveHost On`".into(),
        Change::WaitFor(time) => format!("add `ProxyTimeout {}`", time.as_secs()),
    }
}

fn envoy(change: Change<'_>) -> String {
    let context = |option: String| format!("add `{option}` to the cluster's `UpstreamTlsContext`");
    match change {
        Change::SpeakTls => "give the cluster a `transport_socket` of `envoy.transport_sockets.tls`".into(),
        Change::SpeakPlain => "take the cluster's `transport_socket` away".into(),
        Change::SpeakHttp2 { .. } => "give the cluster `explicit_http_config: {http2_protocol_options: {}}`".into(),
        Change::SendName(name) => context(format!("sni: {name}")),
        Change::ExpectName(name) => {
            context(format!("match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: {}}}}}]", name.unwrap_or("NAME")))
        }
        Change::Trust => context("validation_context: {trusted_ca: {filename: FILE}}".into()),
        Change::ShowCertificate => context("tls_certificates: [{certificate_chain: …, private_key: …}]".into()),
        Change::TakeHeads(_) => "raise `max_response_headers_kb` of the cluster (`max_headers_count` for their number)".into(),
        Change::PassHost(_) => "take `host_rewrite_literal` or `auto_host_rewrite` off the route".into(),
        Change::WaitFor(time) => format!("write `timeout: {}s` into the route", time.as_secs()),
    }
}
