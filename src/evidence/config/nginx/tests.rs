//! nginx' configurations as people write them, and such as nobody should.

use proptest::prelude::*;

use super::*;
use crate::evidence::config::{HostHeader, Lookup};
use crate::probe::Scheme;

const MAIN: &str =
    "user nginx;\nevents { worker_connections 1024; }\nhttp {\n  include /etc/nginx/mime.types;\n  include /etc/nginx/conf.d/*.conf;\n}\n";
const WELCOME: &str = "server {\n  listen 80;\n  listen [::]:80;\n  server_name localhost;\n  location / {\n    root /usr/share/nginx/html;\n    index index.html;\n  }\n  error_page 500 502 503 504 /50x.html;\n  location = /50x.html { root /usr/share/nginx/html; }\n  #location ~ \\.php$ { proxy_pass http://127.0.0.1; }\n}\n";

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn known(given: &[(&str, &str)]) -> Configuration {
    let container = Container { hostname: "gw".into(), ..Container::default() };
    match read(&files(given), &container, &[]) {
        Fact::Known(configuration) => configuration,
        other => panic!("{other:?}"),
    }
}

/// The configuration of one file in conf.d.
fn of(text: &str) -> Configuration {
    known(&[("/etc/nginx/nginx.conf", MAIN), ("/etc/nginx/mime.types", "types { text/html html; }"), ("/etc/nginx/conf.d/gw.conf", text)])
}

/// `host path -> upstream`, one for each route.
fn routes(configuration: &Configuration) -> Vec<String> {
    let route = |r: &ConfiguredRoute| {
        let servers: Vec<String> = r.upstream.servers.iter().map(ToString::to_string).collect();
        format!("{} {} -> {}://{}", r.host.as_deref().unwrap_or("any"), r.path, r.upstream.scheme, servers.join(","))
    };
    configuration.routes.iter().map(route).collect()
}

fn notes(configuration: &Configuration) -> Vec<String> {
    configuration.notes.iter().map(|n| format!("{}: {}", n.place, n.text)).collect()
}

/// The upstream of the only route that `location / { … }` of a plain server makes, with directives beside the location.
fn upstream(server: &str, location: &str) -> Upstream {
    let configuration = of(&format!("server {{ listen 80; {server} location / {{ {location} }} }}"));
    assert_eq!(configuration.routes.len(), 1, "{:?}", configuration.notes);
    configuration.routes[0].upstream.clone()
}

use crate::evidence::config::Upstream;

#[test]
fn the_official_image_as_it_comes_has_no_routes() {
    let configuration =
        known(&[("/etc/nginx/nginx.conf", MAIN), ("/etc/nginx/mime.types", ""), ("/etc/nginx/conf.d/default.conf", WELCOME)]);
    assert_eq!(configuration.routes, []);
    assert_eq!(configuration.notes, []);
    let listeners: Vec<String> = configuration.listeners.iter().map(|l| format!("{} {}", l.address, l.port)).collect();
    assert_eq!(listeners, ["0.0.0.0 80", ":: 80"]);
}

