//! What a container's arguments and environment say about where it listens.

use std::net::IpAddr;

use crate::snapshot::objects::Container;

/// One setting that may say where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// As written: `--port 3000`, `HOST=localhost`.
    text: String,
    bind: Option<Bind>,
    port: Option<u16>,
    /// Whether its name speaks of listening; else only its value looks like it.
    named: bool,
}

/// The addresses that a setting binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bind {
    Loopback,
    Everywhere,
}

/// The listen settings of some containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints(Vec<Setting>);

/// Words of a setting's name that speak of listening.
const LISTENING: &str = "port p host hostname bind b listen l address addr interface ip";
/// Words that make it another server's address, or a port that is not for the route's requests.
const FOREIGN: &str = "amqp auth backend broker cache client connect consul db database dns elasticsearch etcd jaeger kafka ldap mail \
    memcached mongo mongodb mysql otel otlp peer pg postgres postgresql proxy queue rabbitmq redis remote smtp statsd \
    target upstream vault";
/// Words of ports that serve operators, not users.
const AUXILIARY: &str = "admin debug health healthz jmx management metrics mgmt monitoring pprof probe probes prom prometheus";

/// Whether a port's or setting's name says that it is not meant for users' requests.
pub fn is_auxiliary(name: &str) -> bool {
    has_word_of(name, AUXILIARY)
}

impl Hints {
    /// Reads the arguments and environment of containers.
    pub fn of<'c>(containers: impl IntoIterator<Item = &'c Container>) -> Self {
        let told = containers.into_iter().flat_map(|c| Hints::told(&c.args, &c.env).0);
        Hints(told.collect())
    }

    /// Reads arguments and environment.
    pub fn told(args: &[String], env: &[(String, String)]) -> Self {
        let mut found = Vec::new();
        for (name, value) in env {
            found.extend(setting(name, value, format!("{name}={value}")));
        }
        arguments(args, &mut found);
        Hints(found)
    }

    /// Ports that the settings tell it to listen on, with the setting.
    pub fn ports(&self) -> impl Iterator<Item = (u16, &str)> {
        self.0.iter().filter(|s| s.named).filter_map(|s| s.port.map(|p| (p, s.text.as_str())))
    }

    /// Every number of them that may be a port.
    pub fn numbers(&self) -> impl Iterator<Item = u16> {
        self.0.iter().filter_map(|s| s.port)
    }

    /// The setting that binds a port to loopback.
    pub fn loopback_at(&self, port: u16) -> Option<&str> {
        self.bound(port, Bind::Loopback)
    }

    /// The setting that binds a port on every address.
    pub fn everywhere_at(&self, port: u16) -> Option<&str> {
        self.bound(port, Bind::Everywhere)
    }

    /// The setting that binds a port on every address of one IP family, and whether that is IPv6.
    pub fn family_at(&self, port: u16) -> Option<(&str, bool)> {
        let text = self.everywhere_at(port)?;
        let value = text.rsplit(['=', ' ']).next().unwrap_or(text);
        let bare = value.split_once("://").map_or(value, |(_, rest)| rest.trim_end_matches('/'));
        let host = if bind_of(bare).is_some() { bare } else { bare.rsplit_once(':')?.0 };
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
        Some((text, ip.is_ipv6()))
    }

    fn bound(&self, port: u16, bind: Bind) -> Option<&str> {
        let holds = |s: &&Setting| s.bind == Some(bind) && s.port.map_or(s.named, |p| p == port);
        self.0.iter().find(holds).map(|s| s.text.as_str())
    }
}

/// Flags with their values, `NAME=value` and bare values; a script in one argument is split as a shell would.
fn arguments(args: &[String], found: &mut Vec<Setting>) {
    let separators = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | ',');
    let mut flag: Option<&str> = None;
    for token in args.iter().flat_map(|a| a.split(separators)).filter(|t| !t.is_empty()) {
        if let Some((name, value)) = token.split_once('=') {
            found.extend(setting(name, value, token.to_owned()));
            flag = None;
        } else if token.starts_with('-') {
            flag = Some(token);
        } else if let Some(name) = flag.take() {
            found.extend(setting(name, token, format!("{name} {token}")));
        } else {
            found.extend(setting("", token, token.to_owned()));
        }
    }
}

/// Reads one setting, where its value is a port, a host to bind, or both.
fn setting(name: &str, value: &str, text: String) -> Option<Setting> {
    if has_word_of(name, FOREIGN) || has_word_of(name, AUXILIARY) {
        return None;
    }
    let named = has_word_of(name, LISTENING);
    let (bind, port) = listen_address(value)?;
    // A number is a port by its name (`--workers 8`), or as the only word (`http.server 8000`).
    let meant = named || name.is_empty() || (bind.is_some() && port.is_some());
    // A bare host without a name that speaks of listening is anything.
    let useful = named || port.is_some_and(|p| bind.is_some() || p >= 80);
    (meant && useful).then_some(Setting { text, bind, port, named: named || bind == Some(Bind::Everywhere) })
}

