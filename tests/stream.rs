//! Agents and controller, talking over TLS on loopback.

#[path = "support/agents.rs"]
mod agents;
#[expect(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use agents::{HUGE, Rig, SILENT, SLOW, Script, connect, gateway};
use bytes::Bytes;
use culprit::agent::run;
use culprit::controller::agents::Unanswered;
use culprit::controller::agents::authority::Authorities;
use culprit::probe::{Outcome, PodRef, Probe, Question};
use culprit::snapshot::objects::{Key, Kind, ObjectRef};
use culprit::stream::{Frames, FromAgent, MESSAGE_LIMIT, METHOD, encode, server_name};
use culprit::vantage::Vantage;
use culprit::vantage::local::Local;
use culprit::vantage::placed::Placed;
use http::uri::PathAndQuery;
use support::case::Fixture;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_back_and_says_where_from() {
    let rig = Rig::new().await;
    let _agent = rig.connected().await;
    let seen = rig.ask(&connect(80)).await.expect("an answer");
    assert_eq!((seen.probe, seen.vantage.as_str(), seen.outcome), (connect(80), "pod traefik/traefik-1", Outcome::Connected));
    assert!(seen.at > jiff::Timestamp::UNIX_EPOCH, "the controller's clock counts");
    assert_eq!(rig.agents.ask("node2", &gateway(), &connect(80)).await, Err(Unanswered::NoSession("node2".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_lets_nobody_in() {
    let rig = Rig::new().await;
    rig.write("token", "of-somebody");
    let why = rig.session(Arc::default()).why().await;
    assert!(why.contains("the token is not valid"), "{why}");
    assert_eq!(*rig.passports.shown.lock().expect("not poisoned"), ["of-somebody"]);
    assert!(rig.agents.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_not_trusted_is_shown_no_token() {
    let rig = Rig::new().await;
    let other = Authorities::default().renewed(jiff::Timestamp::now()).expect("an authority can be made");
    rig.write("ca.crt", &other.bundle());
    let why = rig.session(Arc::default()).why().await;
    assert!(why.contains("invalid peer certificate"), "{why}");
    rig.write("ca.crt", &(other.bundle() + &rig.bundle()));
    rig.connected().await;
    assert_eq!(rig.passports.shown.lock().expect("not poisoned").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_session_ends_what_is_under_way_at_once() {
    let rig = Rig::new().await;
    let agent = rig.connected().await;
    let begun = Instant::now();
    let (silent, asked) = (connect(SILENT), Duration::from_millis(300));
    let (answer, ()) = tokio::join!(rig.ask(&silent), async {
        tokio::time::sleep(asked).await;
        agent.running.abort();
    });
    assert_eq!(answer, Err(Unanswered::NoSession("node1".into())));
    assert!(begun.elapsed() < asked + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_answered_ends_with_its_deadline() {
    let rig = Rig::new().await;
    let _agent = rig.connected().await;
    let probe = Probe { timeout: Duration::from_millis(100), ..connect(SILENT) };
    let begun = Instant::now();
    let answer = rig.ask(&probe).await;
    assert!(matches!(answer, Err(Unanswered::Late(_) | Unanswered::Refused(..))), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_finishes_what_is_under_way_and_takes_nothing_new() {
    let rig = Rig::new().await;
    let script = Arc::new(Script::default());
    let agent = rig.connected_with(script.clone()).await;
    let slow = connect(SLOW);
    let (answer, later) = tokio::join!(rig.ask(&slow), async {
        rig.until("it is asked", || script.asked.load(Ordering::Relaxed) == 1).await;
        agent.ended.cancel();
        rig.until("node1 is gone", || !rig.agents.has("node1")).await;
        rig.ask(&connect(80)).await
    });
    assert_eq!(answer.map(|seen| seen.outcome), Ok(Outcome::Connected));
    assert_eq!(later, Err(Unanswered::NoSession("node1".into())));
    assert_eq!(agent.why().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_wide_or_too_big_is_refused_and_counted() {
    let rig = Rig::new().await;
    let script = Arc::new(Script::default());
    let agent = rig.connected_with(script.clone()).await;
    let wide = Probe { timeout: Duration::from_secs(31), ..connect(80) };
    assert!(matches!(rig.ask(&wide).await, Err(Unanswered::Refused(_, why)) if why.contains("31s is not within 30s")));
    assert_eq!(script.asked.load(Ordering::Relaxed), 0);
    assert!(matches!(rig.ask(&connect(HUGE)).await, Err(Unanswered::Refused(_, why)) if why.contains("is longer than")));
    assert_eq!(agent.shared.refused(), 2);
    assert!(rig.ask(&connect(80)).await.is_ok(), "the session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_takes_the_place_of_an_older_one() {
    let rig = Rig::new().await;
    let older = rig.connected().await;
    let newer = Arc::new(Script::default());
    let slow = connect(SLOW);
    // What the older one has not answered is asked of the newer one.
    let (answer, newer_session) = tokio::join!(rig.ask(&slow), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        rig.session(newer.clone())
    });
    assert_eq!(answer.map(|seen| seen.outcome), Ok(Outcome::Connected));
    assert_eq!(newer.asked.load(Ordering::Relaxed), 1);
    assert!(older.why().await.contains("a newer session"));
    assert!(rig.agents.has("node1") && !newer_session.running.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_comes_back_to_a_controller_that_was_away() {
    let mut rig = Rig::new().await;
    let ended = CancellationToken::new();
    let dial = rig.dial();
    let options = run::Options {
        controller: rig.address.to_string(),
        server_name: Some(dial.server_name),
        ca: dial.ca,
        token: dial.token,
        resolv_conf: String::new(),
    };
    let agent = tokio::spawn(run::run(options, Arc::new(Script::default()), ended.clone()));
    rig.until("node1 is connected", || rig.agents.has("node1")).await;
    rig.restart().await;
    rig.until("the old session is noticed", || rig.passports.shown.lock().expect("not poisoned").len() == 2).await;
    rig.until("node1 is connected again", || rig.agents.has("node1")).await;
    assert!(rig.ask(&connect(80)).await.is_ok());
    ended.cancel();
    let agent = tokio::time::timeout(Duration::from_secs(5), agent).await.expect("it ends");
    assert_eq!(agent.expect("it does not panic"), Ok(()));
}

/// What the controller says to a stream that begins with these messages.
async fn greet(rig: &Rig, token: Option<&str>, frames: Vec<Bytes>) -> Status {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(rig.bundle())).domain_name(server_name("culprit-system"));
    let endpoint = Endpoint::from_shared(format!("https://{}", rig.address)).expect("an address").tls_config(tls).expect("TLS");
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.expect("a connection"));
    grpc.ready().await.expect("ready");
    let frames = futures::StreamExt::chain(futures::stream::iter(frames), futures::stream::pending());
    let mut request = Request::new(frames);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    match grpc.streaming(request, PathAndQuery::from_static(METHOD), Frames).await {
        Ok(opened) => opened.into_inner().message().await.expect_err("the stream ends"),
        Err(status) => status,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_otherwise_is_told_so() {
    let rig = Rig::new().await;
    let hello = |version| encode(&FromAgent::Hello { version }).expect("small");
    let long = Bytes::from(vec![b'x'; MESSAGE_LIMIT + 1]);
    for (token, frames, code, words) in [
        (None, vec![hello(1)], Code::Unauthenticated, "shows its token"),
        (Some("of-node1"), vec![hello(2)], Code::FailedPrecondition, "speaks version 2"),
        (Some("of-node1"), vec![encode(&FromAgent::Leaving).expect("small")], Code::InvalidArgument, "no greeting"),
        (Some("of-node1"), vec![long.clone()], Code::OutOfRange, "too large"),
        (Some("of-node1"), vec![hello(1), long], Code::OutOfRange, "too large"),
    ] {
        let status = greet(&rig, token, frames).await;
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    }
    rig.until("nobody is connected", || rig.agents.is_empty()).await;
}

/// A world whose gateway's pod is on node1.
fn snapshot() -> culprit::snapshot::Snapshot {
    let fixture: Fixture = serde_yaml::from_str("{about: a healthy shop, expect: {verdict: Healthy}}").expect("a fixture");
    let scene = fixture.scene();
    let mut snapshot = culprit::snapshot::Snapshot::default();
    scene.coverage.into_iter().for_each(|(kind, coverage)| snapshot.cover(kind, coverage));
    snapshot.extend(scene.objects);
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_sent_from_inside_the_gateway_and_those_to_it_from_outside() {
    let rig = Rig::new().await;
    let (snapshot, here) = (snapshot(), Local::new("here", Vec::new()));
    let (route, service) = (ObjectRef::new(Kind::Ingress, "shop", "web"), ObjectRef::new(Kind::Service, "shop", "web"));
    // Nothing is sent to loopback from here, so that it is clear who was asked.
    let endpoint = Probe::connect(([127, 0, 0, 1], 80).into());
    let through_gateway = Probe { timeout: Duration::from_millis(50), ..Probe::connect(([10, 244, 1, 2], 8000).into()) };
    let asked_at = async |target: &ObjectRef, probe: &Probe| Placed::of(&here, &rig.agents, &snapshot, target).ask(probe).await.vantage;
    assert_eq!(asked_at(&route, &endpoint).await, "here", "without an agent");
    let agent = rig.connected().await;
    assert_eq!(asked_at(&route, &endpoint).await, "pod traefik/traefik-1");
    assert_eq!(asked_at(&route, &through_gateway).await, "here", "as clients do");
    assert_eq!(asked_at(&service, &endpoint).await, "here", "a Service has no gateway");
    let patient = Probe { timeout: Duration::from_secs(60), ..endpoint.clone() };
    assert_eq!(asked_at(&route, &patient).await, "here", "longer than an agent may");
    let look = |name: &str| {
        let pod = PodRef { namespace: "traefik".into(), name: name.into(), uid: String::new() };
        Probe::new(Question::Look(pod))
    };
    assert_eq!(asked_at(&service, &look("traefik-1")).await, "pod traefik/traefik-1", "by its own node's agent");
    let placed = Placed::of(&here, &rig.agents, &snapshot, &route);
    assert!(matches!(placed.ask(&look("traefik-2")).await.outcome, Outcome::NotSent(why) if why.contains("is on no node")));
    let pod = snapshot.pod(&Key::new("traefik", "traefik-1")).known().cloned().expect("the gateway's pod");
    let from_there = endpoint.clone().from_inside(&pod);
    let seen = placed.ask(&from_there).await;
    assert_eq!((seen.vantage.as_str(), &seen.probe), ("pod traefik/traefik-1", &from_there), "where it was named");
    let unentered = here.ask(&from_there).await.outcome;
    assert!(matches!(unentered, Outcome::NotSent(why) if why.contains("no agent")), "this process enters no pod");
    agent.running.abort();
    rig.until("node1 is gone", || !rig.agents.has("node1")).await;
    let unsent = placed.ask(&from_there).await.outcome;
    assert!(matches!(unsent, Outcome::NotSent(why) if why.contains("no agent of node node1")), "nobody else asks for it");
    assert_eq!(placed.ask(&endpoint).await.vantage, "here", "the agent is gone meanwhile");
    let unseen = placed.ask(&look("traefik-1")).await.outcome;
    assert!(matches!(unseen, Outcome::NotSent(why) if why.contains("no agent of node node1")), "nobody else can look");
}