#[test]
fn a_gateway_with_two_servers_is_read() {
    let configuration = of("upstream app { server app:3000 weight=2; server app2:3000 backup; server old:1 down; keepalive 16; }\n\
         server {\n  listen 443 ssl http2 default_server;\n  server_name shop.example www.shop.example;\n  location / {\n    proxy_pass http://app;\n  }\n\
           location /api/ { proxy_pass https://api.internal/v1/; proxy_read_timeout 5s; proxy_buffer_size 16k; }\n  location = /health { return 200; }\n}\n\
         server { listen 443; server_name .wiki.example; location ~* ^/w/(.*)$ { proxy_pass http://wiki; } }\n");
    assert_eq!(
        routes(&configuration),
        [
            "shop.example / -> http://app:3000,app2:3000",
            "www.shop.example / -> http://app:3000,app2:3000",
            "shop.example /api/ -> https://api.internal:443",
            "www.shop.example /api/ -> https://api.internal:443",
            "wiki.example ^/w/(.*)$ -> http://wiki:80",
            "*.wiki.example ^/w/(.*)$ -> http://wiki:80",
        ]
    );
    let first = &configuration.routes[0];
    assert_eq!(first.place.to_string(), "/etc/nginx/conf.d/gw.conf:6");
    assert_eq!(first.upstream.name.as_deref(), Some("app"));
    assert_eq!(first.upstream.servers[1].place.line, 1);
    assert!(first.upstream.servers[1].backup);
    assert_eq!(first.upstream.lookup, Lookup::AtStart);
    assert_eq!(first.upstream.host_header, HostHeader::Upstream);
    assert_eq!(configuration.routes[2].upstream.path_prefix.as_deref(), Some("/v1/"));
    assert_eq!(configuration.routes[2].upstream.read_timeout, Some(std::time::Duration::from_secs(5)));
    assert_eq!((configuration.routes[2].upstream.largest_head, first.upstream.largest_head), (Some(16 << 10), None));
    assert!(configuration.routes.iter().all(|r| r.listeners.len() == 1 && r.listeners[0].tls));
    assert_eq!(configuration.routes[4].path_type, crate::snapshot::objects::PathType::ImplementationSpecific);
    assert_eq!(configuration.notes, []);
}

#[test]
fn servers_without_a_host_need_to_be_the_default() {
    let proxied = |name: &str| format!("server {{ listen 80; {name} location / {{ proxy_pass http://app:3000; }} }}");
    let behind = format!("{WELCOME}\n{}", proxied(""));
    let configuration = of(&behind);
    assert_eq!(configuration.routes, []);
    assert!(notes(&configuration)[0].contains("another one is the default"), "{:?}", configuration.notes);
    for name in ["", "server_name _;", "server_name \"\";", "server_name ~^(.+)\\.example$;"] {
        assert_eq!(routes(&of(&proxied(name))), ["any / -> http://app:3000"], "{name}");
    }
    let named = of(&proxied("server_name $hostname *.a.example www.b.*;"));
    assert_eq!(routes(&named), ["gw / -> http://app:3000", "*.a.example / -> http://app:3000"]);
    assert_eq!(named.notes.len(), 1);
}

#[test]
fn listens_are_read() {
    for (listen, expected) in [
        ("", "0.0.0.0:80"),
        ("listen 8080;", "0.0.0.0:8080"),
        ("listen *:8080 reuseport;", "0.0.0.0:8080"),
        ("listen 127.0.0.1:8443 ssl;", "127.0.0.1:8443 tls"),
        ("listen localhost:81;", "127.0.0.1:81"),
        ("listen 10.0.0.1;", "10.0.0.1:80"),
        ("listen [::]:443 ssl ipv6only=off;", "[::]:443 tls"),
        ("listen 8000-8002;", "0.0.0.0:8000 0.0.0.0:8001 0.0.0.0:8002"),
        ("listen 443 quic; listen 443 ssl;", "0.0.0.0:443 tls"),
        ("listen unix:/run/x.sock;", ""),
        ("listen 80 proxy_protocol;", ""),
        ("listen nonsense:;", ""),
    ] {
        let configuration = of(&format!("server {{ {listen} }}"));
        let text = |l: &Listener| format!("{}{}", std::net::SocketAddr::new(l.address, l.port), if l.tls { " tls" } else { "" });
        assert_eq!(configuration.listeners.iter().map(text).collect::<Vec<_>>().join(" "), expected, "{listen}");
    }
}

