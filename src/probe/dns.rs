//! A and AAAA of one name, asked of one server together.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{DnsFailure, Outcome};

/// How long one datagram is waited for before it is sent again. The C libraries' resolvers wait 5 s (resolv.conf(5)), and so do Go's.
pub const RESEND: Duration = Duration::from_millis(900);
/// The largest answer that is read.
const LARGEST: usize = 4096;

/// Resolves a name at the first of these servers that answers.
pub async fn resolve(name: &str, servers: &[SocketAddr], limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let Some(name) = parse(name) else { return Outcome::NotResolved(DnsFailure::InvalidName) };
    let mut last = DnsFailure::Unreachable;
    for server in servers {
        let [a, aaaa] = ask(&name, *server, deadline).await;
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

/// A question of one type, as it is sent.
struct Query {
    id: u16,
    bytes: Vec<u8>,
}

impl Query {
    fn of(name: &Name, kind: RecordType, id: u16) -> Result<Self, DnsFailure> {
        let mut message = Message::query();
        message.metadata.id = id;
        message.metadata.recursion_desired = true;
        message.add_query(hickory_proto::op::Query::query(name.clone(), kind));
        Ok(Query { id, bytes: message.to_vec().map_err(|_| DnsFailure::InvalidName)? })
    }
}

type Answer<T> = Result<T, DnsFailure>;

async fn ask(name: &Name, server: SocketAddr, deadline: Instant) -> [Answer<Vec<IpAddr>>; 2] {
    let id = Message::query().metadata.id;
    let queries = match (Query::of(name, RecordType::A, id), Query::of(name, RecordType::AAAA, id.wrapping_add(1))) {
        (Ok(a), Ok(aaaa)) => [a, aaaa],
        (Err(failure), _) | (_, Err(failure)) => return [Err(failure), Err(failure)],
    };
    let [a, aaaa] = over_udp(&queries, server, deadline).await;
    let addresses = async |answer: Answer<Message>, query: &Query| match answer? {
        cut if cut.metadata.truncation => read(&over_tcp(&query.bytes, server, deadline).await?),
        whole => read(&whole),
    };
    let (a, aaaa) = tokio::join!(addresses(a, &queries[0]), addresses(aaaa, &queries[1]));
    [a, aaaa]
}

/// Both questions from one socket, one right after the other, as the C libraries' resolvers send them: where a network loses one of two such
/// datagrams, it shows here as well.
async fn over_udp(queries: &[Query; 2], server: SocketAddr, deadline: Instant) -> [Answer<Message>; 2] {
    let mut answers = [Err(DnsFailure::Timeout), Err(DnsFailure::Timeout)];
    if let Err(failure) = exchange(queries, server, deadline, &mut answers).await {
        answers.iter_mut().filter(|answer| answer.is_err()).for_each(|answer| *answer = Err(failure));
    }
    answers
}

async fn exchange(queries: &[Query; 2], server: SocketAddr, deadline: Instant, answers: &mut [Answer<Message>; 2]) -> Answer<()> {
    let unreachable = |_: std::io::Error| DnsFailure::Unreachable;
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    let mut buffer = vec![0; LARGEST];
    while Instant::now() < deadline && answers.iter().any(Answer::is_err) {
        for (query, _) in queries.iter().zip(answers.iter()).filter(|(_, answer)| answer.is_err()) {
            socket.send(&query.bytes).await.map_err(unreachable)?;
        }
        let until = deadline.min(Instant::now() + RESEND);
        while answers.iter().any(Answer::is_err) {
            let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await else { break };
            let length = received.map_err(unreachable)?;
            // A datagram that is no answer to these queries is passed over: it may be late or forged.
            let Ok(message) = Message::from_vec(&buffer[..length]) else { continue };
            if let Some(of) = queries.iter().position(|query| query.id == message.metadata.id) {
                answers[of] = Ok(message);
            }
        }
    }
    Ok(())
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
