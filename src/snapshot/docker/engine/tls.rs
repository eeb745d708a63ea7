//! TLS with an engine: the files of `DOCKER_CERT_PATH` or of a context.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::EngineError;
use super::endpoint::TlsFiles;

/// The client's side: `ca.pem` says whom to trust, `cert.pem` and `key.pem` who we are, where they are there.
///
/// # Errors
///
/// [`EngineError::Certificate`] names the file that is missing or broken.
pub fn config(files: &TlsFiles) -> Result<ClientConfig, EngineError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |path: &Path, why: String| EngineError::Certificate { path: path.to_owned(), why };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&files.folder, e.to_string()))?;
    let builder = if files.verifies {
        let path = files.folder.join("ca.pem");
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&path)? {
            roots.add(certificate).map_err(|e| wrong(&path, e.to_string()))?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    };
    let (certificate, key) = (files.folder.join("cert.pem"), files.folder.join("key.pem"));
    if !certificate.exists() && !key.exists() {
        return Ok(builder.with_no_client_auth());
    }
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(|e| wrong(&key, e.to_string()))?;
    builder.with_client_auth_cert(certificates(&certificate)?, secret).map_err(|e| wrong(&certificate, e.to_string()))
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, EngineError> {
    let wrong = |why: String| EngineError::Certificate { path: path.clone(), why };
    let read = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
    let found: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| wrong(e.to_string()))?;
    if found.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(found) }
}

/// A failed handshake, with what to look at.
pub fn explained(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let hint = match cause {
        Some(rustls::Error::InvalidCertificate(_)) => "; ca.pem must be of the authority that signed the engine's certificate",
        Some(rustls::Error::AlertReceived(_)) => "; the engine wants a client certificate that its own ca.pem trusts (cert.pem, key.pem)",
        Some(rustls::Error::InvalidMessage(_)) => "; does the engine speak TLS on this port? Without it, unset DOCKER_TLS_VERIFY",
        _ => "",
    };
    format!("{error}{hint}")
}

/// Takes any certificate, where the user has told the docker client to (SkipTLSVerify, DOCKER_TLS).
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