#[test]
fn variables_are_followed_where_one_text_is_set() {
    let set = "resolver 127.0.0.11; set $up app;";
    for (server, pass) in [
        (set, "http://$up:3000"),
        (set, "http://${up}:3000$request_uri"),
        (set, "http://$up:3000$uri$is_args$args"),
        ("resolver 127.0.0.11;", "$url"),
    ] {
        let upstream = upstream(server, &format!("set $url http://app:3000; proxy_pass {pass};"));
        assert_eq!(upstream.servers[0].to_string(), "app:3000", "{pass}");
        assert_eq!((upstream.lookup, upstream.path_prefix), (Lookup::WhileRunning, None), "{pass}");
    }
    for (server, location) in [
        ("", "proxy_pass http://$up:3000;"),
        ("", "proxy_pass http://app$suffix:3000;"),
        ("set $up app; if ($arg_x) { set $up other; }", "proxy_pass http://$up:3000;"),
        ("set_by_lua_block $up { return 'app' }", "proxy_pass http://$up:3000;"),
        ("set $up $up$up;", "proxy_pass http://$up:3000;"),
    ] {
        let configuration = of(&format!("server {{ {server} location / {{ {location} }} }}"));
        assert_eq!(configuration.routes, [], "{server} {location}");
        assert!(notes(&configuration)[0].contains("not set to one text"), "{:?}", configuration.notes);
    }
}

#[test]
fn a_variable_without_a_resolver_is_noted_and_an_upstream_block_needs_none() {
    let configuration = of("server { location / { set $up app; proxy_pass http://$up:3000; } }");
    assert!(notes(&configuration)[0].contains("no `resolver`"), "{:?}", configuration.notes);
    let grouped = of("upstream app { server a:1; } server { location / { set $up app; proxy_pass http://$up; } }");
    assert_eq!((routes(&grouped), grouped.notes), (vec!["any / -> http://a:1".to_owned()], vec![]));
}

#[test]
fn maps_are_followed_where_they_say_one_thing() {
    let mapped =
        |map: &str| of(&format!("map $http_x $up {{ {map} }} server {{ resolver 1.1.1.1; location / {{ proxy_pass http://$up; }} }}"));
    assert_eq!(routes(&mapped("default app:3000;")), ["any / -> http://app:3000"]);
    assert_eq!(routes(&mapped("default app:3000; blue other:3000;")), Vec::<String>::new());
    assert_eq!(routes(&mapped("blue other:3000;")), Vec::<String>::new());
}

#[test]
fn paths_are_replaced_as_nginx_does() {
    for (location, pass, expected) in [
        ("/api/", "proxy_pass http://a;", None),
        ("/api/", "proxy_pass http://a/;", Some("/")),
        ("/api", "proxy_pass http://a/v1;", Some("/v1")),
        ("= /api", "proxy_pass http://a/v1;", Some("/v1")),
        ("/api/", "rewrite ^/api/(.*)$ /$1 break; proxy_pass http://a;", Some("/")),
        ("/api/", "rewrite ^/api/?(.*) /v2/$1 break; proxy_pass http://a;", Some("/v2/")),
        ("/api/", "rewrite ^/api(.*)$ $1 break; proxy_pass http://a;", Some("/")),
        ("/api", "rewrite ^/api(.*)$ /x$1 break; proxy_pass http://a/ignored;", Some("/x")),
        ("/api/", "rewrite ^/api/v(\\d+)/(.*)$ /$2 break; proxy_pass http://a;", None),
        ("/api/", "proxy_pass http://a/in$request_uri;", Some("/in/api/")),
        ("/api/", "set $u a; proxy_pass http://$u/;", Some("/")),
        ("~ ^/api/(.*)", "proxy_pass http://a/$1;", None),
    ] {
        let configuration = of(&format!("server {{ location {location} {{ {pass} }} }}"));
        assert_eq!(configuration.routes.len(), 1, "{location} {pass}");
        assert_eq!(configuration.routes[0].upstream.path_prefix.as_deref(), expected, "{location} {pass}");
    }
}

#[test]
fn headers_and_tls_are_inherited_as_nginx_does() {
    let outer = "proxy_set_header Host $host; proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_name inner.example;";
    let inherited = upstream(outer, "proxy_pass https://app;");
    assert_eq!((inherited.host_header, inherited.verifies), (HostHeader::Client, true));
    assert_eq!(inherited.server_name.as_deref(), Some("inner.example"));
    // One header of its own, and none of the outer ones holds.
    assert_eq!(upstream(outer, "proxy_set_header X-A b; proxy_pass https://app;").host_header, HostHeader::Upstream);
    let fixed = upstream("set $h shop.example; proxy_ssl_server_name on;", "proxy_set_header Host $h; proxy_pass https://app:8443;");
    assert_eq!((fixed.host_header, fixed.server_name.as_deref()), (HostHeader::Fixed("shop.example".into()), Some("app")));
    assert_eq!(upstream("", "proxy_pass https://app;").server_name, None);
    assert_eq!(upstream("", "proxy_http_version 2; proxy_pass https://app;").scheme, Scheme::H2);
}

