use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn made(json: &str) -> Container {
    let mut whole: serde_json::Value = serde_json::from_str(json).unwrap();
    let object = whole.as_object_mut().unwrap();
    object.entry("Id").or_insert(ID.into());
    object.entry("Name").or_insert("/web-1".into());
    container(serde_json::from_value(whole).unwrap()).unwrap()
}

#[test]
fn a_running_container_is_what_the_engine_says() {
    let web = made(
        r#"{"Created": "2026-11-24T08:00:00.5Z", "Path": "/entry.sh", "Args": ["nginx", "-g", "daemon off;"], "Image": "sha256:1", "RestartCount": 2,
        "State": {"Status": "running", "Running": true, "Pid": 4242, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-24T08:00:01Z",
            "FinishedAt": "0001-01-01T00:00:00Z"},
        "HostConfig": {"NetworkMode": "shop_default", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}, "Memory": 134217728, "ExtraHosts": ["db:10.0.0.7", "h=host-gateway", "v6:::1"],
            "Dns": ["1.1.1.1", "x"], "Links": ["/db:/web-1/database"]},
        "Config": {"Hostname": "0123456789ab", "Image": "nginx:1.29", "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Env": ["PORT=80", "API_TOKEN=x", "APP_UPSTREAM=app:3000", "COLOUR=blue"],
            "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
            "Networks": {"shop_default": {"NetworkID": "f00d", "IPAddress": "172.18.0.2", "Gateway": "172.18.0.1", "GlobalIPv6Address": "", "Aliases": ["web"],
                "DNSNames": ["web-1", "web", "0123456789ab"]}}}}"#,
    );
    assert_eq!((web.name.as_str(), web.image.as_str(), web.pid), ("web-1", "nginx:1.29", Some(4242)));
    assert_eq!(web.command, ["/entry.sh", "nginx", "-g", "daemon off;"]);
    assert_eq!(web.environment, [("PORT".into(), "80".into()), ("APP_UPSTREAM".into(), "app:3000".into())]);
    assert_eq!((web.state.status, web.state.finished, web.restarts), (Status::Running, None, 2));
    assert!(web.state.started.is_some() && web.created.is_some() && web.restarts_by_itself);
    assert_eq!(web.network_mode, NetworkMode::Network("shop_default".into()));
    assert_eq!(web.attachments[0].names, ["web-1", "web", "0123456789ab"]);
    assert_eq!((web.attachments[0].address, web.attachments[0].address6), ("172.18.0.2".parse().ok(), None));
    assert_eq!((web.exposed.as_slice(), web.published.len(), web.published[0].bound), ([80].as_slice(), 1, true));
    let hosts = [("db", "10.0.0.7"), ("h", "host-gateway"), ("v6", "::1")].map(|(n, a)| (n.to_owned(), a.to_owned()));
    assert_eq!(web.extra_hosts, hosts);
    assert_eq!(web.links, [("db".to_owned(), "database".to_owned())]);
    assert_eq!((web.dns.len(), web.memory_limit), (1, Some(134_217_728)));
    assert_eq!((web.project(), web.service()), (Some("shop"), Some("web")));
}

#[test]
fn older_engines_have_names_by_alias_name_and_short_id() {
    let web = made(
        r#"{"NetworkSettings": {"Networks": {"shop_default": {"Aliases": ["web", "0123456789ab"], "IPAddress": "172.18.0.2"}}}, "HostConfig": {"NetworkMode": "shop_default"}}"#,
    );
    assert_eq!(web.attachments[0].names, ["web", "0123456789ab", "web-1"]);
}

#[test]
fn the_default_bridge_has_no_names() {
    let web = made(
        r#"{"NetworkSettings": {"Networks": {"bridge": {"DNSNames": null, "Aliases": null, "IPAddress": "172.17.0.2"}}}, "HostConfig": {"NetworkMode": "default"}}"#,
    );
    assert_eq!(web.network_mode, NetworkMode::DefaultBridge);
    assert!(web.attachments[0].names.is_empty());
    // Podman's is called otherwise.
    let web = made(
        r#"{"NetworkSettings": {"Networks": {"podman": {"Aliases": ["0123456789ab"], "IPAddress": "10.88.0.2"}}}, "HostConfig": {"NetworkMode": "bridge"}}"#,
    );
    assert!(web.attachments[0].names.is_empty());
}

#[test]
fn every_network_mode_is_told() {
    let mode = |text: &str| {
        let settings = r#""NetworkSettings": {"Networks": {"shop": {"NetworkID": "abcdef012345"}}}"#;
        made(&format!(r#"{{"HostConfig": {{"NetworkMode": "{text}"}}, {settings}}}"#)).network_mode
    };
    assert_eq!(mode("host"), NetworkMode::Host);
    assert_eq!(mode("none"), NetworkMode::None);
    assert_eq!(mode("container:abc"), NetworkMode::Container("abc".into()));
    assert_eq!(mode("abcdef012345"), NetworkMode::Network("shop".into()));
    assert_eq!(mode("bridge"), NetworkMode::DefaultBridge);
}

#[test]
fn health_is_cut_and_escaped() {
    let web = made(
        r#"{"State": {"Status": "running", "Health": {"Status": "unhealthy", "FailingStreak": 4, "Log": [{"Output": "ok"}, {"Output": "curl: (7)\u001b[2J"}]}},
        "Config": {"Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"]}}}"#,
    );
    let health = web.state.health.unwrap();
    assert_eq!((health.status.as_str(), health.failing_streak, health.command.len()), ("unhealthy", 4, 2));
    assert_eq!(health.last_output, "curl: (7)\\u{1b}[2J");
    assert_eq!(made(r#"{"State": {"Status": "running", "Health": {"Status": "none"}}}"#).state.health, None);
}

#[test]
fn what_ended_says_how() {
    let dead = made(
        r#"{"State": {"Status": "exited", "OOMKilled": true, "ExitCode": 137, "Pid": 0, "Error": "no space", "FinishedAt": "2026-11-24T08:00:01Z"}}"#,
    );
    assert_eq!((dead.state.status, dead.state.exit_code, dead.pid), (Status::Exited, 137, None));
    assert!(dead.state.oom_killed && dead.state.finished.is_some() && !dead.restarts_by_itself);
}

#[test]
fn what_has_no_name_or_id_is_left_out() {
    assert_eq!(container(models::ContainerInspectResponse::default()), None);
}
