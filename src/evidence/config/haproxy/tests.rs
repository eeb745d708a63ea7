//! HAProxy's configurations as people write them, and such as nobody should.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::evidence::config::{Lookup, Upstream};
use crate::probe::Scheme;

const FILE: &str = "/usr/local/etc/haproxy/haproxy.cfg";
const DEFAULTS: &str =
    "global\n  log stdout format raw local0\n\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 50s\n  timeout server 30000\n";

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn known(files: &Files) -> Configuration {
    match read(files, &Container::default(), &[]) {
        Fact::Known(configuration) => configuration,
        other => panic!("{other:?}"),
    }
}

fn of(text: &str) -> Configuration {
    known(&files(&[(FILE, &format!("{DEFAULTS}{text}"))]))
}

fn routes(configuration: &Configuration) -> Vec<String> {
    let route = |r: &ConfiguredRoute| {
        let servers: Vec<String> = r.upstream.servers.iter().map(ToString::to_string).collect();
        let ports: Vec<String> = r.listeners.iter().map(|l| l.port.to_string()).collect();
        format!("{} {}{} -> {}", ports.join("+"), r.host.as_deref().unwrap_or("any"), r.path, servers.join(","))
    };
    configuration.routes.iter().map(route).collect()
}

/// The upstream of the only route to a backend with these lines.
fn upstream(lines: &str) -> Upstream {
    let configuration = of(&format!("frontend f\n bind :80\n default_backend b\nbackend b\n{lines}\n"));
    assert_eq!(configuration.routes.len(), 1, "{:?}", configuration.notes);
    configuration.routes[0].upstream.clone()
}

#[test]
fn a_gateway_with_hosts_and_paths_is_read() {
    let configuration = of(
        "frontend www\n  bind *:80\n  bind :::443 v4v6 ssl crt /certs/\n  http-request redirect scheme https unless { ssl_fc }\n\
         \x20 acl host_shop hdr(host) -i shop.example www.shop.example\n  acl is_api path_beg /api\n\
         \x20 use_backend api if host_shop is_api\n  use_backend shop if host_shop\n  use_backend blue if { src 10.0.0.0/8 }\n  default_backend rest\n\
         backend api\n  server a1 api:3000 check resolvers docker init-addr libc,none\n\
         backend shop\n  balance roundrobin\n  server s1 shop1:8080 check\n  server s2 shop2:8080 check backup\n  server s3 shop3:8080 disabled\n\
         backend rest\n  server r 10.0.0.7:81\nbackend blue\n  server b b:1\n",
    );
    assert_eq!(
        routes(&configuration),
        [
            "443 shop.example/api -> api:3000",
            "443 www.shop.example/api -> api:3000",
            "443 shop.example/ -> shop1:8080,shop2:8080",
            "443 www.shop.example/ -> shop1:8080,shop2:8080",
            "443 any/ -> 10.0.0.7:81",
        ]
    );
    let first = &configuration.routes[0];
    assert_eq!(first.place.to_string(), format!("{FILE}:15"));
    assert_eq!((first.upstream.name.as_deref(), first.upstream.lookup), (Some("api"), Lookup::WhileRunning));
    assert_eq!(first.upstream.read_timeout, Some(Duration::from_secs(30)));
    assert_eq!(configuration.routes[2].upstream.lookup, Lookup::AtStart);
    assert!(configuration.routes[2].upstream.servers[1].backup);
    let listeners: Vec<String> = configuration.listeners.iter().map(|l| format!("{} {} {}", l.address, l.port, l.tls)).collect();
    assert_eq!(listeners, ["0.0.0.0 80 false", ":: 443 true"]);
    let notes: Vec<String> = configuration.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, [format!("{FILE}:17: the condition `if {{ src 10.0.0.0/8 }}` is not understood; its requests are not followed")]);
}

#[test]
fn a_listen_section_is_both() {
    let configuration =
        of("listen web\n  bind :8080,127.0.0.1:9090\n  server a app:3000\nlisten stats\n  bind :8404\n  stats enable\n  stats uri /\n");
    assert_eq!(routes(&configuration), ["8080+9090 any/ -> app:3000"]);
    assert_eq!((configuration.listeners.len(), configuration.notes.len()), (3, 0));
}

#[test]
fn tcp_is_noted_and_is_the_default() {
    let text = "frontend f\n bind :80\n default_backend b\nbackend b\n server a a:1\n";
    let configuration = known(&files(&[(FILE, text)]));
    assert_eq!((configuration.routes.len(), configuration.notes.len()), (0, 1));
    assert_eq!(of(&text.replace("bind :80", "bind :80\n mode tcp")).routes.len(), 0);
}

