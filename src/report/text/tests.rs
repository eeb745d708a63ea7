use super::*;
use crate::api::{Confidence, Evidence, EvidenceKind, Finding, Fix, Hop, HopState, HopStatus, Proof, RouteStatus};
use crate::report::document;
use crate::snapshot::objects::{Kind, ObjectRef};

fn hop(hop: Hop, state: HopState, object: &str, detail: &str) -> HopStatus {
    let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    HopStatus { hop, objects: some(object).into_iter().collect(), state, detail: some(detail) }
}

fn finding() -> Finding {
    let probe = |text: &str| Evidence { kind: EvidenceKind::Probe, vantage: Some("this machine".into()), text: text.into() };
    Finding {
        cause: "svc-targetport-wrong".into(),
        hop: Hop::Socket,
        confidence: Confidence::Proven,
        message: "Service shop/web sends to port 8088, but its pods listen on 8080.".into(),
        evidence: vec![
            probe("GET http://10.244.1.7:8088/ → connection refused"),
            Evidence { kind: EvidenceKind::Object, vantage: None, text: "Service shop/web has targetPort 8088".into() },
            Evidence { vantage: Some("pod traefik/traefik-x".into()), ..probe("connect 10.244.1.7:8088 → connection refused") },
        ],
        proof: Some(Proof {
            failing: "GET http://10.244.1.7:8088/ → connection refused".into(),
            passing: "GET http://10.244.1.7:8080/ → 200".into(),
        }),
        fix: Some(Fix { summary: "Set targetPort to 8080.".into(), commands: vec!["kubectl -n shop patch service web -p '…'".into()] }),
        ..Finding::default()
    }
}

fn failing() -> DiagnosisStatus {
    let also = Finding {
        cause: "app-wrong-port".into(),
        confidence: Confidence::Possible,
        message: "The application may be meant to listen on 8088.".into(),
        ..Finding::default()
    };
    let route = |path: &str, verdict, findings| RouteStatus { host: Some("shop.test".into()), path: path.into(), verdict, findings };
    DiagnosisStatus {
        target: Some("ingress/web".into()),
        verdict: Verdict::Failing,
        cause: Some("svc-targetport-wrong".into()),
        hop: Some(Hop::Socket),
        message: Some(finding().message),
        answered_by: Some(AnsweredBy::Gateway),
        routes: vec![route("/", Verdict::Failing, vec![0, 1]), route("/api", Verdict::Healthy, Vec::new())],
        hops: vec![
            hop(Hop::Gateway, HopState::Passing, "Pod/traefik/traefik-x", "Traefik, found by its class"),
            hop(Hop::Route, HopState::Passing, "Ingress/shop/web", "shop.test/"),
            hop(Hop::Service, HopState::Passing, "Service/shop/web", "port 80 → 8088"),
            hop(Hop::Endpoint, HopState::Passing, "Pod/shop/web-1", "1 of 1 ready"),
            hop(Hop::Network, HopState::Passing, "", ""),
            hop(Hop::Socket, HopState::Failing, "", ""),
            hop(Hop::Protocol, HopState::NotReached, "", "http"),
            hop(Hop::Application, HopState::NotReached, "", ""),
        ],
        findings: vec![finding(), also],
        ..DiagnosisStatus::default()
    }
}

fn report(status: DiagnosisStatus) -> Report {
    let target = ObjectRef::new(Kind::Ingress, "shop", "web");
    Report { document: document::of(&target, crate::api::DiagnosisSpec::default(), status), unknown: Vec::new() }
}

fn healthy() -> DiagnosisStatus {
    DiagnosisStatus {
        target: Some("ingress/api".into()),
        verdict: Verdict::Healthy,
        message: Some("api.test/ answers as expected.".into()),
        ..DiagnosisStatus::default()
    }
}

fn format(unicode: bool, width: usize) -> Format {
    Format { unicode, width, vantage: Some("this machine".into()) }
}

