//! How a route is asked, parsed from a Diagnosis' spec.

use std::time::Duration;

use crate::api::{DiagnosisSpec, ProbeSettings, Verdict};
use crate::probe::Method;

/// How routes are asked. Parsed, never raw text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Method of end-to-end requests.
    pub method: Method,
    /// Path asked instead of the route's own.
    pub path: Option<String>,
    /// Limit of one end-to-end request.
    pub timeout: Duration,
    /// Ranges of statuses that count as working, ends included.
    pub expected: Vec<(u16, u16)>,
    /// Further headers of end-to-end requests.
    pub headers: Vec<(String, String)>,
    /// Time between two end-to-end requests.
    pub interval: Duration,
    /// Whether anything is probed at all; manifests alone are not.
    pub online: bool,
    /// How long the slowest answer took when the route last worked. What takes much longer needs no more waiting where the walk explains it.
    pub usual: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            method: Method::Get,
            path: None,
            timeout: Duration::from_secs(5),
            expected: vec![(200, 499)],
            headers: Vec::new(),
            interval: Duration::from_secs(30),
            online: true,
            usual: None,
        }
    }
}

/// What does not work is asked again this soon, since what mends it may be no event.
const ASK_BROKEN: Duration = Duration::from_secs(10);

/// Time until what has this verdict is asked again while nothing changes, given its interval.
pub fn pause(verdict: Verdict, interval: Duration) -> Duration {
    if verdict == Verdict::Healthy { interval } else { interval.min(ASK_BROKEN) }
}

/// A setting that could not be read. The API server refuses most of them; files may still hold them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// An interval that is no number with a unit.
    #[error("spec.interval {0:?} is not a whole number with the unit s, m or h, from 10s to 24h")]
    Interval(String),
    /// A time-out that is no number with a unit.
    #[error("spec.probe.timeout {0:?} is not a whole number with the unit ms, s or m, from 100ms to 60s")]
    Timeout(String),
    /// An unknown or unsafe method.
    #[error("spec.probe.method {0:?} is not one of GET, HEAD, OPTIONS")]
    Method(String),
    /// A path that is none.
    #[error("spec.probe.path {0:?} does not begin with / or holds spaces")]
    Path(String),
    /// A status that is none.
    #[error("spec.probe.expectedStatus {0:?} is not a status such as 200 or a range such as 200-499")]
    Status(String),
}

impl Settings {
    /// Parses a spec; what it leaves out is as by default.
    pub fn parse(spec: &DiagnosisSpec) -> Result<Self, InvalidSettings> {
        let mut settings = Settings::default();
        if let Some(text) = &spec.interval {
            let within = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);
            settings.interval = duration(text).filter(|d| within.contains(d)).ok_or_else(|| InvalidSettings::Interval(text.clone()))?;
        }
        if let Some(probe) = &spec.probe {
            settings.read_probe(probe)?;
        }
        Ok(settings)
    }

    fn read_probe(&mut self, probe: &ProbeSettings) -> Result<(), InvalidSettings> {
        if let Some(text) = &probe.timeout {
            let within = Duration::from_millis(100)..=Duration::from_secs(60);
            self.timeout = duration(text).filter(|d| within.contains(d)).ok_or_else(|| InvalidSettings::Timeout(text.clone()))?;
        }
        if let Some(text) = &probe.method {
            self.method = text.parse().map_err(|_| InvalidSettings::Method(text.clone()))?;
        }
        if let Some(path) = &probe.path {
            let valid = path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic());
            self.path = Some(path.clone()).filter(|_| valid);
            if !valid {
                return Err(InvalidSettings::Path(path.clone()));
            }
        }
        if let Some(statuses) = &probe.expected_status {
            self.expected = statuses.iter().map(|s| statuses_of(s)).collect::<Result<_, _>>()?;
        }
        self.headers = probe.headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
        Ok(())
    }

    /// Whether a status counts as working.
    pub fn expects(&self, status: u16) -> bool {
        self.expected.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

fn statuses_of(text: &str) -> Result<(u16, u16), InvalidSettings> {
    let invalid = || InvalidSettings::Status(text.to_owned());
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let parse = |s: &str| s.parse::<u16>().ok().filter(|n| (100..600).contains(n)).ok_or_else(invalid);
    Ok((parse(from)?, parse(to)?))
}

/// A whole number with the unit ms, s, m or h.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    match &text[split..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}