#[test]
fn servers_are_read_with_their_parameters() {
    for (server, scheme, verifies, name, lookup) in [
        ("server a app:3000 check", Scheme::Http, false, None, Lookup::AtStart),
        ("server a app:443 ssl verify none", Scheme::Https, false, None, Lookup::AtStart),
        ("server a app:443 ssl ca-file /ca sni str(inner.example) alpn h2", Scheme::H2, true, Some("inner.example"), Lookup::AtStart),
        ("server a app:443 ssl sni req.hdr(host) alpn http/1.1", Scheme::Https, true, None, Lookup::AtStart),
        ("server a app:443 proto h2 resolvers d", Scheme::H2c, false, None, Lookup::WhileRunning),
        ("default-server resolvers d ssl verify none\n server a app:443", Scheme::Https, false, None, Lookup::WhileRunning),
        ("server-template a 1-3 app:443 resolvers d", Scheme::Http, false, None, Lookup::WhileRunning),
        ("server a ipv4@app:443 no-ssl", Scheme::Http, false, None, Lookup::AtStart),
    ] {
        let upstream = upstream(server);
        assert_eq!((upstream.scheme, upstream.verifies), (scheme, verifies), "{server}");
        assert_eq!((upstream.server_name.as_deref(), upstream.lookup), (name, lookup), "{server}");
        assert_eq!(upstream.servers.len(), 1, "{server}");
    }
    assert_eq!(upstream("server a app").servers[0].to_string(), "app:80");
    assert_eq!(upstream("server a ::1:81").servers[0].to_string(), "[::1]:81");
    for (server, notes) in [("server a unix@/x", 2), ("server a /x", 2), ("server a app:0", 2), ("server a app:1 weight 0", 1), ("", 1)] {
        let configuration = of(&format!("frontend f\n bind :80\n default_backend b\nbackend b\n {server}\n"));
        assert_eq!((configuration.routes.len(), configuration.notes.len()), (0, notes), "{server}");
    }
}

#[test]
fn headers_and_paths_are_followed() {
    let with = |rule: &str| upstream(&format!(" {rule}\n server a app:1"));
    assert_eq!(with("").host_header, HostHeader::Client);
    assert_eq!(with("http-request set-header Host inner.example").host_header, HostHeader::Fixed("inner.example".into()));
    assert_eq!(with("http-request set-header Host %[req.hdr(host)]").host_header, HostHeader::Client);
    assert_eq!(with("http-request set-header X-Host a").host_header, HostHeader::Client);
    let prefix = |rule: &str| {
        let text =
            format!("frontend f\n bind :80\n use_backend b if {{ path_beg /api/ }}\nbackend b\n http-request {rule}\n server a a:1\n");
        let configuration = of(&text);
        (configuration.routes[0].upstream.path_prefix.clone(), configuration.notes.len())
    };
    for (rule, expected, notes) in [
        ("set-path /v1%[path]", Some("/v1/api/"), 0),
        ("set-path %[path,regsub(^/api/,/)]", Some("/"), 0),
        ("replace-path ^/api/(.*)$ /\\\\1", Some("/"), 0),
        ("replace-path /api(/)?(.*) /\\\\2", Some("/"), 0),
        ("replace-path ^/api/?(.*) /x/\\\\1 if { path /api }", None, 1),
        ("replace-path ^/v[0-9]+/(.*) /\\\\1", None, 1),
        ("set-uri %[path]", None, 1),
    ] {
        assert_eq!(prefix(rule), (expected.map(str::to_owned), notes), "{rule}");
    }
}

#[test]
fn maps_of_hosts_are_followed() {
    let text = format!(
        "{DEFAULTS}frontend f\n bind :80\n use_backend %[req.hdr(host),lower,map(/usr/local/etc/haproxy/hosts.map,other)]\nbackend a\n server a a:1\nbackend other\n server o o:1\n"
    );
    let map = "# hosts\nA.example a\nb.example gone\n";
    let configuration = known(&files(&[(FILE, &text), ("/usr/local/etc/haproxy/hosts.map", map)]));
    assert_eq!(routes(&configuration), ["80 a.example/ -> a:1", "80 any/ -> o:1"]);
    assert_eq!(configuration.notes.len(), 1);
    let without = known(&files(&[(FILE, &text)]));
    assert_eq!((without.routes.len(), without.notes.len()), (0, 1));
}

#[test]
fn what_is_answered_by_itself_is_no_route() {
    for rule in ["http-request return status 200", "http-request redirect location /x", "redirect scheme https", "http-request deny"] {
        let configuration = of(&format!("frontend f\n bind :80\n {rule}\n default_backend b\nbackend b\n server a a:1\n"));
        assert_eq!((configuration.routes.len(), configuration.notes.len()), (0, 0), "{rule}");
        let behind = of(&format!("frontend f\n bind :80\n default_backend b\nbackend b\n {rule}\n server a a:1\n"));
        assert_eq!((behind.routes.len(), behind.notes.len()), (0, 0), "{rule}");
    }
}

