use super::*;

fn found(option: Option<&str>, environment: &Environment) -> String {
    let endpoint = Endpoint::find(option, environment).unwrap();
    format!("{} by {}", endpoint.address, endpoint.named_by)
}

#[test]
fn an_option_comes_before_the_environment_and_that_before_contexts() {
    let folder = tempfile::tempdir().unwrap();
    let meta = folder.path().join("contexts/meta/abc");
    std::fs::create_dir_all(&meta).unwrap();
    std::fs::create_dir_all(folder.path().join("contexts/tls/abc/docker")).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"currentContext": "lab", "auths": {}}"#).unwrap();
    let file = r#"{"Name": "lab", "Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://lab.test:2376", "SkipTLSVerify": false}}}"#;
    std::fs::write(meta.join("meta.json"), file).unwrap();
    let mut environment = Environment { folder: Some(folder.path().into()), ..Environment::default() };
    let endpoint = Endpoint::find(None, &environment).unwrap();
    let tls = TlsFiles { folder: folder.path().join("contexts/tls/abc/docker"), verifies: true };
    assert_eq!(endpoint.address, Address::Tcp { host: "lab.test".into(), port: 2376, tls: Some(tls) });
    assert_eq!(endpoint.named_by, "context lab");
    environment.context = Some("default".into());
    assert_eq!(found(None, &environment), "unix:///var/run/docker.sock by the default");
    environment.context = Some("gone".into());
    assert!(matches!(Endpoint::find(None, &environment), Err(EngineError::Context { .. })));
    environment.host = Some("unix:///run/a.sock".into());
    assert_eq!(found(None, &environment), "unix:///run/a.sock by DOCKER_HOST");
    assert_eq!(found(Some("/run/b.sock"), &environment), "unix:///run/b.sock by --docker-host");
}

#[test]
fn every_kind_of_address_is_understood() {
    let parse = |text: &str| Address::parse(text, None).map(|a| a.to_string());
    assert_eq!(parse("tcp://10.0.0.1").unwrap(), "tcp://10.0.0.1:2375");
    assert_eq!(parse("tcp://[::1]:2375/").unwrap(), "tcp://[::1]:2375");
    assert_eq!(parse("lab:2375").unwrap(), "tcp://lab:2375");
    assert_eq!(parse("npipe:////./pipe/docker_engine").unwrap(), "npipe:////./pipe/docker_engine");
    let ssh = Address::Ssh { destination: "ops@lab".into(), port: Some(2222), socket: Some("/run/d.sock".into()) };
    assert_eq!(Address::parse("ssh://ops@lab:2222/run/d.sock", None).unwrap(), ssh);
    let secure = TlsFiles { folder: "/c".into(), verifies: true };
    assert!(matches!(Address::parse("tcp://lab", Some(secure)).unwrap(), Address::Tcp { port: 2376, .. }));
}

#[test]
fn what_is_no_address_is_said() {
    for text in ["", "unix://", "tcp://", "tcp://a b", "tcp://h:99999", "ftp://h", "ssh://-oProxyCommand=x", "ssh://-l@h", "ssh://a:pw@h"] {
        assert!(matches!(Address::parse(text, None), Err(EngineError::Address(_))), "{text}");
    }
    assert!(matches!(Address::parse("https://lab", None), Err(EngineError::NoCertificates(_))));
}

#[test]
fn variables_ask_for_tls() {
    let environment =
        Environment { host: Some("tcp://lab:2376".into()), tls: Some(true), certificates: Some("/certs".into()), ..Environment::default() };
    let Address::Tcp { tls: Some(tls), .. } = Endpoint::find(None, &environment).unwrap().address else { panic!("no TLS") };
    assert_eq!(tls, TlsFiles { folder: "/certs".into(), verifies: true });
}
