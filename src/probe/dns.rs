//! A and AAAA of one name, asked of one server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{DnsFailure, Outcome};

/// How long one datagram is waited for before it is sent again.
const RESEND: Duration = Duration::from_millis(900);
/// The largest answer that is read.
const LARGEST: usize = 4096;

/// Resolves a name at the first of these servers that answers.
pub async fn resolve(name: &str, servers: &[SocketAddr], limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let Some(name) = parse(name) else { return Outcome::NotResolved(DnsFailure::InvalidName) };
    let mut last = DnsFailure::Unreachable;
    for server in servers {
        let (a, aaaa) = tokio::join!(ask(&name, RecordType::A, *server, deadline), ask(&name, RecordType::AAAA, *server, deadline));
        match join(a, aaaa) {
            Ok(addresses) => return Outcome::Resolved(addresses),
            Err(failure @ (DnsFailure::Timeout | DnsFailure::Unreachable | DnsFailure::Refused | DnsFailure::ServFail)) => last = failure,
            Err(failure) => return Outcome::NotResolved(failure),
        }
    }
    Outcome::NotResolved(last)
}

/// A name that can be asked for, taken as fully qualified. URLs, ports and empty labels are none.
fn parse(name: &str) -> Option<Name> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(valid) || name.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut parsed = Name::from_ascii(name).ok()?;
    parsed.set_fqdn(true);
    Some(parsed)
}

/// One family is enough; without any address the failure that says most counts.
fn join(a: Result<Vec<IpAddr>, DnsFailure>, aaaa: Result<Vec<IpAddr>, DnsFailure>) -> Result<Vec<IpAddr>, DnsFailure> {
    let mut addresses: Vec<IpAddr> = a.as_ref().into_iter().chain(aaaa.as_ref()).flatten().copied().collect();
    addresses.sort();
    addresses.dedup();
    match (addresses.is_empty(), a, aaaa) {
        (false, _, _) => Ok(addresses),
        (true, Err(failure), _) | (true, _, Err(failure)) => Err(failure),
        (true, Ok(_), Ok(_)) => Err(DnsFailure::NoData),
    }
}

async fn ask(name: &Name, kind: RecordType, server: SocketAddr, deadline: Instant) -> Result<Vec<IpAddr>, DnsFailure> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.clone(), kind));
    let bytes = query.to_vec().map_err(|_| DnsFailure::InvalidName)?;
    let id = query.metadata.id;
    let answer = over_udp(&bytes, id, server, deadline).await?;
    let answer = if answer.metadata.truncation { over_tcp(&bytes, server, deadline).await? } else { answer };
    read(&answer)
}

async fn over_udp(query: &[u8], id: u16, server: SocketAddr, deadline: Instant) -> Result<Message, DnsFailure> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(|_| DnsFailure::Unreachable)?;
    socket.connect(server).await.map_err(|_| DnsFailure::Unreachable)?;
    let mut buffer = vec![0; LARGEST];
    while Instant::now() < deadline {
        socket.send(query).await.map_err(|_| DnsFailure::Unreachable)?;
        let until = deadline.min(Instant::now() + RESEND);
        // A datagram that is no answer to this query is passed over: it may be late or forged.
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let length = received.map_err(|_| DnsFailure::Unreachable)?;
            match Message::from_vec(&buffer[..length]) {
                Ok(answer) if answer.metadata.id == id => return Ok(answer),
                _ => {}
            }
        }
    }
    Err(DnsFailure::Timeout)
}

/// RFC 7766: a truncated answer is asked for again over TCP, with its length in front.
async fn over_tcp(query: &[u8], server: SocketAddr, deadline: Instant) -> Result<Message, DnsFailure> {
    let exchange = async {
        let mut stream = super::io::connect(server).await.map_err(|_| DnsFailure::Unreachable)?;
        let length = u16::try_from(query.len()).map_err(|_| DnsFailure::InvalidName)?;
        let failed = |_: std::io::Error| DnsFailure::Unreachable;
        stream.write_all(&length.to_be_bytes()).await.map_err(failed)?;
        stream.write_all(query).await.map_err(failed)?;
        let mut answer = vec![0; usize::from(stream.read_u16().await.map_err(failed)?)];
        stream.read_exact(&mut answer).await.map_err(failed)?;
        Message::from_vec(&answer).map_err(|_| DnsFailure::ServFail)
    };
    timeout_at(deadline, exchange).await.unwrap_or(Err(DnsFailure::Timeout))
}

/// The addresses of an answer; aliases in it were followed by the server.
fn read(answer: &Message) -> Result<Vec<IpAddr>, DnsFailure> {
    match answer.metadata.response_code {
        ResponseCode::NoError => Ok(answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                _ => None,
            })
            .collect()),
        ResponseCode::NXDomain => Err(DnsFailure::NxDomain),
        ResponseCode::Refused => Err(DnsFailure::Refused),
        _ => Err(DnsFailure::ServFail),
    }
}

/// The servers that a resolv.conf names, in its order (resolv.conf(5): three at most).
pub fn servers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|l| l.trim().strip_prefix("nameserver"));
    lines.filter_map(|l| l.trim().parse::<IpAddr>().ok()).take(3).map(|ip| SocketAddr::new(ip, 53)).collect()
}
