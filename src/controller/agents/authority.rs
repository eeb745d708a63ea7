//! The certificate authorities whose certificates agents trust, and the controller's certificate. No I/O.
//!
//! An authority that comes to its end is joined by a newer one, which agents trust long before it signs anything. So a change
//! interrupts nobody, and replicas that read the same Secret agree about it without a word.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::pem::parse_x509_pem;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long an authority lives, and how long before its end a newer one joins it.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
const RENEWAL: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Age from which an authority signs, where there is an older one. Validity is counted in whole days.
const TRUSTED: SignedDuration = SignedDuration::from_hours(3 * 24);
/// How long a certificate of the controller lives. It is made anew many times a day.
const LEAF: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An authority.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    /// Its certificate, as PEM.
    certificate: String,
    /// Its private key, as PEM.
    key: String,
    /// Start and end of its validity.
    from: Timestamp,
    until: Timestamp,
}

/// All authorities by their names, which sort by age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(BTreeMap<String, Authority>);

/// Something that the library for certificates does not do.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate cannot be made.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate that was made cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Use(#[from] rustls::Error),
    /// There is no authority.
    #[error("there is no certificate authority")]
    None,
}

impl Authorities {
    /// Those of a Secret's data: `NAME.crt` and `NAME.key`. A pair that cannot be read or does not fit is none.
    pub fn parse<'d>(data: impl IntoIterator<Item = (&'d String, &'d [u8])>) -> Self {
        let texts: BTreeMap<&str, &str> = data.into_iter().filter_map(|(k, v)| Some((k.as_str(), std::str::from_utf8(v).ok()?))).collect();
        let named = texts.iter().filter_map(|(file, certificate)| {
            let name = file.strip_suffix(".crt")?;
            let key = texts.get(format!("{name}.key").as_str())?;
            Some((name.to_owned(), Authority::parse(certificate, key)?))
        });
        Authorities(named.collect())
    }

    /// As a Secret's data.
    pub fn data(&self) -> BTreeMap<String, String> {
        let files =
            |(name, a): (&String, &Authority)| [(format!("{name}.crt"), a.certificate.clone()), (format!("{name}.key"), a.key.clone())];
        self.0.iter().flat_map(files).collect()
    }

    /// The certificates that agents are to trust, as PEM.
    pub fn bundle(&self) -> String {
        self.0.values().map(|a| a.certificate.as_str()).collect()
    }

    /// Without those that have ended, and with a newer one where the newest nears its end. Equal where nothing is to be done.
    pub fn renewed(&self, now: Timestamp) -> Result<Self, AuthorityError> {
        let mut kept = self.0.clone();
        kept.retain(|_, a| a.until > now);
        if kept.values().all(|a| a.until - RENEWAL < now) {
            kept.insert(now.strftime("%Y-%m-%d").to_string(), Authority::make(now)?);
        }
        Ok(Authorities(kept))
    }

    /// What the controller serves with: a fresh certificate for this name.
    pub fn serve(&self, name: &str, now: Timestamp) -> Result<Arc<ServerConfig>, AuthorityError> {
        let authority = self.signing(now).ok_or(AuthorityError::None)?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "culprit");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        limit(&mut params, now - DAY, authority.until.min(now + LEAF));
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
        let certificate: CertificateDer<'static> = params.signed_by(&key, &issuer)?.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// The newest one that agents have had the time to trust, else the oldest.
    fn signing(&self, now: Timestamp) -> Option<&Authority> {
        let trusted = self.0.values().rfind(|a| a.from + TRUSTED < now);
        trusted.or_else(|| self.0.values().next())
    }
}

impl Authority {
    fn make(now: Timestamp) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("culprit {}", now.strftime("%Y-%m-%d")));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        // Clocks of nodes may be behind.
        let (from, until) = (now - DAY, now + LIFE);
        limit(&mut params, from, until);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Authority::parse(&certificate, &key.serialize_pem()).ok_or(AuthorityError::None)
    }

    fn parse(certificate: &str, key: &str) -> Option<Self> {
        let pair = KeyPair::from_pem(key).ok()?;
        let (_, pem) = parse_x509_pem(certificate.as_bytes()).ok()?;
        let parsed = pem.parse_x509().ok()?;
        let time = |t: x509_parser::time::ASN1Time| Timestamp::from_second(t.timestamp()).ok();
        let (from, until) = (time(parsed.validity().not_before)?, time(parsed.validity().not_after)?);
        let fits = parsed.is_ca() && parsed.public_key().raw == pair.subject_public_key_info();
        fits.then(|| Authority { certificate: certificate.to_owned(), key: key.to_owned(), from, until })
    }
}

/// Sets the validity, in whole days.
fn limit(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let day = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (day(from), day(until));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(authorities: &Authorities) -> Authorities {
        let data = authorities.data();
        Authorities::parse(data.iter().map(|(k, v)| (k, v.as_bytes())))
    }

    fn after(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + DAY * i32::try_from(days).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let first = Authorities::default().renewed(after(0)).unwrap();
        assert_eq!(first.0.len(), 1);
        assert_eq!(parsed(&first), first);
        assert_eq!(first.renewed(after(1)).unwrap(), first, "nothing is to be done");
        first.serve("culprit-agents.culprit-system.svc", after(0)).unwrap();
    }

    #[test]
    fn a_newer_one_joins_is_trusted_first_and_signs_later() {
        let first = Authorities::default().renewed(after(0)).unwrap();
        let both = first.renewed(after(300)).unwrap();
        assert_eq!(both.0.len(), 2);
        assert_eq!(both.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        let names: Vec<&String> = both.0.keys().collect();
        let signs = |now| both.signing(now).map(|a| a.certificate.clone());
        assert_eq!(signs(after(300)), Some(both.0[names[0]].certificate.clone()));
        assert_eq!(signs(after(303)), Some(both.0[names[1]].certificate.clone()));
        assert_eq!(both.renewed(after(310)).unwrap(), both, "nothing more is to be done");
        let newer = both.renewed(after(366)).unwrap();
        assert_eq!(newer.0.keys().collect::<Vec<_>>(), [names[1]], "the older one has ended");
    }

    #[test]
    fn a_pair_that_does_not_fit_is_none() {
        let first = Authorities::default().renewed(after(0)).unwrap();
        let other = Authorities::default().renewed(after(0)).unwrap();
        let mut data = first.data();
        let key = data.keys().find(|k| k.ends_with(".key")).unwrap().clone();
        data.insert(key.clone(), other.data()[&key].clone());
        data.insert("x.crt".into(), "nonsense".into());
        assert_eq!(Authorities::parse(data.iter().map(|(k, v)| (k, v.as_bytes()))), Authorities::default());
    }

    #[test]
    fn without_an_authority_nothing_is_served() {
        assert!(matches!(Authorities::default().serve("a.test", after(0)), Err(AuthorityError::None)));
    }
}
