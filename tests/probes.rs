//! Every probe against real sockets on loopback: each way that a wire can fail gives its own signature.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use culprit::probe::{DnsFailure, HeadFault, Method, Outcome, Probe, Question, Request, Response, Scheme, Signature};
use culprit::vantage::Vantage;
use culprit::vantage::local::Local;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const LIMIT: Duration = Duration::from_millis(600);

/// What a server does with a connection after it has read the request.
#[derive(Clone, Copy)]
enum Then {
    Say(&'static [u8]),
    SayFirst(&'static [u8]),
    Nothing,
    Close,
    Reset,
    SayAndHold(&'static [u8]),
}

async fn server(then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, then));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, then: Then) {
    let mut buffer = [0; 4096];
    if let Then::SayFirst(bytes) = then {
        let _ = stream.write_all(bytes).await;
    }
    let _ = stream.read(&mut buffer).await;
    match then {
        Then::Say(bytes) => drop(stream.write_all(bytes).await),
        Then::SayFirst(_) | Then::Close => {}
        Then::Nothing => std::future::pending().await,
        Then::Reset => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
        Then::SayAndHold(bytes) => {
            let _ = stream.write_all(bytes).await;
            std::future::pending::<()>().await;
        }
    }
}

async fn ask(question: Question) -> Outcome {
    let probe = Probe { timeout: LIMIT, ..Probe::new(question) };
    Local::new("a test", Vec::new()).allowing_loopback().ask(&probe).await.outcome
}

async fn get(to: SocketAddr, scheme: Scheme) -> Outcome {
    let request = Request {
        to,
        scheme,
        server_name: Some("shop.test".into()),
        method: Method::Get,
        host: "shop.test".into(),
        path: "/".into(),
        headers: Vec::new(),
    };
    ask(Question::Request(request.into())).await
}

fn signature(outcome: &Outcome) -> Signature {
    match outcome {
        Outcome::Broken { signature, .. } => *signature,
        other => panic!("{other:?} is not broken"),
    }
}

fn response(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Response(response) => *response,
        other => panic!("{other:?} is no response"),
    }
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(signature(&get(address, Scheme::Http).await), Signature::Refused);
    assert_eq!(signature(&ask(Question::Connect { to: address }).await), Signature::Refused);
}

#[tokio::test]
async fn silence_after_the_request_is_a_read_timeout() {
    assert_eq!(signature(&get(server(Then::Nothing).await, Scheme::Http).await), Signature::ReadTimeout);
}

#[tokio::test]
async fn a_close_and_a_reset_are_told_apart() {
    assert_eq!(signature(&get(server(Then::Close).await, Scheme::Http).await), Signature::EofEarly);
    assert_eq!(signature(&get(server(Then::Reset).await, Scheme::Http).await), Signature::RstEarly);
}

#[tokio::test]
async fn a_banner_is_not_http_whether_the_server_then_closes_or_waits() {
    assert_eq!(signature(&get(server(Then::SayFirst(b"SSH-2.0-OpenSSH_9.2\r\n")).await, Scheme::Http).await), Signature::HdrBad);
    let waiting = get(server(Then::SayAndHold(b"-ERR unknown command")).await, Scheme::Http).await;
    assert_eq!(signature(&waiting), Signature::HdrBad);
    let Outcome::Broken { detail, .. } = waiting else { unreachable!() };
    assert!(detail.contains("-ERR unknown command"), "{detail}");
}

#[tokio::test]
async fn a_malformed_header_is_told_and_an_endless_one_too_big() {
    let malformed = server(Then::Say(b"HTTP/1.1 200 OK\r\nno colon here\r\nx y: 1\r\ncontent-length: 2\r\n\r\nok")).await;
    let page = response(get(malformed, Scheme::Http).await);
    assert_eq!((page.status, page.body_start.as_str(), page.head.fields), (200, "ok", 3));
    assert_eq!(page.head.faults.iter().map(|e| e.fault).collect::<Vec<_>>(), [HeadFault::NoColon, HeadFault::SpaceInName]);
    let mut big = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    big.extend(std::iter::repeat_n(b'a', 1 << 20));
    let big: &'static [u8] = Box::leak(big.into_boxed_slice());
    assert_eq!(signature(&get(server(Then::SayAndHold(big)).await, Scheme::Http).await), Signature::HdrBig);
}

#[tokio::test]
async fn a_head_that_no_reader_takes_is_bad_and_says_why() {
    for (head, why) in [
        ("HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "a NUL in a header's value: \"x\""),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", "two Content-Length headers that differ"),
        ("HTTP/1.1 abc OK\r\n\r\n", "a first line that is no status line"),
    ] {
        let outcome = get(server(Then::Say(head.as_bytes())).await, Scheme::Http).await;
        assert_eq!(signature(&outcome), Signature::HdrBad);
        let Outcome::Broken { detail, .. } = outcome else { unreachable!() };
        assert!(detail.contains(why), "{detail}");
    }
}

#[tokio::test]
async fn a_head_is_measured() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\n", "a".repeat(9000));
    let page: &'static str = Box::leak(format!("{head}ok").into_boxed_str());
    let page = response(get(server(Then::Say(page.as_bytes())).await, Scheme::Http).await);
    assert_eq!((page.head.length, page.head.longest_field), (head.len(), 9003));
}

