//! A TLS handshake that records what it sees and trusts nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::io::{Tap, Trace, broken, printable, read_trace};
use super::{CERTIFICATE_WANTED, Certificate, Outcome, Signature, TlsFacts};

/// A connection after its handshake, and what the handshake showed.
pub type Established = (TlsStream<Tap<TcpStream>>, TlsFacts);

/// Connects and does the handshake.
pub async fn handshake(to: SocketAddr, server_name: Option<&str>, alpn: &[String], limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let stream = match timeout_at(deadline, super::io::connect(to)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(outcome)) => return outcome,
        Err(_) => return broken(Signature::ConnTimeout, ""),
    };
    match timeout_at(deadline, establish(stream, to, server_name, alpn)).await {
        Ok(Ok((_, facts))) => Outcome::TlsEstablished(Box::new(facts)),
        Ok(Err(outcome)) => outcome,
        Err(_) => broken(Signature::ReadTimeout, "no answer to the TLS handshake"),
    }
}

/// Does the handshake on a connection.
pub async fn establish(stream: TcpStream, to: SocketAddr, server_name: Option<&str>, alpn: &[String]) -> Result<Established, Outcome> {
    let recorder = Arc::new(Recorder::default());
    let config = config(&recorder, server_name.is_some(), alpn).map_err(|e| Outcome::NotSent(format!("no TLS configuration: {e}")))?;
    let name = match server_name.map(|n| ServerName::try_from(n.to_owned())) {
        Some(Ok(name)) => name,
        // A host that is no DNS name is sent without SNI, as clients do.
        Some(Err(_)) | None => ServerName::from(to.ip()),
    };
    let (tap, trace) = Tap::new(stream);
    match TlsConnector::from(Arc::new(config)).connect(name, tap).await {
        Ok(stream) => {
            let facts = recorder.facts(stream.get_ref().1);
            Ok((stream, facts))
        }
        Err(error) => Err(failure(&error, &read_trace(&trace), recorder.client_certificate_requested.load(Ordering::Relaxed))),
    }
}

/// What a failed handshake says: an alert, plain text, or an end without a word.
fn failure(error: &std::io::Error, trace: &Trace, certificate_requested: bool) -> Outcome {
    // RFC 8446 §5.1: a TLS record begins with its content type, 20 to 24, and major version 3.
    let is_tls = matches!(trace.first_bytes.as_slice(), [20..=24, 3, ..] | [20..=24]);
    if !trace.first_bytes.is_empty() && !is_tls {
        return Outcome::Broken {
            signature: Signature::TlsToPlain,
            detail: format!(
                "the port answers TLS with plain text: \"{}\"",
                printable(&trace.first_bytes[..trace.first_bytes.len().min(24)])
            ),
            first_bytes: trace.first_bytes.clone(),
        };
    }
    let wanted = if certificate_requested { CERTIFICATE_WANTED } else { "" };
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => {
            broken(Signature::TlsAlert, format!("TLS alert {} ({alert:?}){wanted}", u8::from(*alert)))
        }
        Some(other) => broken(Signature::TlsAlert, format!("TLS handshake failed: {other}")),
        None => {
            let ending = if trace.reset { Signature::RstEarly } else { Signature::EofEarly };
            let how = if trace.reset { "connection reset" } else { "connection closed" };
            broken(ending, format!("{how} during the TLS handshake{wanted}"))
        }
    }
}

fn config(recorder: &Arc<Recorder>, with_name: bool, alpn: &[String]) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(recorder.provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_client_cert_resolver(recorder.clone());
    config.enable_sni = with_name;
    config.alpn_protocols = alpn.iter().map(|p| p.clone().into_bytes()).collect();
    // A session kept from another probe would hide the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Records the certificate and whether one was asked for. It accepts every chain, since judging is not its business and no
/// request that it lets through carries anything secret; signatures of the handshake itself are checked.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    leaf: Mutex<Option<Certificate>>,
    client_certificate_requested: AtomicBool,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            leaf: Mutex::new(None),
            client_certificate_requested: AtomicBool::new(false),
        }
    }
}

impl Recorder {
    fn facts(&self, connection: &rustls::ClientConnection) -> TlsFacts {
        TlsFacts {
            version: match connection.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3".into(),
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2".into(),
                _ => "TLS".into(),
            },
            alpn: connection.alpn_protocol().map(printable),
            client_certificate_requested: self.client_certificate_requested.load(Ordering::Relaxed),
            certificate: self.leaf.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = parse(leaf);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        lenient(rustls::crypto::verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        lenient(rustls::crypto::verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Certificates of version 1 and the like are more than the library reads, and gateways take them.
fn lenient(verified: Result<HandshakeSignatureValid, rustls::Error>) -> Result<HandshakeSignatureValid, rustls::Error> {
    match verified {
        Err(rustls::Error::InvalidCertificate(why)) if why != rustls::CertificateError::BadSignature => {
            Ok(HandshakeSignatureValid::assertion())
        }
        other => other,
    }
}

impl ResolvesClientCert for Recorder {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.client_certificate_requested.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // Otherwise rustls does not call `resolve`, and the request for a certificate goes unseen.
        true
    }
}

fn parse(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let common_name = certificate.subject().iter_common_name().next().and_then(|n| n.as_str().ok()).map(str::to_owned);
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|a| &a.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    let validity = certificate.validity();
    Some(Certificate {
        common_name,
        names: names.collect(),
        issuer: certificate.issuer().to_string(),
        self_signed: certificate.issuer() == certificate.subject(),
        not_before: jiff::Timestamp::from_second(validity.not_before.timestamp()).ok(),
        not_after: jiff::Timestamp::from_second(validity.not_after.timestamp()).ok(),
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| std::net::IpAddr::from(b).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|b| std::net::IpAddr::from(b).to_string())).ok()
}