/// `3000`, `:3000`, `127.0.0.1`, `localhost:3000`, `[::1]:3000`, `http://0.0.0.0:3000`; nothing for a name of another host.
fn listen_address(value: &str) -> Option<(Option<Bind>, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|p| *p != 0);
    if let Some(number) = port(value) {
        return Some((None, Some(number)));
    }
    let bare = value.split_once("://").map_or(value, |(_, rest)| rest.trim_end_matches('/'));
    if let Some(bind) = bind_of(bare) {
        return Some((Some(bind), None));
    }
    let (host, number) = bare.rsplit_once(':')?;
    let bind = if host.is_empty() { Bind::Everywhere } else { bind_of(host)? };
    Some((Some(bind), Some(port(number)?)))
}

fn bind_of(host: &str) -> Option<Bind> {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    match (host, ip) {
        ("localhost", _) => Some(Bind::Loopback),
        ("*" | "+", _) => Some(Bind::Everywhere),
        (_, Some(ip)) if ip.is_loopback() => Some(Bind::Loopback),
        (_, Some(ip)) if ip.is_unspecified() => Some(Bind::Everywhere),
        _ => None,
    }
}

fn has_word_of(name: &str, list: &str) -> bool {
    words(name).iter().any(|w| list.split_whitespace().any(|l| l == w))
}

/// The words of a flag or variable in lower case: `-Dserver.port`, `HTTP_PORT` and `httpPort` all have `port`.
fn words(name: &str) -> Vec<String> {
    let name = name.strip_prefix("-D").unwrap_or(name);
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        let begins = c.is_ascii_uppercase() && before_lower;
        if (!c.is_ascii_alphanumeric() || begins) && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
        before_lower = c.is_ascii_lowercase();
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::ContainerSpec;

    fn hints(args: &[&str], env: &[(&str, &str)]) -> Hints {
        let args = args.iter().map(ToString::to_string).collect();
        let env = env.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let spec = ContainerSpec { args, env, ..ContainerSpec::default() };
        Hints::of([&Container { spec: spec.into(), ..Container::default() }])
    }

    #[test]
    fn every_usual_way_to_name_a_port_is_read() {
        for args in
            [&["--port", "3000"][..], &["--port=3000"], &["-p", "3000"], &["-Dserver.port=3000"], &["--addr=:3000"], &["--httpPort=3000"]]
        {
            assert_eq!(hints(args, &[]).ports().map(|(p, _)| p).collect::<Vec<_>>(), [3000], "{args:?}");
        }
        assert_eq!(hints(&[], &[("HTTP_PORT", "3000")]).ports().count(), 1);
        assert_eq!(hints(&["sh", "-c", "exec node app.js --port 3000"], &[]).ports().count(), 1);
    }

    #[test]
    fn a_bare_number_is_a_candidate_and_no_order() {
        let hints = hints(&["-m", "http.server", "8000"], &[]);
        assert_eq!((hints.numbers().collect::<Vec<_>>(), hints.ports().count()), (vec![8000], 0));
    }

    #[test]
    fn another_servers_address_says_nothing_about_this_one() {
        for (name, value) in [("DB_PORT", "5432"), ("REDIS_HOST", "localhost"), ("METRICS_PORT", "9090")] {
            assert_eq!(hints(&[], &[(name, value)]), Hints::default(), "{name}");
        }
        assert_eq!(hints(&["--upstream=http://127.0.0.1:8080", "--workers", "8", "--timeout=3000"], &[]), Hints::default());
    }

    #[test]
    fn loopback_counts_for_its_own_port_only() {
        assert!(hints(&["--bind", "127.0.0.1:8080"], &[]).loopback_at(8080).is_some());
        assert!(hints(&["--bind", "127.0.0.1:8080"], &[]).loopback_at(9000).is_none());
        assert!(hints(&["--bind", "[::1]:8080"], &[]).loopback_at(8080).is_some());
        assert!(hints(&[], &[("HOST", "localhost")]).loopback_at(9000).is_some());
        assert!(hints(&["manage.py", "runserver", "127.0.0.1:8000"], &[]).loopback_at(8000).is_some());
        assert!(hints(&["--host=0.0.0.0"], &[]).loopback_at(8000).is_none());
        assert!(hints(&["--host=0.0.0.0"], &[]).everywhere_at(8000).is_some());
    }

    #[test]
    fn an_address_that_stands_for_all_has_a_family() {
        let family = |args: &[&str], env: &[(&str, &str)]| hints(args, env).family_at(8080).map(|(_, v6)| v6);
        assert_eq!(family(&["--host=0.0.0.0"], &[]), Some(false));
        assert_eq!(family(&[], &[("HOST", "::")]), Some(true));
        assert_eq!(family(&["--listen", "http://[::]:8080"], &[]), Some(true));
        assert_eq!(family(&["--addr=:8080"], &[]), None);
        assert_eq!(family(&["--host", "*"], &[]), None);
    }
}