#[test]
fn grpc_is_http2_and_other_protocols_are_noted() {
    assert_eq!(upstream("", "grpc_pass app:50051;").scheme, Scheme::H2c);
    let tls = upstream("", "grpc_pass grpcs://app; grpc_ssl_verify on; grpc_read_timeout 1m; grpc_set_header Host a;");
    assert_eq!((tls.scheme, tls.servers[0].port, tls.verifies), (Scheme::H2, 443, true));
    assert_eq!((tls.read_timeout, tls.host_header), (Some(std::time::Duration::from_secs(60)), HostHeader::Fixed("a".into())));
    let others = of(
        "server { location / { fastcgi_pass php:9000; } location /u { uwsgi_pass u; } location /s { proxy_pass http://unix:/s.sock; } }",
    );
    assert_eq!((others.routes.len(), others.notes.len()), (0, 3));
}

#[test]
fn named_locations_are_followed_from_where_files_are_missed() {
    let named = "location @app { proxy_pass http://app:3000; }";
    for (text, expected) in [
        (format!("location / {{ try_files $uri $uri/ @app; }} {named}"), vec!["any / -> http://app:3000"]),
        (format!("root /public; try_files $uri @app; {named}"), vec!["any / -> http://app:3000"]),
        (format!("location /s/ {{ root /x; error_page 404 = @app; }} {named}"), vec!["any /s/ -> http://app:3000"]),
        (format!("error_page 502 503 @app; {named}"), vec![]),
        (format!("location / {{ proxy_pass http://main; error_page 404 = @app; }} {named}"), vec!["any / -> http://main:80"]),
        ("location / { try_files $uri @gone; }".into(), vec![]),
    ] {
        assert_eq!(routes(&of(&format!("server {{ {text} }}"))), expected, "{text}");
    }
}

#[test]
fn what_nginx_answers_itself_is_no_route() {
    for text in [
        "return 301 https://$host$request_uri; location / { proxy_pass http://app; }",
        "rewrite ^(.*)$ https://$host$1 permanent; location / { proxy_pass http://app; }",
        "location / { return 403; proxy_pass http://app; }",
        "location / { root /x; }",
    ] {
        let configuration = of(&format!("server {{ {text} }}"));
        assert_eq!((configuration.routes, configuration.notes), (vec![], vec![]), "{text}");
    }
    for text in ["location = /auth { internal; proxy_pass http://auth; }", "location / { if ($x) { proxy_pass http://app; } }"] {
        let configuration = of(&format!("server {{ {text} }}"));
        assert_eq!((configuration.routes.len(), configuration.notes.len()), (0, 1), "{text}");
    }
}

#[test]
fn upstreams_that_are_looked_up_again_are_told_apart() {
    let lookup = |servers: &str| {
        let configuration = of(&format!("upstream u {{ zone u 64k; {servers} }} server {{ location / {{ proxy_pass http://u; }} }}"));
        (configuration.routes[0].upstream.lookup, configuration.routes[0].upstream.servers.len(), configuration.notes.len())
    };
    assert_eq!(lookup("server a resolve; server b resolve;"), (Lookup::WhileRunning, 2, 0));
    assert_eq!(lookup("server a resolve; server b;"), (Lookup::AtStart, 2, 0));
    assert_eq!(lookup("server unix:/x; server a;"), (Lookup::AtStart, 1, 1));
}

