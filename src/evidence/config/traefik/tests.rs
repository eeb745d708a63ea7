use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::evidence::config::HostHeader;
use crate::probe::Scheme;
use crate::snapshot::objects::PathType;
use crate::snapshot::objects::docker::{Attachment, Health, NetworkMode, State, Status};

fn traefik(arguments: &[&str]) -> Container {
    let command = std::iter::once("traefik").chain(arguments.iter().copied());
    Container {
        command: command.map(str::to_owned).collect(),
        image: "traefik:v3".into(),
        exposed: vec![80],
        ..container("gateway", "172.18.0.2", &[])
    }
}

fn container(name: &str, address: &str, labels: &[(&str, &str)]) -> Container {
    Container {
        id: format!("{name:0<64}").as_str().into(),
        name: name.into(),
        labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        network_mode: NetworkMode::Network("web".into()),
        attachments: vec![attachment("web", address)],
        exposed: vec![3000],
        ..Container::default()
    }
}

fn attachment(network: &str, address: &str) -> Attachment {
    Attachment { network: network.into(), address: address.parse().ok(), ..Attachment::default() }
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn told(files: &Files, gateway: &Container, others: Vec<Container>) -> Configuration {
    let mut all = vec![Arc::new(gateway.clone())];
    all.extend(others.into_iter().map(Arc::new));
    match read(files, gateway, &all) {
        Fact::Known(configuration) => configuration,
        other => panic!("{other:?}"),
    }
}

fn by_labels(arguments: &[&str], others: Vec<Container>) -> Configuration {
    let arguments: Vec<&str> =
        ["--providers.docker", "--providers.docker.exposedbydefault=false"].iter().chain(arguments).copied().collect();
    told(&Files::new(), &traefik(&arguments), others)
}

/// `HOST PATH -> SCHEME SERVERS at LISTENERS` of every route, then the notes.
fn summary(configuration: &Configuration) -> Vec<String> {
    let route = |r: &super::super::ConfiguredRoute| {
        let servers: Vec<String> = r.upstream.servers.iter().map(|s| format!("{s}{}", if s.backup { " backup" } else { "" })).collect();
        let listeners: Vec<String> = r.listeners.iter().map(|l| format!("{}{}", l.port, if l.tls { " tls" } else { "" })).collect();
        let host = r.host.as_deref().unwrap_or("any");
        format!("{host} {} -> {} {} at {}", r.path, r.upstream.scheme, servers.join(", "), listeners.join(", "))
    };
    let note = |n: &Note| format!("{}: {}", n.place, n.text);
    configuration.routes.iter().map(route).chain(configuration.notes.iter().map(note)).collect()
}

#[test]
fn labels_make_a_route_to_the_container() {
    let shop = container(
        "shop",
        "172.18.0.3",
        &[
            ("traefik.enable", "true"),
            ("traefik.http.routers.shop.rule", "Host(`shop.example`) && PathPrefix(`/api`)"),
            ("traefik.http.routers.shop.entrypoints", "websecure"),
            ("traefik.http.routers.shop.tls.certresolver", "le"),
            ("traefik.http.services.shop.loadbalancer.server.port", "8080"),
        ],
    );
    let configuration = by_labels(&["--entrypoints.web.address=:80", "--entryPoints.websecure.address=:443"], vec![shop]);
    assert_eq!(summary(&configuration), ["shop.example /api -> http 172.18.0.3:8080 at 443 tls"]);
    let route = &configuration.routes[0];
    assert_eq!(route.resolver.as_deref(), Some("le"));
    assert_eq!(route.place.file, "label traefik.http.routers.shop.rule of container shop");
    assert_eq!(route.upstream.name.as_deref(), Some("shop@docker"));
    assert_eq!(route.upstream.lookup, Lookup::Given);
    assert_eq!(route.upstream.servers[0].container.as_deref(), Some("shop"));
    let ports: Vec<(u16, bool)> = configuration.listeners.iter().map(|l| (l.port, l.tls)).collect();
    assert_eq!(ports, [(80, false), (443, true)]);
}

#[test]
fn without_entry_points_there_is_one_at_80() {
    let shop = container("shop", "172.18.0.3", &[("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Host(`a`)")]);
    let configuration = by_labels(&["--api.insecure=true"], vec![shop]);
    assert_eq!(summary(&configuration), ["a / -> http 172.18.0.3:3000 at 80"]);
    assert!(configuration.listeners.iter().any(|l| l.port == 8080));
}

#[test]
fn a_container_without_a_router_gets_the_default_rule() {
    let mut web = container("shop-web-1", "172.18.0.3", &[("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")]);
    web.exposed = vec![9000, 8000];
    let asked = container("my_app", "172.18.0.4", &[("traefik.enable", "true")]);
    let configuration = told(&Files::new(), &traefik(&["--providers.docker=true"]), vec![web.clone(), asked]);
    // The other one is served as well, and nobody asked for that.
    assert_eq!(summary(&configuration), ["my-app / -> http 172.18.0.4:3000 at 80"]);
    let rule = "--providers.docker.defaultrule=Host(`{{ index .Labels \"com.docker.compose.service\" }}.example`)";
    let configuration = told(&Files::new(), &traefik(&["--providers.docker=true", rule]), vec![web.clone()]);
    assert_eq!(summary(&configuration), ["web.example / -> http 172.18.0.3:8000 at 80"]);
    let unknown = "--providers.docker.defaultrule=Host(`{{ trimPrefix `x` .Name }}`)";
    let configuration = told(&Files::new(), &traefik(&["--providers.docker=true", unknown]), vec![web]);
    assert!(configuration.routes.is_empty() && configuration.notes[0].text.contains("a template that is not understood"));
}

#[test]
fn replicas_share_a_service_and_differences_are_dropped() {
    let labels = [
        ("traefik.enable", "true"),
        ("traefik.http.routers.r.rule", "Host(`a`)"),
        ("traefik.http.services.s.loadbalancer.server.port", "80"),
    ];
    let other = [
        ("traefik.enable", "true"),
        ("traefik.http.routers.r.rule", "Host(`b`)"),
        ("traefik.http.services.t.loadbalancer.server.port", "80"),
    ];
    let replicas = vec![container("a-1", "172.18.0.3", &labels), container("a-2", "172.18.0.4", &labels)];
    assert_eq!(summary(&by_labels(&[], replicas.clone())), ["a / -> http 172.18.0.3:80, 172.18.0.4:80 at 80"]);
    let configuration = by_labels(&[], [replicas, vec![container("b", "172.18.0.5", &other)]].concat());
    assert!(configuration.routes.is_empty());
    assert!(configuration.notes[0].text.contains("several times with differences"), "{:?}", configuration.notes);
}

#[test]
fn a_router_needs_a_service_where_there_are_several() {
    let shop = container(
        "shop",
        "172.18.0.3",
        &[
            ("traefik.enable", "true"),
            ("traefik.http.routers.web.rule", "Host(`a`)"),
            ("traefik.http.routers.admin.rule", "Host(`b`)"),
            ("traefik.http.routers.admin.service", "admin"),
            ("traefik.http.services.web.loadbalancer.server.port", "80"),
            ("traefik.http.services.admin.loadbalancer.server.port", "81"),
            ("traefik.http.services.admin.loadbalancer.server.scheme", "https"),
        ],
    );
    assert_eq!(
        summary(&by_labels(&[], vec![shop])),
        [
            "b / -> https 172.18.0.3:81 at 80",
            "label traefik.http.routers.web.rule of container shop: the router web names no service and there are several: Traefik drops it",
        ]
    );
}

#[test]
fn a_container_without_a_port_has_no_server() {
    let labels = [("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Host(`a`)")];
    let shop = Container { exposed: vec![], ..container("shop", "172.18.0.3", &labels) };
    let configuration = by_labels(&[], vec![shop.clone()]);
    assert_eq!((configuration.left_out[0].container.as_str(), configuration.left_out[0].why), ("shop", Omission::NoPort));
    assert_eq!(summary(&configuration)[0], "a / -> http  at 80");
    assert!(configuration.notes.iter().any(|n| n.text.contains("no port")));
    // A worker that nobody means to be served is no fault.
    let worker = Container { labels: Default::default(), ..shop };
    let configuration = told(&Files::new(), &traefik(&["--providers.docker=true"]), vec![worker]);
    assert_eq!((summary(&configuration), configuration.left_out), (vec![], vec![]));
}

#[test]
fn containers_that_are_not_healthy_are_left_out() {
    let labels = [("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Host(`a`)")];
    let with = |state: State| Container { state, ..container("shop", "172.18.0.3", &labels) };
    let health = |status: &str| State { health: Some(Health { status: status.into(), ..Health::default() }), ..State::default() };
    for (state, why) in [
        (health("unhealthy"), Omission::Unhealthy),
        (health("starting"), Omission::Starting),
        (State { status: Status::Exited, ..State::default() }, Omission::NotRunning),
    ] {
        let configuration = by_labels(&[], vec![with(state.clone())]);
        assert!(configuration.routes.iter().all(|r| r.upstream.servers.is_empty()));
        assert_eq!(configuration.left_out[0].why, why);
        assert_eq!(configuration.notes[0].text, format!("container shop is left out: {why}"));
    }
    assert_eq!(by_labels(&[], vec![with(health("healthy"))]).routes.len(), 1);
    let configuration = by_labels(&["--providers.docker.allowemptyservices=true"], vec![with(health("unhealthy"))]);
    assert_eq!(summary(&configuration), ["a / -> http  at 80"]);
}

#[test]
fn what_is_not_enabled_or_constrained_is_left_out() {
    let shop = container("shop", "172.18.0.3", &[("traefik.http.routers.shop.rule", "Host(`a`)"), ("zone", "inner")]);
    assert_eq!(by_labels(&[], vec![shop.clone()]).left_out[0].why, Omission::NotEnabled);
    let constrained = |text: &str| told(&Files::new(), &traefik(&["--providers.docker=true", text]), vec![shop.clone()]);
    assert_eq!(constrained("--providers.docker.constraints=Label(`zone`, `outer`)").left_out[0].why, Omission::Constraints);
    assert_eq!(constrained("--providers.docker.constraints=!Label(`zone`, `outer`)").routes.len(), 1);
    assert_eq!(constrained("--providers.docker.constraints=LabelRegex(`zone`, `^in`)").left_out[0].why, Omission::ConstraintsUnknown);
}

#[test]
fn the_address_is_taken_from_the_named_network() {
    let labels = [("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Host(`a`)")];
    let mut shop = container("shop", "172.18.0.3", &labels);
    shop.attachments.insert(0, attachment("inner", "172.19.0.3"));
    let labelled = |network: &str| {
        let mut shop = shop.clone();
        shop.labels.insert("traefik.docker.network".into(), network.into());
        by_labels(&[], vec![shop])
    };
    assert_eq!(summary(&labelled("inner")), ["a / -> http 172.19.0.3:3000 at 80"]);
    let by_option = by_labels(&["--providers.docker.network=inner"], vec![shop.clone()]);
    assert_eq!(summary(&by_option), ["a / -> http 172.19.0.3:3000 at 80"]);
    let missing = labelled("proxy");
    assert_eq!(missing.routes[0].upstream.servers[0].to_string(), "172.18.0.3:3000");
    assert!(missing.notes[0].text.contains("in no network named proxy"), "{:?}", missing.notes);
    let any = by_labels(&[], vec![shop]);
    assert_eq!(any.picks[0].networks, ["inner", "web"]);
    assert_eq!(any.routes[0].upstream.servers[0].to_string(), "172.18.0.3:3000");
}

#[test]
fn containers_in_other_namespaces_are_dialled_there() {
    let labels = [
        ("traefik.enable", "true"),
        ("traefik.http.routers.shop.rule", "Host(`a`)"),
        ("traefik.http.services.shop.loadbalancer.server.port", "80"),
    ];
    let of = |mode: NetworkMode| Container { network_mode: mode, attachments: vec![], ..container("shop", "", &labels) };
    let vpn = container("vpn", "172.18.0.9", &[]);
    let shared = by_labels(&[], vec![of(NetworkMode::Container("vpn".into())), vpn]);
    assert_eq!(summary(&shared), ["a / -> http 172.18.0.9:80 at 80"]);
    let host = by_labels(&[], vec![of(NetworkMode::Host)]);
    assert_eq!(host.routes[0].upstream.servers[0].to_string(), "127.0.0.1:80");
    let none = by_labels(&[], vec![of(NetworkMode::None)]);
    assert_eq!(none.left_out[0].why, Omission::NoAddress);
}

#[test]
fn middlewares_change_paths_and_redirect() {
    let shop = container(
        "shop",
        "172.18.0.3",
        &[
            ("traefik.enable", "true"),
            ("traefik.http.routers.plain.rule", "Host(`a`)"),
            ("traefik.http.routers.plain.entrypoints", "web"),
            ("traefik.http.routers.plain.middlewares", "secure"),
            ("traefik.http.middlewares.secure.redirectscheme.scheme", "https"),
            ("traefik.http.routers.api.rule", "Host(`a`) && PathPrefix(`/api`)"),
            ("traefik.http.routers.api.entrypoints", "websecure"),
            ("traefik.http.routers.api.middlewares", "both@docker"),
            ("traefik.http.middlewares.both.chain.middlewares", "strip,add"),
            ("traefik.http.middlewares.strip.stripprefix.prefixes", "/api"),
            ("traefik.http.middlewares.add.addprefix.prefix", "/v2"),
        ],
    );
    let entry_points = ["--entrypoints.web.address=:80", "--entrypoints.websecure.address=:443", "--entrypoints.websecure.http.tls=true"];
    let configuration = by_labels(&entry_points, vec![shop]);
    assert_eq!(summary(&configuration), ["a /api -> http 172.18.0.3:3000 at 443 tls"]);
    assert_eq!(configuration.routes[0].upstream.path_prefix.as_deref(), Some("/v2"));
}

#[test]
fn an_entry_point_that_redirects_serves_no_routes() {
    let shop = container("shop", "172.18.0.3", &[("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Host(`a`)")]);
    let configuration = by_labels(
        &[
            "--entrypoints.web.address=:80",
            "--entrypoints.web.http.redirections.entrypoint.to=websecure",
            "--entrypoints.websecure.address=:443",
            "--entrypoints.websecure.http.tls",
        ],
        vec![shop],
    );
    assert_eq!(summary(&configuration), ["a / -> http 172.18.0.3:3000 at 443 tls"]);
}

const STATIC: &str = "
entryPoints:
  web:
    address: ':8080'
  metrics:
    address: 127.0.0.1:9100
providers:
  file:
    directory: /etc/traefik/dynamic
";

const DYNAMIC: &str = "
http:
  routers:
    shop:
      rule: Host(`shop.example`)
      service: shop
      entryPoints: [web]
    lost:
      rule: Host(`lost.example`)
      service: nowhere
  services:
    shop:
      failover:
        service: main
        fallback: spare
    main:
      loadBalancer:
        passHostHeader: false
        serversTransport: lax
        servers:
          - url: https://app:8443
          - url: https://10.0.0.7
    spare:
      loadBalancer:
        servers:
          - url: https://spare
  serversTransports:
    lax:
      insecureSkipVerify: true
      serverName: app.internal
      forwardingTimeouts:
        responseHeaderTimeout: 1m30s
";

#[test]
fn files_are_read_for_both_configurations() {
    let files = files(&[
        ("/etc/traefik/traefik.yml", STATIC),
        ("/etc/traefik/dynamic/shop.yaml", DYNAMIC),
        ("/etc/traefik/dynamic/readme.md", "{"),
    ]);
    let configuration = told(&files, &traefik(&["--entrypoints.ignored.address=:1"]), vec![]);
    assert_eq!(
        summary(&configuration),
        [
            "lost.example / -> http  at 8080, 9100",
            "shop.example / -> https app:8443, 10.0.0.7:443, spare:443 backup at 8080",
            "/etc/traefik/dynamic/shop.yaml:9: the service nowhere@file does not exist",
        ]
    );
    let upstream = &configuration.routes[1].upstream;
    assert_eq!((upstream.verifies, upstream.server_name.as_deref(), upstream.lookup), (false, Some("app.internal"), Lookup::WhileRunning));
    assert_eq!(upstream.host_header, HostHeader::Fixed("app:8443".into()));
    assert_eq!(upstream.read_timeout, Some(std::time::Duration::from_secs(90)));
    assert_eq!(upstream.servers[0].place.line, 21);
    assert_eq!(configuration.listeners[0].address, IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn toml_and_environment_are_read_too() {
    let toml = "[entryPoints.web]\naddress = \":81\"\n[providers.docker]\nexposedByDefault = false\nnetwork = \"web\"\n";
    let shop = container("shop", "172.18.0.3", &[("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Path(`/x`)")]);
    let configuration = told(&files(&[("/etc/traefik/traefik.toml", toml)]), &traefik(&[]), vec![shop.clone()]);
    assert_eq!(summary(&configuration), ["any /x -> http 172.18.0.3:3000 at 81"]);
    assert_eq!(configuration.routes[0].path_type, PathType::Exact);
    let environment = [
        ("TRAEFIK_PROVIDERS_DOCKER", "true"),
        ("TRAEFIK_PROVIDERS_DOCKER_EXPOSEDBYDEFAULT", "false"),
        ("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", ":82"),
    ];
    let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let configuration = told(&Files::new(), &Container { environment, ..traefik(&[]) }, vec![shop]);
    assert_eq!(summary(&configuration), ["any /x -> http 172.18.0.3:3000 at 82"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let failed = |files: &Files, arguments: &[&str]| read(files, &traefik(arguments), &[]).why_unknown().map(str::to_owned);
    assert_eq!(failed(&Files::new(), &["--configFile=/x.yml"]).as_deref(), Some("its configuration file /x.yml could not be read"));
    let old = Container { image: "traefik:v1.7-alpine".into(), ..traefik(&["--docker"]) };
    assert_eq!(read(&Files::new(), &old, &[]).why_unknown(), Some("version 1 of Traefik is not understood"));
    let broken = files(&[("/x.yml", "a: [")]);
    assert!(failed(&broken, &["--configfile", "/x.yml"]).is_some_and(|why| why.starts_with("/x.yml:")));
    let configuration = told(&Files::new(), &traefik(&["--providers.file.filename=/dyn.yml", "--providers.consul.endpoints=x"]), vec![]);
    assert_eq!(
        summary(&configuration),
        ["argument 2 of container gateway: routes from the provider consul are not read", "/dyn.yml: it could not be read",]
    );
    let rule = [("traefik.enable", "true"), ("traefik.http.routers.shop.rule", "Host(shop)")];
    let configuration = by_labels(&[], vec![container("shop", "172.18.0.3", &rule)]);
    assert!(configuration.notes[0].text.contains("is not understood"));
    assert_eq!(configuration.routes, []);
}

#[test]
fn servers_of_other_schemes_are_said() {
    let shop = container(
        "shop",
        "172.18.0.3",
        &[
            ("traefik.enable", "true"),
            ("traefik.http.routers.shop.rule", "Host(`a`)"),
            ("traefik.http.services.shop.loadbalancer.servers[0].url", "h2c://app:9000"),
            ("traefik.http.services.shop.loadbalancer.servers[1].url", "http://app:9001"),
        ],
    );
    let configuration = by_labels(&[], vec![shop]);
    assert_eq!(configuration.routes[0].upstream.scheme, Scheme::H2c);
    assert!(configuration.notes[0].text.contains("app:9001"));
}

proptest! {
    #[test]
    fn no_label_or_file_panics(name in "(traefik\\.)?[a-z.\\[\\]0-9]{0,40}", value in ".{0,80}", file in "(?s).{0,200}") {
        let shop = container("shop", "172.18.0.3", &[("traefik.enable", "true"), (&format!("traefik.{name}"), &value), ("traefik.http.routers.r.rule", &value)]);
        let gateway = traefik(&["--providers.docker", &format!("--{name}={value}"), &value, "--providers.file.directory=/d"]);
        let files = files(&[("/d/a.yml", &file), ("/d/b.toml", &file)]);
        drop(read(&files, &gateway, &[Arc::new(shop)]));
    }

    #[test]
    fn no_rule_panics(rule in "(Host\\(`[a-z]*`\\)|PathPrefix\\(`/[a-z]*`\\)| && | \\|\\| |!|\\(|\\)|`|,|é){0,12}") {
        drop(rule::matches(&rule));
    }
}
