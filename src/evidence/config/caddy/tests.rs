use proptest::prelude::*;

use super::*;
use crate::evidence::config::{HostHeader, Note};
use crate::probe::Scheme;

fn caddy(command: &[&str]) -> Container {
    let command = command.iter().map(|c| (*c).to_owned()).collect();
    Container { name: "gateway".into(), image: "caddy:2.8".into(), command, ..Container::default() }
}

fn run() -> Container {
    caddy(&["caddy", "run", "--config", CADDYFILE, "--adapter", "caddyfile"])
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn told(files: &Files, container: &Container) -> Configuration {
    match read(files, container, &[]) {
        Fact::Known(configuration) => configuration,
        other => panic!("{other:?}"),
    }
}

fn of(text: &str) -> Configuration {
    told(&files(&[(CADDYFILE, text)]), &run())
}

/// `HOST PATH -> SCHEME SERVERS at LISTENERS` of every route, then the notes.
fn summary(configuration: &Configuration) -> Vec<String> {
    let route = |r: &super::super::ConfiguredRoute| {
        let servers: Vec<String> = r.upstream.servers.iter().map(ToString::to_string).collect();
        let listeners: Vec<String> = r.listeners.iter().map(|l| format!("{}{}", l.port, if l.tls { " tls" } else { "" })).collect();
        let host = r.host.as_deref().unwrap_or("any");
        format!("{host} {} -> {} {} at {}", r.path, r.upstream.scheme, servers.join(", "), listeners.join(", "))
    };
    let note = |n: &Note| format!("{}: {}", n.place, n.text);
    configuration.routes.iter().map(route).chain(configuration.notes.iter().map(note)).collect()
}

fn ports(configuration: &Configuration) -> Vec<(u16, bool)> {
    configuration.listeners.iter().map(|l| (l.port, l.tls)).collect()
}

#[test]
fn a_site_of_one_line_needs_no_braces() {
    let configuration = of("shop.example\n\nreverse_proxy app:3000\n");
    assert_eq!(summary(&configuration), ["shop.example / -> http app:3000 at 443 tls"]);
    assert_eq!(ports(&configuration), [(80, false), (443, true)]);
    assert_eq!(configuration.routes[0].place.line, 3);
    assert_eq!(configuration.routes[0].upstream.lookup, crate::evidence::config::Lookup::WhileRunning);
}

#[test]
fn addresses_say_port_and_tls() {
    for (address, expected) in [
        (":80", "any / -> http app:80 at 80"),
        (":8080", "any / -> http app:80 at 8080"),
        (":443", "any / -> http app:80 at 443 tls"),
        ("http://shop.example", "shop.example / -> http app:80 at 80"),
        ("http://shop.example:8080", "shop.example / -> http app:80 at 8080"),
        ("Shop.example:8443", "shop.example / -> http app:80 at 8443 tls"),
        ("http://", "any / -> http app:80 at 80"),
        ("*.shop.example", "*.shop.example / -> http app:80 at 443 tls"),
        ("shop.example/api/*", "shop.example /api/ -> http app:80 at 443 tls"),
    ] {
        assert_eq!(summary(&of(&format!("{address} {{\n reverse_proxy app\n}}"))), [expected]);
    }
    let configuration = of("a.example, http://b.example,\nc.example:8443 {\n reverse_proxy app\n}");
    assert_eq!(configuration.routes.len(), 3);
    assert_eq!(ports(&configuration), [(80, false), (443, true), (8443, true)]);
}

#[test]
fn global_options_change_ports_and_tls() {
    let configuration = of(
        "{\n auto_https off\n http_port 8080\n default_bind 127.0.0.1\n}\n:443 {\n reverse_proxy app\n}\nhttp://x {\n reverse_proxy y\n}",
    );
    assert_eq!(ports(&configuration), [(443, false), (8080, false)]);
    assert!(configuration.listeners[0].address.is_loopback());
}

#[test]
fn blocks_and_matchers_make_routes() {
    let configuration = of("
        shop.example {
            @admin {
                path /admin/* /manage
                method GET POST
            }
            @socket header Connection *Upgrade*
            handle_path /api/* {
                reverse_proxy api:8000 api:8001
            }
            handle @admin {
                reverse_proxy admin:9000
            }
            handle @socket {
                reverse_proxy socket:1
            }
            handle {
                reverse_proxy /static/* files
                reverse_proxy web:3000
            }
        }");
    assert_eq!(
        summary(&configuration),
        [
            "shop.example /api/ -> http api:8000, api:8001 at 443 tls",
            "shop.example /admin/ -> http admin:9000 at 443 tls",
            "shop.example /manage -> http admin:9000 at 443 tls",
            "shop.example /static/ -> http files:80 at 443 tls",
            "shop.example / -> http web:3000 at 443 tls",
            "/etc/caddy/Caddyfile:15: what asks for header Connection *Upgrade* is left out",
        ]
    );
    assert_eq!(configuration.routes[0].upstream.path_prefix.as_deref(), Some("/"));
    assert_eq!(configuration.routes[1].upstream.path_prefix, None);
}

#[test]
fn paths_are_stripped_and_rewritten() {
    let configuration = of("
        :80 {
            route /old/* {
                uri strip_prefix /old
                rewrite * /new{uri}
                reverse_proxy /v1/* app
            }
            handle_path /x* {
                reverse_proxy app {
                    rewrite /y{uri}
                }
            }
            rewrite /a /b
        }");
    assert_eq!(summary(&configuration)[..2], ["any /old/v1/ -> http app:80 at 80", "any /x -> http app:80 at 80"]);
    assert_eq!(configuration.routes[0].upstream.path_prefix.as_deref(), Some("/new/v1/"));
    assert_eq!(configuration.routes[1].upstream.path_prefix.as_deref(), Some("/y"));
    assert_eq!(configuration.notes[0].place.line, 13);
}

#[test]
fn what_answers_everything_leaves_nothing() {
    let configuration = of(
        ":80 {\n redir https://x\n reverse_proxy app\n}\n:81 {\n respond 200\n reverse_proxy app\n}\n:82 {\n respond /up 200\n reverse_proxy app\n}",
    );
    // `respond 200` has no matcher: `200` is its first argument.
    assert_eq!(summary(&configuration), ["any / -> http app:80 at 82"]);
}

#[test]
fn snippets_files_and_environment_are_filled_in() {
    let main = "
        (proxy) {
            reverse_proxy {args[0]}:{$PORT:3000} {
                {block}
            }
        }
        import sites/*.caddy
        import missing.caddy
        {$SITE} {
            reverse_proxy app
        }";
    let site = "shop.example {\n import proxy app {\n  header_up Host fixed.example\n }\n}";
    let mut container = run();
    container.environment = vec![("PORT".into(), "4000".into())];
    let configuration = told(&files(&[(CADDYFILE, main), ("/etc/caddy/sites/shop.caddy", site)]), &container);
    assert_eq!(
        summary(&configuration),
        [
            "shop.example / -> http app:4000 at 443 tls",
            "/etc/caddy/Caddyfile:9: the value of SITE in the environment is not known",
            "/etc/caddy/Caddyfile:8: missing.caddy could not be read",
            "/etc/caddy/Caddyfile:9: the address {$SITE} is not understood",
        ]
    );
    assert_eq!(configuration.routes[0].upstream.host_header, HostHeader::Fixed("fixed.example".into()));
    container.environment.clear();
    let configuration = told(&files(&[(CADDYFILE, ":80\nreverse_proxy {$APP:app:3000}")]), &container);
    assert_eq!(
        summary(&configuration),
        ["any / -> http app:3000 at 80", "/etc/caddy/Caddyfile:2: the value of APP in the environment is not known, its default is taken",]
    );
}

#[test]
fn named_routes_are_invoked() {
    let configuration = of("&(app) {\n reverse_proxy app\n}\n:80 {\n invoke app\n invoke lost\n}");
    assert_eq!(summary(&configuration), ["any / -> http app:80 at 80", "/etc/caddy/Caddyfile:6: the route lost is not defined"]);
}

#[test]
fn transports_say_how_servers_are_spoken_to() {
    let configuration = of("
        :80 {
            reverse_proxy {
                to https://app https://other:8443
                transport http {
                    tls_insecure_skip_verify
                    tls_server_name app.internal
                    response_header_timeout 2s
                }
            }
        }
        :81 {
            reverse_proxy h2c://grpc:50051
        }
        :82 {
            reverse_proxy grpc:50051 {
                transport http {
                    versions h2c 2
                }
                header_up Host {upstream_hostport}
            }
        }
        :83 {
            reverse_proxy php:9000 {
                transport fastcgi
            }
        }");
    let upstream = &configuration.routes[0].upstream;
    assert_eq!(summary(&configuration)[0], "any / -> https app:443, other:8443 at 80");
    assert_eq!((upstream.verifies, upstream.server_name.as_deref()), (false, Some("app.internal")));
    assert_eq!(upstream.read_timeout, Some(std::time::Duration::from_secs(2)));
    assert_eq!(upstream.host_header, HostHeader::Client);
    assert_eq!([configuration.routes[1].upstream.scheme, configuration.routes[2].upstream.scheme], [Scheme::H2c, Scheme::H2c]);
    assert_eq!(configuration.routes[2].upstream.host_header, HostHeader::Fixed("grpc:50051".into()));
    assert!(configuration.notes[0].text.contains("fastcgi"));
}

#[test]
fn the_host_header_of_https_depends_on_the_version() {
    let https = files(&[(CADDYFILE, ":80\nreverse_proxy https://app")]);
    let with = |image: &str| told(&https, &Container { image: image.into(), ..run() });
    assert_eq!(with("caddy:2.11.1-alpine").routes[0].upstream.host_header, HostHeader::Fixed("app:443".into()));
    assert_eq!(with("caddy:2.9@sha256:00").notes, []);
    assert_eq!(with("caddy:2").notes.len(), 1);
    assert_eq!(with("localhost:5000/caddy").notes.len(), 1);
}

#[test]
fn servers_are_read_in_all_their_forms() {
    for (text, expected) in [
        ("app", "app:80"),
        (":3000", "localhost:3000"),
        ("app:8080-8082", "app:8080, app:8081, app:8082"),
        ("[::1]:80", "[::1]:80"),
        ("tcp/app:5", "app:5"),
    ] {
        assert_eq!(summary(&of(&format!(":80\nreverse_proxy {text}"))), [format!("any / -> http {expected} at 80")]);
    }
    for text in ["unix//run/app.sock", "{http.vars.x}", "app:99999", "ftp://app", "app:9-1"] {
        let configuration = of(&format!(":80\nreverse_proxy {text}"));
        assert_eq!((configuration.routes[0].upstream.servers.len(), configuration.notes.len()), (0, 1), "{text}");
    }
}

#[test]
fn imports_that_never_end_are_stopped() {
    let configuration =
        of("(a) {\n import a\n import a\n}\n(b) {\n x y\n import b\n import b\n}\n:80 {\n import a\n import b\n reverse_proxy app\n}");
    assert!(configuration.notes.iter().any(|n| n.text.contains("too much is imported")));
    assert_eq!(configuration.routes.len(), 1);
}

#[test]
fn json_gives_the_same() {
    let json = r#"{"apps": {"http": {"servers": {"srv0": {
        "listen": [":443"],
        "routes": [{
            "match": [{"host": ["shop.example"]}],
            "handle": [{"handler": "subroute", "routes": [
                {"match": [{"path": ["/api/*"]}], "handle": [
                    {"handler": "rewrite", "strip_path_prefix": "/api"},
                    {"handler": "reverse_proxy", "upstreams": [{"dial": "api:8000"}]}]},
                {"handle": [{"handler": "reverse_proxy",
                    "transport": {"protocol": "http", "tls": {"insecure_skip_verify": true}, "response_header_timeout": 3000000000},
                    "headers": {"request": {"set": {"Host": ["app.internal"]}}},
                    "upstreams": [{"dial": "app:8443"}]}]}
            ]}],
            "terminal": true
        }]
    }}}}}"#;
    let configuration = told(&files(&[("/c.json", json)]), &caddy(&["caddy", "run", "--config=/c.json"]));
    assert_eq!(summary(&configuration), ["shop.example /api/ -> http api:8000 at 443 tls", "shop.example / -> https app:8443 at 443 tls",]);
    assert_eq!(ports(&configuration), [(80, false), (443, true)]);
    assert_eq!(configuration.routes[0].upstream.path_prefix.as_deref(), Some("/"));
    let upstream = &configuration.routes[1].upstream;
    assert_eq!(upstream.host_header, HostHeader::Fixed("app.internal".into()));
    assert_eq!(upstream.read_timeout, Some(std::time::Duration::from_secs(3)));
    assert_eq!(configuration.routes[1].place.line, 9);
}

#[test]
fn the_command_is_a_configuration() {
    let container = caddy(&["caddy", "reverse-proxy", "--from", ":8080", "--to", "app:3000", "--to=app:3001", "--change-host-header"]);
    let configuration = told(&Files::new(), &container);
    assert_eq!(summary(&configuration), ["any / -> http app:3000, app:3001 at 8080"]);
    assert_eq!(configuration.routes[0].upstream.host_header, HostHeader::Fixed("app:3000".into()));
}

#[test]
fn what_cannot_be_read_is_said() {
    let failed = |files: &Files, command: &[&str]| read(files, &caddy(command), &[]).why_unknown().map(str::to_owned);
    assert_eq!(failed(&Files::new(), &["caddy", "run"]).as_deref(), Some("its configuration file /etc/caddy/Caddyfile could not be read"));
    let other = files(&[("/x.yaml", "")]);
    assert!(failed(&other, &["caddy", "run", "--config", "/x.yaml", "--adapter", "yaml"]).is_some_and(|w| w.contains("the adapter yaml")));
    let broken = files(&[("/x.json", "{")]);
    assert!(failed(&broken, &["caddy", "run", "--config", "/x.json"]).is_some());
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s)(import|reverse_proxy|handle|@a|path|/a\\*|:80|app|\\{|\\}|\\(a\\)|\\{\\$A:b\\}|<<E|\"|`|\\\\|#|,| |\n|\\{args\\[0\\]\\}|.){0,80}") {
        drop(of(&text));
        drop(told(&files(&[(CADDYFILE, &text), ("/etc/caddy/a", &text)]), &run()));
        let json = format!("{{\"apps\": {{\"http\": {{\"servers\": {{\"a\": {text}}}}}}}}}");
        drop(read(&files(&[("/c.json", &json)]), &caddy(&["caddy", "run", "--config", "/c.json"]), &[]));
    }
}
