//! One request on a fresh connection, down to the first bytes.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::io::{Tap, Trace, broken, printable, read_trace};
use super::{CERTIFICATE_WANTED, Head, Outcome, Request, Response, Scheme, Signature, TlsFacts};

/// Bytes of a body that are read.
const LARGEST_BODY: usize = 64 << 10;
/// Characters of a body that are kept for fingerprints.
const BODY_START: usize = 512;
const MOST_HEADERS: usize = 64;
/// Header lines that a response may have; gateways pass on far more than they would ever see.
const MOST_LINES: usize = 1024;
const LONGEST_HEADER: usize = 512;

/// Sends a request and reads the head of its response and a bounded part of the body.
pub async fn request(request: &Request, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let stream = match timeout_at(deadline, super::io::connect(request.to)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(outcome)) => return outcome,
        Err(_) => return broken(Signature::ConnTimeout, ""),
    };
    if !request.scheme.is_tls() {
        let (tap, trace) = Tap::new(stream);
        return exchange(request, tap, &trace, None, deadline).await;
    }
    let alpn = [if request.scheme == Scheme::H2 { "h2" } else { "http/1.1" }.to_owned()];
    let handshake = super::tls::establish(stream, request.to, request.server_name.as_deref(), &alpn);
    match timeout_at(deadline, handshake).await {
        Ok(Ok((stream, facts))) => {
            // What counts now is what comes inside TLS.
            let (tap, trace) = Tap::new(stream);
            exchange(request, tap, &trace, Some(facts), deadline).await
        }
        Ok(Err(outcome)) => outcome,
        Err(_) => broken(Signature::ReadTimeout, "no answer to the TLS handshake"),
    }
}

async fn exchange<S>(request: &Request, stream: S, trace: &std::sync::Mutex<Trace>, tls: Option<TlsFacts>, deadline: Instant) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let built = match build(request) {
        Ok(built) => built,
        Err(why) => return Outcome::NotSent(why),
    };
    let http2 = matches!(request.scheme, Scheme::H2 | Scheme::H2c);
    let answer = timeout_at(deadline, send(built, TokioIo::new(stream), http2)).await;
    match answer {
        Ok(Ok(response)) => read(response, &read_trace(trace), tls, deadline).await,
        Ok(Err(error)) => failure(&error, &read_trace(trace), http2, tls.as_ref()),
        Err(_) => silence(&read_trace(trace), http2),
    }
}

fn build(request: &Request) -> Result<hyper::Request<Empty<Bytes>>, String> {
    let http2 = matches!(request.scheme, Scheme::H2 | Scheme::H2c);
    let scheme = if request.scheme.is_tls() { "https" } else { "http" };
    let target = if http2 { format!("{scheme}://{}{}", request.host, request.path) } else { request.path.clone() };
    let mut builder = hyper::Request::builder()
        .method(request.method.to_string().as_str())
        .uri(target)
        .header("user-agent", concat!("culprit/", env!("CARGO_PKG_VERSION")))
        .header("accept", "*/*");
    if !http2 {
        builder = builder.header("host", &request.host).header("connection", "close");
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder.body(Empty::new()).map_err(|e| format!("the request cannot be written: {e}"))
}

async fn send<S>(request: hyper::Request<Empty<Bytes>>, io: TokioIo<S>, http2: bool) -> hyper::Result<hyper::Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        return sender.send_request(request).await;
    }
    // As lenient as browsers are; what others refuse is judged by the head's bytes.
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_headers(MOST_LINES).ignore_invalid_headers_in_responses(true).allow_spaces_after_header_name_in_responses(true);
    let (mut sender, connection) = builder.handshake(io).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// What a failed exchange says, by the bytes that came rather than by the library's words.
fn failure(error: &hyper::Error, trace: &Trace, http2: bool, tls: Option<&TlsFacts>) -> Outcome {
    let bytes = trace.first_bytes.as_slice();
    let with_bytes = |signature: Signature, detail: String| Outcome::Broken { signature, detail, first_bytes: bytes.to_vec() };
    match bytes {
        [] => without_a_byte(trace, tls),
        // RFC 8446 §5.1: a fatal alert or a handshake record in plain view.
        [21 | 22, 3, ..] if tls.is_none() => with_bytes(Signature::PlainToTls, "the port answers with a TLS record".into()),
        [b'H', b'T', b'T', b'P', b'/', ..] if http2 => with_bytes(Signature::H2ToH1, String::new()),
        [b'H', b'T', b'T', b'P', b'/', ..] if error.is_parse_too_large() => with_bytes(Signature::HdrBig, String::new()),
        [b'H', b'T', b'T', b'P', b'/', ..] if error.is_parse() => malformed(trace),
        [b'H', b'T', b'T', b'P', b'/', ..] => with_bytes(trace.ending(), "the response head was cut".into()),
        // RFC 9113 §3.4: a server's connection preface is a SETTINGS frame (type 4); one that is put off says GOAWAY (type 7).
        [0, _, _, 4 | 7, ..] if !http2 => with_bytes(Signature::H1ToH2, String::new()),
        [0, _, _, 4 | 7, ..] => with_bytes(trace.ending(), String::new()),
        other => {
            let shown = printable(&other[..other.len().min(32)]);
            with_bytes(Signature::HdrBad, format!("the port speaks something else: \"{shown}\""))
        }
    }
}