#[test]
fn several_files_and_folders_are_read_in_order() {
    let container = |command: &[&str]| Container { command: command.iter().map(|c| (*c).to_owned()).collect(), ..Container::default() };
    let given = files(&[
        ("/cfg/1.cfg", DEFAULTS),
        ("/cfg/2.cfg", "frontend f\n bind :\"${PORT}\"\n default_backend b"),
        ("/cfg/not.txt", "nonsense"),
        ("/more.cfg", "backend b\n server a a:1"),
    ]);
    let mut with_port = container(&["haproxy", "-W", "-db", "-f", "/cfg", "-f", "/more.cfg"]);
    with_port.environment = vec![("PORT".into(), "8080".into())];
    let Fact::Known(configuration) = read(&given, &with_port, &[]) else { panic!("it is known") };
    assert_eq!(routes(&configuration), ["8080 any/ -> a:1"]);
    let missing = read(&given, &container(&["haproxy", "-f", "/no"]), &[]);
    assert_eq!(missing, Fact::Failed("HAProxy's file /no was not found".into()));
    assert_eq!(read(&Files::new(), &container(&["haproxy"]), &[]), Fact::Absent);
    assert_eq!(read(&files(&[(FILE, "\0")]), &container(&[]), &[]), Fact::Failed(format!("HAProxy's file {FILE} has no sections")));
}

#[test]
fn hostile_files_are_survived() {
    let many_claims =
        format!("frontend f\n bind :80\n acl a hdr(host) {}\n use_backend b if a a a a a\nbackend b\n server a a:1", "x ".repeat(5000));
    let many_rules = format!("frontend f\n bind :80\n{}backend b\n server a a:1", " use_backend b if { hdr(host) x }\n".repeat(20_000));
    for text in [
        "x".repeat(1 << 20),
        format!("frontend f\n use_backend b if {}", "{ ".repeat(50_000)),
        format!("frontend f\n use_backend b if {}", "!".repeat(50_000)),
        "defaults a from a\nfrontend f from a".into(),
        "acl\nfrontend\nacl\nuse_backend\nserver\nbind\ndefault-server\nhttp-request".into(),
        "frontend f\n bind :1-65535\n bind :99999\n bind é:1".into(),
        "listen é\n server é é:1 sni str( alpn".into(),
        many_claims,
        many_rules,
    ] {
        let text = format!("{DEFAULTS}{text}");
        if let Fact::Known(configuration) = read(&files(&[(FILE, &text)]), &Container::default(), &[]) {
            assert!(configuration.routes.len() <= ROUTES && configuration.notes.len() <= 200);
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = read(&files(&[(FILE, &format!("listen a\n{text}"))]), &Container::default(), &[]);
    }

    #[test]
    fn no_mixture_of_its_words_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let _ = read(&files(&[(FILE, &format!("{DEFAULTS}{}", words.join(" ")))]), &Container::default(), &[]);
    }
}

const WORDS: &[&str] = &[
    "\n",
    "\n",
    "\nfrontend",
    "\nbackend",
    "\nlisten",
    "a",
    "b",
    "\nuse_backend",
    "\ndefault_backend",
    "\nacl",
    "\nbind",
    ":80",
    ":",
    "\nserver",
    "app:1",
    "ssl",
    "if",
    "unless",
    "{",
    "}",
    "!",
    "or",
    "hdr(host)",
    "hdr_end(host)",
    "-i",
    "-m",
    "--",
    "path_beg",
    "/x",
    "x.y",
    "%[",
    "%[hdr(host),map(/x,a)]",
    "\"",
    "'",
    "\\",
    "#",
    "${",
    "$",
    "é",
    "ssl_fc",
    "\nhttp-request",
    "set-path",
    "replace-path",
    "^/x(.*)",
    "from",
    "\ndefaults",
    "sni",
    "str(",
    "\nserver-template",
];

#[test]
fn a_buffer_bounds_the_head_of_a_response() {
    let head = |global: &str| {
        let text = format!(
            "global\n{global}\ndefaults\n  mode http\nfrontend f\n  bind :80\n  default_backend b\nbackend b\n  server a app:3000\n"
        );
        known(&files(&[(FILE, &text)])).routes[0].upstream.largest_head
    };
    assert_eq!(head("  log stdout format raw local0"), None);
    assert_eq!(head("  tune.bufsize 32768"), Some(31744));
    assert_eq!(head("  tune.bufsize 32k\n  tune.maxrewrite 8192"), Some(24 << 10));
}