#[tokio::test]
async fn http_1_0_without_a_length_and_chunked_bodies_are_read_whole() {
    let old = response(get(server(Then::Say(b"HTTP/1.0 200 OK\r\n\r\nhello")).await, Scheme::Http).await);
    assert_eq!((old.status, old.body_start.as_str(), old.body_cut), (200, "hello", false));
    let chunked = server(Then::Say(b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).await;
    let chunked = response(get(chunked, Scheme::Http).await);
    assert_eq!((chunked.status, chunked.body_start.as_str()), (404, "abc"));
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_cut_and_a_stream_that_goes_on_is_not() {
    let short = response(get(server(Then::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")).await, Scheme::Http).await);
    assert!(short.body_cut && !short.chunks_malformed);
    let stream = server(Then::SayAndHold(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")).await;
    let stream = response(get(stream, Scheme::Http).await);
    assert_eq!((stream.status, stream.body_cut), (200, false));
}

#[tokio::test]
async fn chunks_that_are_none_and_chunks_that_stop_are_told_apart() {
    let chunked = async |body: &str| {
        let text: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}").into_boxed_str());
        let page = response(get(server(Then::Say(text.as_bytes())).await, Scheme::Http).await);
        (page.body_cut, page.chunks_malformed)
    };
    assert_eq!(chunked("<html>hello</html>\n").await, (true, true));
    assert_eq!(chunked("3\r\nabcd\r\n0\r\n\r\n").await, (true, true));
    assert_eq!(chunked("3\r\nabc\r\n").await, (true, false));
    assert_eq!(chunked("3\r\nabc\r\n0\r\n\r\n").await, (false, false));
}

#[tokio::test]
async fn control_characters_of_a_response_are_not_passed_on() {
    let page = response(get(server(Then::Say(b"HTTP/1.1 200 OK\r\nx: a\tb\r\n\r\n\x1b[31mred")).await, Scheme::Http).await);
    assert!(!page.body_start.contains('\x1b'));
    assert_eq!(page.header("x"), Some("a\\tb"));
}

#[tokio::test]
async fn a_client_hello_to_a_plain_port_is_tls_to_plain() {
    let plain = server(Then::Say(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")).await;
    assert_eq!(signature(&get(plain, Scheme::Https).await), Signature::TlsToPlain);
    let silent = server(Then::Nothing).await;
    assert_eq!(signature(&get(silent, Scheme::Https).await), Signature::ReadTimeout);
}

#[tokio::test]
async fn plain_text_to_a_tls_port_is_seen_by_its_alert() {
    let alert = server(Then::Say(&[21, 3, 1, 0, 2, 2, 70])).await;
    assert_eq!(signature(&get(alert, Scheme::Http).await), Signature::PlainToTls);
}

#[tokio::test]
async fn versions_of_http_that_do_not_fit_are_named() {
    let settings = server(Then::SayFirst(&[0, 0, 0, 4, 0, 0, 0, 0, 0])).await;
    assert_eq!(signature(&get(settings, Scheme::Http).await), Signature::H1ToH2);
    let goaway = server(Then::Say(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])).await;
    assert_eq!(signature(&get(goaway, Scheme::Http).await), Signature::H1ToH2);
    let http1 = server(Then::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    assert_eq!(signature(&get(http1, Scheme::H2c).await), Signature::H2ToH1);
}

#[tokio::test]
async fn a_tls_server_answers_and_its_certificate_is_recorded() {
    let page = response(get(tls_server(false).await, Scheme::Https).await);
    let tls = page.tls.expect("TLS facts");
    let certificate = tls.certificate.expect("a certificate");
    assert_eq!(page.status, 200);
    assert!(certificate.covers("shop.test") && !certificate.covers("other.test"));
    assert!(!tls.client_certificate_requested);
}

#[tokio::test]
async fn a_request_for_a_client_certificate_is_seen() {
    let outcome = ask(Question::Handshake { to: tls_server(true).await, server_name: Some("shop.test".into()), alpn: Vec::new() }).await;
    match outcome {
        Outcome::TlsEstablished(facts) => assert!(facts.client_certificate_requested),
        other => assert_eq!(signature(&other), Signature::TlsAlert),
    }
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_says_so_in_every_version_of_tls() {
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let limit = Duration::from_secs(5);
        let request = Request {
            to: tls_server_of(true, versions).await,
            scheme: Scheme::Https,
            server_name: Some("shop.test".into()),
            method: Method::Get,
            host: "shop.test".into(),
            path: "/".into(),
            headers: Vec::new(),
        };
        let probe = Probe { timeout: limit, ..Probe::new(Question::Request(request.into())) };
        let seen = Local::new("a test", Vec::new()).allowing_loopback().ask(&probe).await;
        assert_eq!(signature(&seen.outcome), Signature::TlsAlert, "{versions:?}");
        assert!(seen.wants_client_certificate(), "{versions:?}: {seen}");
    }
}

async fn tls_server(client_certificates: bool) -> SocketAddr {
    tls_server_of(client_certificates, rustls::DEFAULT_VERSIONS).await
}

async fn tls_server_of(client_certificates: bool, versions: &[&'static rustls::SupportedProtocolVersion]) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(vec!["shop.test".into()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let builder = if client_certificates {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut buffer = [0; 1024];
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                }
            });
        }
    });
    address
}

/// A DNS server that answers every question in one way; none stays silent.
async fn dns_server(answer: Option<fn(&mut Message)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Some(answer) = answer else { continue };
            let mut message = Message::from_vec(&buffer[..length]).unwrap().into_response();
            answer(&mut message);
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

async fn resolve(name: &str, server: SocketAddr) -> Outcome {
    ask(Question::Resolve { name: name.into(), server: Some(server) }).await
}

#[tokio::test]
async fn every_way_that_a_name_does_not_resolve_is_told_apart() {
    let failing = async |answer: Option<fn(&mut Message)>, expected: DnsFailure| {
        assert_eq!(resolve("shop.test", dns_server(answer).await).await, Outcome::NotResolved(expected));
    };
    failing(Some(|m| m.metadata.response_code = ResponseCode::NXDomain), DnsFailure::NxDomain).await;
    failing(Some(|m| m.metadata.response_code = ResponseCode::ServFail), DnsFailure::ServFail).await;
    failing(Some(|m| m.metadata.response_code = ResponseCode::Refused), DnsFailure::Refused).await;
    failing(Some(|_| ()), DnsFailure::NoData).await;
    failing(None, DnsFailure::Timeout).await;
}

#[tokio::test]
async fn a_name_resolves_to_its_addresses() {
    let server = dns_server(Some(|m| {
        let name = m.queries[0].name().clone();
        if m.queries[0].query_type() == RecordType::A {
            m.add_answer(Record::from_rdata(name, 5, RData::A("192.0.2.7".parse().unwrap())));
        }
    }))
    .await;
    assert_eq!(resolve("shop.test", server).await, Outcome::Resolved(vec!["192.0.2.7".parse().unwrap()]));
}

#[tokio::test]
async fn both_questions_come_from_one_port_and_a_lost_one_is_asked_again() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let serve = tokio::spawn(async move {
        let (mut buffer, mut asked) = ([0; 512], Vec::new());
        // The first question for AAAA is lost.
        while asked.len() < 3 {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut message = Message::from_vec(&buffer[..length]).unwrap().into_response();
            let kind = message.queries[0].query_type();
            asked.push((kind, from));
            let address = match kind {
                RecordType::A => RData::A("192.0.2.7".parse().unwrap()),
                _ if asked.len() < 3 => continue,
                _ => RData::AAAA("2001:db8::7".parse().unwrap()),
            };
            message.add_answer(Record::from_rdata(message.queries[0].name().clone(), 5, address));
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
        asked
    });
    let begun = std::time::Instant::now();
    let question = Question::Resolve { name: "shop.test".into(), server: Some(server) };
    let probe = Probe { timeout: Duration::from_secs(5), ..Probe::new(question) };
    let outcome = Local::new("a test", Vec::new()).allowing_loopback().ask(&probe).await.outcome;
    assert_eq!(outcome, Outcome::Resolved(vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]));
    assert!(begun.elapsed() >= culprit::probe::dns::RESEND, "{:?}", begun.elapsed());
    let asked = serve.await.unwrap();
    assert_eq!(asked.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [RecordType::A, RecordType::AAAA, RecordType::AAAA]);
    assert!(asked.iter().all(|(_, from)| *from == asked[0].1));
}

#[tokio::test]
async fn what_is_no_name_is_not_asked() {
    for name in ["http://shop.test", "shop.test:80", "", "a..b", "192.0.2.1"] {
        assert_eq!(resolve(name, dns_server(None).await).await, Outcome::NotResolved(DnsFailure::InvalidName), "{name}");
    }
}

#[tokio::test]
async fn loopback_and_metadata_addresses_are_never_probed() {
    let vantage = Local::new("a test", Vec::new());
    for address in ["127.0.0.1:80", "169.254.169.254:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "0.0.0.0:80", "224.0.0.1:80"] {
        let observation = vantage.ask(&Probe::connect(address.parse().unwrap())).await;
        assert!(matches!(observation.outcome, Outcome::NotSent(_)), "{address}: {:?}", observation.outcome);
    }
}
