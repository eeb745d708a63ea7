//! Durations as flags take them: `30s`, `2m`, or a number of seconds.

use std::time::Duration;

use crate::api::{DiagnosisSpec, ProbeSettings};
use crate::diagnose::Settings;

/// Parses a duration; for clap.
pub fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    parsed.ok_or_else(|| "write a number and a unit, for example 30s or 2m".into())
}

/// Checks a request's limit as a Diagnosis' spec is checked; for clap.
pub fn request_limit(text: &str) -> Result<String, String> {
    let probe = ProbeSettings { timeout: Some(text.to_owned()), ..ProbeSettings::default() };
    let spec = DiagnosisSpec { probe: Some(probe), ..DiagnosisSpec::default() };
    match Settings::parse(&spec) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("write a whole number with the unit ms, s or m, from 100ms to 60s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(parse("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert!(parse("-5s").is_err());
        assert!(parse("soon").is_err());
    }

    #[test]
    fn a_limit_keeps_to_what_a_spec_may_say() {
        assert!(request_limit("5s").is_ok());
        assert!(request_limit("2h").is_err());
        assert!(request_limit("5").is_err());
    }
}
