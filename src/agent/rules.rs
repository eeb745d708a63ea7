//! What an agent refuses, whoever asks. Pure.
//!
//! Messages hold a closed set of questions; these rules bound them. Addresses are judged where they are connected to.

use crate::probe::{Probe, Question};
use crate::stream::LONGEST_PROBE;

/// Bytes of a request's path and of its headers at most.
const LONGEST_PATH: usize = 8 << 10;
const LONGEST_HEADERS: usize = 16 << 10;
/// Headers that carry credentials, which no probe has.
const CREDENTIALS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// Why a probe is not sent, or nothing where it may be.
pub fn refusal(probe: &Probe) -> Option<String> {
    if probe.timeout > LONGEST_PROBE || probe.timeout.is_zero() {
        return Some(format!("a limit of {:?} is not within {LONGEST_PROBE:?}", probe.timeout));
    }
    let Question::Request(request) = &probe.question else { return None };
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if request.path.len() > LONGEST_PATH || headers > LONGEST_HEADERS {
        return Some("the request is too long".into());
    }
    let carries = request.headers.iter().find(|(name, _)| CREDENTIALS.iter().any(|c| name.eq_ignore_ascii_case(c)));
    carries.map(|(name, _)| format!("no probe carries the header {}", name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::probe::{Method, Request, Scheme};

    fn request(path: &str, headers: &[(&str, &str)]) -> Probe {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let to = ([10, 0, 0, 7], 80).into();
        Probe::new(Question::Request(Arc::new(Request {
            to,
            scheme: Scheme::Http,
            server_name: None,
            method: Method::Get,
            host: "shop.test".into(),
            path: path.into(),
            headers,
        })))
    }

    #[test]
    fn ordinary_probes_pass() {
        assert_eq!(refusal(&request("/", &[("Accept", "*/*")])), None);
        assert_eq!(refusal(&Probe::connect(([10, 0, 0, 7], 80).into())), None);
    }

    #[test]
    fn what_is_too_wide_is_refused() {
        let connect = Probe::connect(([10, 0, 0, 7], 80).into());
        assert!(refusal(&Probe { timeout: Duration::from_secs(31), ..connect.clone() }).is_some());
        assert!(refusal(&Probe { timeout: Duration::ZERO, ..connect }).is_some());
        assert!(refusal(&request(&"/".repeat(LONGEST_PATH + 1), &[])).is_some());
        assert!(refusal(&request("/", &[("x", &"y".repeat(LONGEST_HEADERS))])).is_some());
        assert_eq!(refusal(&request("/", &[("Cookie", "a=b")])).as_deref(), Some("no probe carries the header cookie"));
    }
}
