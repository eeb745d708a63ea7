//! Apache's configurations as people write them, and such as nobody should.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::evidence::config::{HostHeader, Lookup, Upstream};
use crate::probe::Scheme;

const FILE: &str = "/usr/local/apache2/conf/httpd.conf";
const MODULES: &str = "ServerRoot \"/usr/local/apache2\"\nListen 80\nLoadModule proxy_module modules/mod_proxy.so\nLoadModule proxy_http_module modules/mod_proxy_http.so\nLoadModule ssl_module modules/mod_ssl.so\n";

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn known(files: &Files, command: &[&str]) -> Configuration {
    let container = Container { command: command.iter().map(|c| (*c).to_owned()).collect(), ..Container::default() };
    match read(files, &container, &[]) {
        Fact::Known(configuration) => configuration,
        other => panic!("{other:?}"),
    }
}

fn of(text: &str) -> Configuration {
    known(&files(&[(FILE, &format!("{MODULES}{text}"))]), &["httpd-foreground"])
}

fn routes(configuration: &Configuration) -> Vec<String> {
    let route = |r: &ConfiguredRoute| {
        let servers: Vec<String> = r.upstream.servers.iter().map(ToString::to_string).collect();
        let ports: Vec<String> = r.listeners.iter().map(|l| l.port.to_string()).collect();
        format!("{} {}{} -> {}", ports.join("+"), r.host.as_deref().unwrap_or("any"), r.path, servers.join(","))
    };
    configuration.routes.iter().map(route).collect()
}

fn notes(configuration: &Configuration) -> Vec<String> {
    configuration.notes.iter().map(ToString::to_string).collect()
}

/// The upstream of the only route.
fn upstream(text: &str) -> Upstream {
    let configuration = of(text);
    assert_eq!(configuration.routes.len(), 1, "{text}: {:?}", configuration.notes);
    configuration.routes[0].upstream.clone()
}

#[test]
fn the_official_image_as_it_comes_has_no_routes() {
    let text = "ServerRoot \"/usr/local/apache2\"\nListen 80\nLoadModule mpm_event_module modules/mod_mpm_event.so\n#LoadModule proxy_module modules/mod_proxy.so\n\
         <IfModule unixd_module>\nUser www-data\n</IfModule>\n<Directory />\n AllowOverride none\n Require all denied\n</Directory>\n\
         DocumentRoot \"/usr/local/apache2/htdocs\"\n<IfModule dir_module>\n DirectoryIndex index.html\n</IfModule>\n<Files \".ht*\">\n Require all denied\n</Files>\n\
         <IfModule proxy_html_module>\nInclude conf/extra/proxy-html.conf\n</IfModule>\n<IfModule ssl_module>\nListen 443\nSSLRandomSeed startup builtin\n</IfModule>\n";
    let configuration = known(&files(&[(FILE, text)]), &["httpd-foreground"]);
    assert_eq!((configuration.routes, configuration.notes), (vec![], vec![]));
    assert_eq!(configuration.listeners.iter().map(|l| (l.port, l.tls)).collect::<Vec<_>>(), [(80, false)]);
}