/// A connection that ended before anything came. TLS 1.3 tells a client that lacks a certificate only after the handshake (RFC 8446 §4.4.2.4).
fn without_a_byte(trace: &Trace, tls: Option<&TlsFacts>) -> Outcome {
    let ending = if trace.reset { Signature::RstEarly } else { Signature::EofEarly };
    let wanted = if tls.is_some_and(|t| t.client_certificate_requested) { CERTIFICATE_WANTED } else { "" };
    match trace.alert {
        Some(alert) => broken(Signature::TlsAlert, format!("TLS alert {} ({alert:?}){wanted}", u8::from(alert))),
        None if wanted.is_empty() => broken(ending, ""),
        None => broken(ending, format!("{}{wanted}", ending.plain_words())),
    }
}

/// A head that not even a lenient reader takes.
fn malformed(trace: &Trace) -> Outcome {
    let bytes = trace.head.bytes();
    let fault = super::head::faults(bytes).first().map(|e| format!("malformed response head: {e}"));
    let detail = fault.unwrap_or_else(|| "malformed response head".into());
    Outcome::Broken { signature: Signature::HdrBad, detail, first_bytes: bytes.to_vec() }
}

/// What a silent peer says: nothing at all, or the greeting of another protocol without a line end.
fn silence(trace: &Trace, http2: bool) -> Outcome {
    let bytes = trace.first_bytes.as_slice();
    match bytes {
        [] => broken(Signature::ReadTimeout, ""),
        [b'H', b'T', b'T', b'P', b'/', ..] => broken(Signature::ReadTimeout, "the response head stopped half-way"),
        [0, _, _, 4 | 7, ..] if !http2 => {
            Outcome::Broken { signature: Signature::H1ToH2, detail: String::new(), first_bytes: bytes.to_vec() }
        }
        [0, _, _, 4 | 7, ..] => broken(Signature::ReadTimeout, ""),
        other => Outcome::Broken {
            signature: Signature::HdrBad,
            detail: format!("the port speaks something else: \"{}\"", printable(&other[..other.len().min(32)])),
            first_bytes: other.to_vec(),
        },
    }
}

async fn read(response: hyper::Response<Incoming>, trace: &Trace, tls: Option<TlsFacts>, deadline: Instant) -> Outcome {
    let (head, mut body) = response.into_parts();
    let mut bytes: Vec<u8> = Vec::new();
    let (mut body_cut, mut chunks_malformed) = (false, false);
    while bytes.len() < LARGEST_BODY {
        // A body that streams on (server-sent events) is no fault: its head came, and that answers the question.
        let Ok(Some(frame)) = timeout_at(deadline, body.frame()).await else { break };
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default().iter().take(LARGEST_BODY - bytes.len())),
            Err(error) => {
                (body_cut, chunks_malformed) = (true, is_malformed(&error));
                break;
            }
        }
    }
    let measured = trace.head.head().unwrap_or_else(|| measure(&head.headers));
    let headers = head.headers.iter().take(MOST_HEADERS).map(|(name, value)| {
        let value = value.as_bytes();
        (name.as_str().to_owned(), printable(&value[..value.len().min(LONGEST_HEADER)]))
    });
    Outcome::Response(Box::new(Response {
        status: head.status.as_u16(),
        version: format!("{:?}", head.version),
        headers: headers.collect(),
        body_start: body_start(&bytes),
        body_hash: fnv1a(&bytes),
        body_length: bytes.len(),
        body_cut,
        chunks_malformed,
        head: measured,
        tls,
    }))
}

/// Whether a body's own framing is wrong, as chunks without a size are, and the connection is not to blame.
fn is_malformed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    source.is_some_and(|e| {
        let by_peer = e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        !by_peer && matches!(e.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData)
    })
}

/// The size of an HTTP/2 head as the same headers have in HTTP/1.
fn measure(headers: &hyper::HeaderMap) -> Head {
    let lines: Vec<usize> = headers.iter().map(|(name, value)| name.as_str().len() + ": ".len() + value.len()).collect();
    let length = "HTTP/1.1 200 OK\r\n\r\n".len() + lines.iter().map(|l| l + "\r\n".len()).sum::<usize>();
    Head { length, longest_field: lines.iter().copied().max().unwrap_or_default(), fields: lines.len(), faults: Vec::new() }
}

fn body_start(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(BODY_START).map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// FNV-1a: the same on every machine and in every version, which the standard library's hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