#[test]
fn the_main_file_is_where_the_command_says() {
    let container = |command: &[&str]| Container { command: command.iter().map(|c| (*c).to_owned()).collect(), ..Container::default() };
    let text = "http { include more/*.conf; }";
    let given = files(&[("/srv/gw.conf", text), ("/srv/more/1.conf", "server { location / { proxy_pass http://a; } }")]);
    let count = |command: &[&str]| read(&given, &container(command), &[]).known().map(|c| c.routes.len());
    assert_eq!(count(&["nginx", "-c", "/srv/gw.conf"]), Some(1));
    assert_eq!(count(&["nginx", "-p", "/srv", "-c", "gw.conf"]), Some(1));
    assert_eq!(read(&given, &container(&["nginx", "-c", "/no"]), &[]), Fact::Failed("nginx' file /no was not found".into()));
    assert_eq!(read(&given, &container(&["nginx"]), &[]), Fact::Failed("nginx' file nginx.conf was not found".into()));
    assert_eq!(read(&Files::new(), &container(&["nginx"]), &[]), Fact::Absent);
}

#[test]
fn what_cannot_be_read_is_said() {
    let read_main = |text: &str| read(&files(&[("/etc/nginx/nginx.conf", text)]), &Container::default(), &[]);
    let why = "nginx' configuration could not be read: /etc/nginx/nginx.conf:1: an unexpected closing brace";
    assert_eq!(read_main("} http { }"), Fact::Failed(why.into()));
    let stream = read_main("stream { server { listen 53; proxy_pass dns:53; } }");
    assert_eq!(stream.known().map(|c| (c.routes.len(), c.notes.len())), Some((0, 2)));
    let unclosed = read_main("http { server { location / { proxy_pass http://a; } }");
    assert_eq!(unclosed.known().map(|c| (c.routes.len(), c.notes.len())), Some((1, 1)));
}

#[test]
fn hostile_files_are_survived() {
    let long = format!("http {{ server {{ server_name {}; }} }}", "x".repeat(1 << 20));
    let many = format!("http {{ server {{ {} }} }}", "location / { proxy_pass http://a; } ".repeat(20_000));
    for text in [
        "{".repeat(100_000),
        "a {".repeat(100_000),
        format!("http {{ server {{ {} }} }}", "location / {".repeat(10_000)),
        "}".repeat(1000),
        "\0\0\0".into(),
        "http { server { location / { proxy_pass http://\0; } } }".into(),
        "http { server { location / { proxy_pass http://é$ü; } } }".into(),
        format!("http {{ server {{ set $a $a$a$a; location / {{ proxy_pass {}; }} }} }}", "$a".repeat(100_000)),
        "http { include *; }".into(),
        "http { server { listen 1-65535; listen 99999; } }".into(),
        long,
        many,
    ] {
        let configuration = read(&files(&[("/etc/nginx/nginx.conf", &text)]), &Container::default(), &[]);
        if let Fact::Known(configuration) = configuration {
            assert!(configuration.routes.len() <= ROUTES && configuration.notes.len() <= 200);
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = read(&files(&[("/etc/nginx/nginx.conf", &text)]), &Container::default(), &[]);
    }

    #[test]
    fn no_mixture_of_its_words_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let text = format!("http {{ server {{ {} }} }}", words.join(" "));
        let _ = read(&files(&[("/etc/nginx/nginx.conf", &text)]), &Container::default(), &[]);
    }
}

const WORDS: &[&str] = &[
    "{",
    "}",
    ";",
    "location",
    "/",
    "~",
    "=",
    "@a",
    "proxy_pass",
    "http://$u/$1",
    "https://app:1",
    "set",
    "$u",
    "${",
    "$",
    "app",
    "rewrite",
    "^/(.*)$",
    "break",
    "try_files",
    "error_page",
    "404",
    "include",
    "*",
    "listen",
    "[",
    "]",
    "80",
    "ssl",
    "server_name",
    "~x",
    "*.",
    ".",
    "upstream",
    "server",
    "\"",
    "'",
    "\\",
    "#",
    "\n",
    "proxy_set_header",
    "Host",
    "grpc_pass",
    "map",
    "if",
    "return",
    "é",
    "x_by_lua_block",
];