#[test]
fn virtual_hosts_of_several_files_are_read() {
    let main = format!("{MODULES}Listen 443\nDefine UPSTREAM app:3000\nIncludeOptional conf/sites/*.conf\n");
    let shop = "<VirtualHost *:80>\n  ServerName shop.example\n  RewriteEngine On\n  RewriteCond %{HTTPS} off\n  RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]\n\
         \x20 ProxyPass / http://never/\n</VirtualHost>\n<VirtualHost *:443>\n  ServerName shop.example:443\n  ServerAlias www.shop.example *.shop.example\n  SSLEngine on\n\
         \x20 ProxyPreserveHost On\n  ProxyPass /static !\n  ProxyPass \"/api\" \"http://api:8080/v1\" timeout=5 retry=0\n  ProxyPass / http://${UPSTREAM}/\n  ProxyPassReverse / http://${UPSTREAM}/\n</VirtualHost>\n";
    let wiki = "<VirtualHost *:80>\n  ServerName wiki.example\n  <Location \"/\">\n    ProxyPass http://wiki:81/\n  </Location>\n</VirtualHost>\n<VirtualHost *:80>\n ProxyPass / http://x/\n</VirtualHost>\n";
    let given = files(&[(FILE, &main), ("/usr/local/apache2/conf/sites/a.conf", shop), ("/usr/local/apache2/conf/sites/b.conf", wiki)]);
    let configuration = known(&given, &["httpd", "-DFOREGROUND"]);
    assert_eq!(
        routes(&configuration),
        [
            "443 shop.example/api -> api:8080",
            "443 www.shop.example/api -> api:8080",
            "443 *.shop.example/api -> api:8080",
            "443 shop.example/ -> app:3000",
            "443 www.shop.example/ -> app:3000",
            "443 *.shop.example/ -> app:3000",
            "80 wiki.example/ -> wiki:81",
        ]
    );
    let api = &configuration.routes[0];
    assert_eq!(api.place.to_string(), "/usr/local/apache2/conf/sites/a.conf:14");
    assert_eq!(api.upstream.path_prefix.as_deref(), Some("/v1"));
    assert_eq!(api.upstream.read_timeout, Some(Duration::from_secs(5)));
    assert_eq!((&api.upstream.host_header, api.upstream.lookup), (&HostHeader::Client, Lookup::WhileRunning));
    assert_eq!(configuration.routes[6].upstream.host_header, HostHeader::Upstream);
    assert_eq!(configuration.listeners.iter().map(|l| (l.port, l.tls)).collect::<Vec<_>>(), [(80, false), (443, true)]);
    assert!(configuration.routes[0].listeners[0].tls);
    assert_eq!(
        notes(&configuration),
        ["/usr/local/apache2/conf/sites/b.conf:7: no known host reaches this virtual host: another one is the first of its port"]
    );
}

#[test]
fn the_main_server_is_for_listeners_that_no_virtual_host_has() {
    let text = "Listen 8080\nProxyPass / http://main/\n<VirtualHost *:80>\nServerName a.example\nProxyPass /a http://a/a\n</VirtualHost>\n";
    // What the main server passes on holds in virtual hosts too.
    assert_eq!(routes(&of(text)), ["80 a.example/a -> a:80", "80 a.example/ -> main:80", "8080 any/ -> main:80"]);
    assert_eq!(routes(&of("ProxyPass / http://main/\n<VirtualHost *:80>\n</VirtualHost>")), ["80 any/ -> main:80"]);
}

#[test]
fn the_first_rule_that_fits_gets_the_request() {
    let configuration = of("ProxyPass / http://a/\nProxyPass /api http://b/\nProxyPass /apifoo http://b/");
    assert_eq!(routes(&configuration), ["80 any/ -> a:80"]);
    assert_eq!(configuration.notes.len(), 2);
    assert_eq!(routes(&of("ProxyPass /api http://a/\nProxyPass /apifoo http://b/")).len(), 2);
    assert_eq!(routes(&of("ProxyPass / !\nProxyPass /api http://b/")), Vec::<String>::new());
    assert_eq!(routes(&of("ProxyPass / http://a/\n<Location /api>\nProxyPass http://b/\n</Location>")).len(), 2);
}

