//! Where redirects lead: URLs as far as judging needs them (RFC 3986 §5.2, RFC 9110 §10.2.2).

use crate::probe::{Observation, Question, Response};

/// An HTTP URL without its fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is https.
    pub tls: bool,
    /// Host name or address, in lower case, without brackets.
    pub host: String,
    /// Port, the scheme's own where none is written.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// The URL that a client of a request asks for.
    pub fn asked(observation: &Observation) -> Option<Url> {
        let Question::Request(request) = &observation.probe.question else { return None };
        Url::of(request.scheme.is_tls(), &request.host, &request.path)
    }

    /// Where a response sends its client: nothing where it is no redirect, or leads to something else than HTTP.
    pub fn redirect_of(&self, response: &Response) -> Option<Url> {
        let leads_on = matches!(response.status, 301 | 302 | 303 | 307 | 308);
        response.header("location").filter(|_| leads_on).and_then(|to| self.resolve(to))
    }

    /// A reference as seen from this URL.
    pub fn resolve(&self, reference: &str) -> Option<Url> {
        let reference = reference.trim().split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = reference.split_once("://").filter(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric())) {
            let tls = if scheme.eq_ignore_ascii_case("https") { true } else { scheme.eq_ignore_ascii_case("http").then_some(false)? };
            return Url::absolute(tls, rest);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Url::absolute(self.tls, rest);
        }
        // `mailto:x` and the like.
        let first = reference.split(['/', '?']).next().unwrap_or_default();
        if first.contains(':') {
            return None;
        }
        let (base, _) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let path = match reference.chars().next() {
            None => self.path.clone(),
            Some('/') => reference.to_owned(),
            Some('?') => format!("{base}{reference}"),
            Some(_) => format!("{}{reference}", &base[..=base.rfind('/')?]),
        };
        Some(Url { path: without_dots(&path), ..self.clone() })
    }

    fn absolute(tls: bool, rest: &str) -> Option<Url> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let path = if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) };
        Url::of(tls, &rest[..end], &without_dots(&path))
    }

    fn of(tls: bool, authority: &str, path: &str) -> Option<Url> {
        let authority = authority.rsplit_once('@').map_or(authority, |(_, a)| a);
        let default = if tls { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => default,
            Some(text) => text.parse().ok()?,
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        (!host.is_empty()).then(|| Url { tls, host, port, path: path.to_owned() })
    }
}

/// As a client writes it.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, default) = if self.tls { ("https", 443) } else { ("http", 80) };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            port if port == default => write!(f, "{scheme}://{host}{}", self.path),
            port => write!(f, "{scheme}://{host}:{port}{}", self.path),
        }
    }
}

/// RFC 3986 §5.2.4, for paths that begin with a slash.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        match *segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let path = format!("/{}", kept.join("/"));
    query.map_or(path.clone(), |q| format!("{path}?{q}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(reference: &str) -> Option<String> {
        let base = Url::of(false, "Shop.test", "/a/b?x=1").unwrap();
        base.resolve(reference).map(|u| u.to_string())
    }

    #[test]
    fn references_resolve_as_browsers_do() {
        for (reference, url) in [
            ("/login", "http://shop.test/login"),
            ("c", "http://shop.test/a/c"),
            ("../c/./d", "http://shop.test/c/d"),
            ("?y=2", "http://shop.test/a/b?y=2"),
            ("#top", "http://shop.test/a/b?x=1"),
            ("", "http://shop.test/a/b?x=1"),
            ("//other.test/x", "http://other.test/x"),
            ("https://SHOP.test:443/a", "https://shop.test/a"),
            ("http://shop.test:8080", "http://shop.test:8080/"),
            ("https://user:secret@shop.test?q", "https://shop.test/?q"),
            ("HTTP://[fd00::1]:8080/x", "http://[fd00::1]:8080/x"),
            ("/a/b?next=http://other.test", "http://shop.test/a/b?next=http://other.test"),
        ] {
            assert_eq!(resolved(reference).as_deref(), Some(url), "{reference}");
        }
    }

    #[test]
    fn what_is_no_http_leads_nowhere() {
        for reference in ["mailto:a@b.test", "app://open", "http://", "http://host:port/"] {
            assert_eq!(resolved(reference), None, "{reference}");
        }
    }
}