/// As where the output is no terminal: without colours.
fn plain(reports: &[Report], format: &Format) -> String {
    anstream::adapter::strip_str(&of(reports, format)).to_string()
}

#[test]
fn a_failing_route_is_told_in_full() {
    insta::assert_snapshot!(plain(&[report(failing())], &format(true, 160)), @r"
    Failing  ingress/web -n shop  shop.test/  svc-targetport-wrong (Proven)
      Service shop/web sends to port 8088, but its pods listen on 8080.

      Client ── Gateway ✓ ────────── Route ✓ ───── Service ✓ ────── Endpoint ✓ ──── Network ✓ ── Socket ✗ ┄┄ Protocol · ┄┄ Application ·
                traefik/traefik-x    shop.test/    web:80 → 8088    1 of 1 ready

      Proof       GET http://10.244.1.7:8088/ → connection refused
                  GET http://10.244.1.7:8080/ → 200
      Evidence    Service shop/web has targetPort 8088
                  connect 10.244.1.7:8088 → connection refused (from pod traefik/traefik-x)
      Fix         Set targetPort to 8080.
                  kubectl -n shop patch service web -p '…'
      Answered    by the gateway itself
      Routes      Failing   shop.test/  svc-targetport-wrong
                  Healthy   shop.test/api
      Also        app-wrong-port (Possible): The application may be meant to listen on 8088.
      Asked from  this machine
      More        culprit explain svc-targetport-wrong
    ");
}

#[test]
fn what_two_nodes_see_of_one_address_is_told_apart() {
    let mut status = failing();
    let seen = |node: &str, outcome: &str| Evidence {
        kind: EvidenceKind::Probe,
        vantage: Some(format!("pod traefik/traefik-{node} on {node}")),
        text: format!("connect 10.244.3.7:8080 → {outcome}"),
    };
    let lost = "connect 10.244.3.7:8080 → no answer (from pod traefik/traefik-node1 on node1)";
    let reached = "connect 10.244.3.7:8080 → connected (from pod traefik/traefik-node3 on node3)";
    status.findings[0].proof = Some(Proof { failing: lost.into(), passing: reached.into() });
    status.findings[0].evidence = vec![seen("node1", "no answer"), seen("node3", "connected"), seen("node2", "connected")];
    let text = plain(&[report(status)], &format(true, 140));
    for line in [lost, reached, "connect 10.244.3.7:8080 → connected (from pod traefik/traefik-node2 on node2)"] {
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
}

#[test]
fn a_narrow_terminal_gets_the_row_on_several_lines_and_wrapped_sentences() {
    insta::assert_snapshot!(plain(&[report(failing())], &format(true, 60)), @r"
    Failing  ingress/web -n shop  shop.test/  svc-targetport-wrong (Proven)
      Service shop/web sends to port 8088, but its pods listen
      on 8080.

      Client ── Gateway ✓ ────────── Route ✓ ──
                traefik/traefik-x    shop.test/
      ── Service ✓ ────── Endpoint ✓ ──── Network ✓ ── Socket ✗ ──
         web:80 → 8088    1 of 1 ready
      ┄┄ Protocol · ┄┄ Application ·

      Proof       GET http://10.244.1.7:8088/ → connection refused
                  GET http://10.244.1.7:8080/ → 200
      Evidence    Service shop/web has targetPort 8088
                  connect 10.244.1.7:8088 → connection refused
                  (from pod traefik/traefik-x)
      Fix         Set targetPort to 8080.
                  kubectl -n shop patch service web -p '…'
      Answered    by the gateway itself
      Routes      Failing   shop.test/  svc-targetport-wrong
                  Healthy   shop.test/api
      Also        app-wrong-port (Possible): The application may
                  be meant to listen on 8088.
      Asked from  this machine
      More        culprit explain svc-targetport-wrong
    ");
}

#[test]
fn a_locale_without_unicode_gets_ascii_alone() {
    let text = plain(&[report(failing())], &format(false, 100));
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text, @r"
    Failing  ingress/web -n shop  shop.test/  svc-targetport-wrong (Proven)
      Service shop/web sends to port 8088, but its pods listen on 8080.

      Client -- Gateway ok --------- Route ok ---- Service ok ------ Endpoint ok --- Network ok --
                traefik/traefik-x    shop.test/    web:80 -> 8088    1 of 1 ready
      -- Socket FAILS .. Protocol - .. Application -

      Proof       GET http://10.244.1.7:8088/ -> connection refused
                  GET http://10.244.1.7:8080/ -> 200
      Evidence    Service shop/web has targetPort 8088
                  connect 10.244.1.7:8088 -> connection refused (from pod traefik/traefik-x)
      Fix         Set targetPort to 8080.
                  kubectl -n shop patch service web -p '...'
      Answered    by the gateway itself
      Routes      Failing   shop.test/  svc-targetport-wrong
                  Healthy   shop.test/api
      Also        app-wrong-port (Possible): The application may be meant to listen on 8088.
      Asked from  this machine
      More        culprit explain svc-targetport-wrong
    ");
}

#[test]
fn a_healthy_target_is_one_line() {
    insta::assert_snapshot!(plain(&[report(healthy())], &format(true, 100)), @r"
    Healthy  ingress/api -n shop  api.test/ answers as expected.
    ");
}

#[test]
fn several_targets_are_a_table_then_what_fails_then_the_counts() {
    let mut short = failing();
    short.hops.clear();
    short.routes.truncate(1);
    short.findings = vec![Finding { evidence: Vec::new(), ..finding() }];
    insta::assert_snapshot!(plain(&[report(healthy()), report(short)], &format(true, 100)), @r"
    NAMESPACE  TARGET       VERDICT  HOP     CAUSE
    shop       ingress/api  Healthy  -       -
    shop       ingress/web  Failing  Socket  svc-targetport-wrong

    Failing  ingress/web -n shop  shop.test/  svc-targetport-wrong (Proven)
      Service shop/web sends to port 8088, but its pods listen on 8080.

      Proof       GET http://10.244.1.7:8088/ → connection refused
                  GET http://10.244.1.7:8080/ → 200
      Fix         Set targetPort to 8080.
                  kubectl -n shop patch service web -p '…'
      Answered    by the gateway itself
      Asked from  this machine
      More        culprit explain svc-targetport-wrong

    2 targets: 1 failing, 0 degraded, 0 unknown, 1 healthy.
    ");
}

#[test]
fn what_was_not_seen_says_why_and_what_would_tell() {
    let status = DiagnosisStatus {
        target: Some("ingress/web".into()),
        message: Some("shop.test/ was not seen: nothing is probed here.".into()),
        answered_by: Some(AnsweredBy::Unknown),
        ..DiagnosisStatus::default()
    };
    let because = |cause: &str, fact: &str| (cause.to_owned(), fact.to_owned());
    let pods = "pods were not looked up";
    let unknown = vec![
        because("ingress-class-missing", "the class was not looked up"),
        because("a", pods),
        because("b", pods),
        because("c", pods),
        because("d", pods),
    ];
    let offline = Format { vantage: None, ..format(true, 100) };
    insta::assert_snapshot!(plain(&[Report { unknown, ..report(status) }], &offline), @r"
    Unknown  ingress/web -n shop
      shop.test/ was not seen: nothing is probed here.

      Missing     pods were not looked up: cannot tell whether it is a, b or 2 more
                  the class was not looked up: cannot tell whether it is ingress-class-missing
      To tell     diagnose it in its cluster, without -f
      Asked from  nowhere: manifests alone were read
    ");
}

#[test]
fn a_missing_right_is_named_once_and_briefly() {
    let forbidden = |kind: &str| format!("the {kind} could not be looked up: {kind} is forbidden: User \"me\" cannot list resource");
    let unknown = vec![("a".to_owned(), forbidden("pods")), ("b".to_owned(), forbidden("pods")), ("c".to_owned(), forbidden("nodes"))];
    let text = plain(&[Report { unknown, ..report(DiagnosisStatus::default()) }], &format(true, 120));
    assert!(text.contains("Missing     the pods could not be looked up: pods is forbidden: cannot tell whether it is a or b\n"), "{text}");
    assert!(text.contains("To tell     ask for the right to list nodes, pods\n"), "{text}");
    assert!(!text.contains("User"), "{text}");
}

#[test]
fn a_row_that_does_not_fit_ends_where_requests_end() {
    let row = |width| {
        let text = plain(&[report(failing())], &format(true, width));
        text.lines().find(|l| l.contains("Client")).unwrap_or_default().to_owned()
    };
    assert!(row(160).ends_with("Socket ✗ ┄┄ Protocol · ┄┄ Application ·"), "{}", row(160));
    assert!(row(112).ends_with("Socket ✗ ┄┄ …"), "{}", row(112));
}

#[test]
fn a_service_has_neither_rule_nor_host() {
    let mut of_service = report(failing());
    of_service.document.spec.target.kind = TargetKind::Service;
    let text = plain(&[of_service], &format(true, 160));
    assert!(!text.contains("Route ✓") && text.lines().next().is_some_and(|l| !l.contains("shop.test/")), "{text}");
}

#[test]
fn only_so_many_targets_are_explained() {
    let many: Vec<Report> = (0..25).map(|_| report(failing())).collect();
    let text = plain(&many, &format(true, 160));
    assert_eq!(text.matches("  Proof").count(), 20);
    assert!(
        text.ends_with("5 more are not healthy; name one to see why.\n25 targets: 25 failing, 0 degraded, 0 unknown, 0 healthy.\n"),
        "{text}"
    );
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_it_is() {
    const EVIL: &str = "\x1b]0;owned\x07\r\n\u{202e}";
    let mut status = failing();
    let evil = |text: &mut String| text.push_str(EVIL);
    evil(status.target.get_or_insert_default());
    evil(status.message.get_or_insert_default());
    evil(&mut status.routes[0].path);
    evil(status.routes[1].host.get_or_insert_default());
    for hop in &mut status.hops {
        hop.objects.iter_mut().for_each(evil);
        hop.detail.iter_mut().for_each(evil);
    }
    for finding in &mut status.findings {
        evil(&mut finding.cause);
        evil(&mut finding.message);
        finding.evidence.iter_mut().for_each(|e| {
            e.text.push_str(EVIL);
            e.vantage.get_or_insert_default().push_str(EVIL);
        });
        finding.proof.iter_mut().for_each(|p| {
            p.failing.push_str(EVIL);
            p.passing.push_str(EVIL);
        });
        finding.fix.iter_mut().for_each(|f| {
            f.summary.push_str(EVIL);
            f.commands.iter_mut().for_each(|c| c.push_str(EVIL));
        });
    }
    status.cause = status.findings.first().map(|f| f.cause.clone());
    let mut one = report(status);
    one.document.metadata.namespace.get_or_insert_default().push_str(EVIL);
    one.unknown = vec![(EVIL.into(), EVIL.into())];
    for reports in [vec![one.clone()], vec![one.clone(), one]] {
        for width in [40, 200] {
            let coloured = of(&reports, &format(true, width));
            let bad = |c: char| matches!(c, '\x07' | '\r' | '\u{202e}');
            assert!(!coloured.contains(bad), "{coloured:?}");
            // Every sequence that is left is a colour.
            assert!(coloured.split('\x1b').skip(1).all(|s| s.starts_with('[') && s.contains('m')), "{coloured:?}");
        }
    }
}