#[test]
fn paths_are_replaced_as_apache_does() {
    for (rule, path, prefix, notes) in [
        ("ProxyPass / http://a:1/", "/", None, 0),
        ("ProxyPass /x http://a:1/x", "/x", None, 0),
        ("ProxyPass /x/ http://a:1/", "/x/", Some("/"), 0),
        ("ProxyPass /x http://a:1", "/x", Some(""), 0),
        ("ProxyPass /x http://a:1/", "/x", Some("/"), 0),
        ("ProxyPass / http://a:1", "/", Some(""), 1),
        ("ProxyPassMatch ^/x/(.*)$ http://a:1/$1", "/x/", Some("/"), 0),
        ("ProxyPassMatch ^(/x/.*)$ http://a:1$1", "/x/", None, 0),
        ("ProxyPassMatch ^(/.*\\.php)$ http://a:1/$1", "^(/.*\\.php)$", None, 1),
        ("ProxyPassMatch ^/x http://a:1", "^/x", None, 0),
        ("RewriteEngine On\nRewriteRule ^/?(.*)$ http://a:1/$1 [P,L]", "/", None, 0),
        ("RewriteEngine On\nRewriteRule ^/x/(.*) http://a:1/y/$1 [P]", "/x/", Some("/y/"), 0),
        ("<LocationMatch ^/x>\nProxyPassMatch http://a:1\n</LocationMatch>", "^/x", None, 0),
    ] {
        let configuration = of(rule);
        assert_eq!(configuration.routes.len(), 1, "{rule}: {:?}", configuration.notes);
        let route = &configuration.routes[0];
        assert_eq!((route.path.as_str(), route.upstream.path_prefix.as_deref()), (path, prefix), "{rule}");
        assert_eq!((route.upstream.servers[0].to_string().as_str(), configuration.notes.len()), ("a:1", notes), "{rule}");
    }
}

#[test]
fn balancers_are_followed_to_their_members() {
    let text = "<Proxy \"balancer://app\">\n BalancerMember http://app1:3000 route=1\n BalancerMember http://app2:3000 status=+H\n BalancerMember http://old:1 status=D\n\
         ProxySet lbmethod=byrequests\n</Proxy>\nBalancerMember balancer://App http://app3:3000/x\nProxyPass /y/ balancer://app/z/\n";
    let upstream = upstream(text);
    let servers: Vec<(String, bool)> = upstream.servers.iter().map(|s| (s.to_string(), s.backup)).collect();
    assert_eq!(servers, [("app1:3000".into(), false), ("app2:3000".into(), true), ("app3:3000".into(), false)]);
    assert_eq!((upstream.path_prefix.as_deref(), upstream.servers[0].place.line), (Some("/z/"), 7));
    assert_eq!(notes(&of("ProxyPass / balancer://gone/")), [format!("{FILE}:6: there is no balancer gone")]);
}

#[test]
fn tls_and_headers_are_read() {
    let tls = upstream("SSLProxyEngine On\nSSLProxyVerify require\nProxyTimeout 7\nProxyPass / https://app:8443/");
    assert_eq!((tls.scheme, tls.verifies, tls.server_name.as_deref()), (Scheme::Https, true, Some("app")));
    assert_eq!(tls.read_timeout, Some(Duration::from_secs(7)));
    let kept =
        upstream("SSLProxyEngine On\nProxyPreserveHost On\nRequestHeader set Host inner.example\nTimeout 9\nProxyPass / https://app/");
    assert_eq!((kept.verifies, kept.server_name.as_deref()), (false, None));
    assert_eq!((kept.host_header, kept.read_timeout), (HostHeader::Fixed("inner.example".into()), Some(Duration::from_secs(9))));
    assert_eq!(of("ProxyPass / https://app/").notes.len(), 1);
    let bare = known(&files(&[(FILE, "Listen 80\nLoadModule proxy_module x\nProxyPass / http://app/")]), &[]);
    assert!(notes(&bare)[0].contains("proxy_http_module is not loaded"), "{:?}", bare.notes);
}

#[test]
fn what_is_not_followed_is_noted() {
    for text in [
        "ProxyPass / fcgi://php:9000/",
        "ProxyPass / ws://app/",
        "ProxyPass / unix:/s|http://x/",
        "ProxyPass / ${URL}",
        "ProxyPass x http://a/",
        "RewriteEngine On\nRewriteCond %{HTTP:Upgrade} =websocket\nRewriteRule ^/(.*) http://a/$1 [P]",
        "<If \"true\">\nProxyPass / http://a/\n</If>",
        "<Location /x>\nSetHandler proxy:http://a/\n</Location>",
        "Listen nonsense",
        "<VirtualHost shop.example:80>\nServerName a\n</VirtualHost>",
        "<VirtualHost *:80>\nServerAlias a?.example\n</VirtualHost>",
        "<VirtualHost *:81>\nServerName a\n</VirtualHost>",
    ] {
        let configuration = of(text);
        assert_eq!((configuration.routes.len(), configuration.notes.len()), (0, 1), "{text}: {:?}", configuration.notes);
        assert!(configuration.notes[0].place.line > 0, "{text}");
    }
}

#[test]
fn the_main_file_is_where_the_command_says() {
    let given = files(&[("/srv/gw.conf", "Listen 80\nInclude more.conf"), ("/srv/more.conf", "ProxyPass / http://a/")]);
    assert_eq!(known(&given, &["httpd", "-d", "/srv", "-f", "gw.conf", "-D", "FOREGROUND"]).routes.len(), 1);
    let container = |command: &[&str]| Container { command: command.iter().map(|c| (*c).to_owned()).collect(), ..Container::default() };
    let missing = read(&given, &container(&["httpd", "-f", "/no"]), &[]);
    assert_eq!(missing, Fact::Failed("Apache's file /no was not found".into()));
    assert_eq!(read(&Files::new(), &container(&["httpd"]), &[]), Fact::Absent);
    let nothing = read(&files(&[(FILE, "</X>")]), &container(&[]), &[]);
    assert_eq!(nothing, Fact::Failed(format!("Apache's configuration could not be read: {FILE}:1: </X> closes nothing")));
}

#[test]
fn hostile_files_are_survived() {
    let many =
        format!("{}{}", "<VirtualHost *:80>\nServerName x\n</VirtualHost>\n".repeat(10_000), "ProxyPass /a http://a/\n".repeat(10_000));
    for text in [
        "<Location /x>\n".repeat(100_000),
        "</Location>\n".repeat(1000),
        format!("ProxyPass {}", "/".repeat(1 << 20)),
        format!("ProxyPass /{} http://a/", "x/".repeat(1 << 19)),
        "\0<\0\n\\\n<\n</\n<>\n".into(),
        "Include /*\nInclude /".repeat(1000),
        format!("Define A ${{A}}${{A}}\n{}", "Define A ${A}${A}\n".repeat(100)),
        "\\\n".repeat(100_000),
        many,
    ] {
        let text = format!("{MODULES}{text}");
        let container = Container::default();
        if let Fact::Known(configuration) = read(&files(&[(FILE, &text)]), &container, &[]) {
            assert!(configuration.routes.len() <= ROUTES && configuration.notes.len() <= 200);
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = read(&files(&[(FILE, &format!("{MODULES}{text}"))]), &Container::default(), &[]);
    }

    #[test]
    fn no_mixture_of_its_words_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let _ = read(&files(&[(FILE, &format!("{MODULES}{}", words.join(" ")))]), &Container::default(), &[]);
    }
}

const WORDS: &[&str] = &[
    "\n",
    "\n",
    "\nProxyPass",
    "\nProxyPassMatch",
    "\n<VirtualHost",
    "*:80>",
    "\n</VirtualHost>",
    "\n<Location",
    "\n</Location>",
    "/>",
    "/x",
    "/",
    "http://a/",
    "https://a:1",
    "balancer://b/",
    "\n<Proxy",
    "balancer://b>",
    "\n</Proxy>",
    "\nBalancerMember",
    "status=",
    "timeout=",
    "\nRewriteEngine on",
    "\nRewriteRule",
    "\nRewriteCond",
    "^/x(.*)",
    "[P]",
    "[R]",
    "$1",
    "\nServerName",
    "a.b",
    "*",
    "\nListen",
    "80",
    "\nInclude",
    "${",
    "}",
    "\nDefine",
    "A",
    "\n<IfDefine",
    "!",
    ">",
    "\"",
    "'",
    "\\",
    "#",
    "é",
    "!",
];
