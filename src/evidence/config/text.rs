//! Text that gateways' configurations have in common: addresses, times, file names. What does not read as such gives nothing.

use std::net::IpAddr;
use std::time::Duration;

use super::Files;

/// Longest text of a configuration that a note repeats, in characters.
const EXCERPT: usize = 80;
/// Longest name that DNS allows, in characters.
const NAME: usize = 253;

/// The beginning of a text, for notes.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Host and port of `app:3000`, `app`, `[::1]:80` or `10.0.0.1`. Nothing where it is neither a name nor an address.
pub fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            (host.parse::<std::net::Ipv6Addr>().is_ok().then_some(host)?, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" => None,
        _ => Some(rest.strip_prefix(':')?.parse().ok().filter(|p| *p != 0)?),
    };
    (host.contains(':') || is_name(host)).then(|| (host.to_owned(), port))
}

/// Whether something can be a host's name or IPv4 address. Docker's names may have an underscore.
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    text.len() <= NAME && text.chars().all(allowed) && text.chars().any(|c| c.is_ascii_alphanumeric())
}

/// The address that a listener binds: unspecified for `*` and nothing, loopback for `localhost`; none for other names.
pub fn bound(host: &str) -> Option<IpAddr> {
    match host {
        "" | "*" => Some(IpAddr::from([0, 0, 0, 0])),
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        _ => host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
    }
}

/// A size such as `4096`, `16k` or `1m`, in bytes.
pub fn size(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = match text.char_indices().next_back()? {
        (at, 'k') => (&text[..at], 1 << 10),
        (at, 'm') => (&text[..at], 1 << 20),
        (at, 'g') => (&text[..at], 1 << 30),
        _ => (text.as_str(), 1),
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// A time such as `60`, `30s`, `0.5s`, `500ms` or `1m 30s`; a number without a unit counts in `unit`.
pub fn duration(text: &str, unit: Duration) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let (name, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let each = match name {
            "" => unit,
            "ns" => Duration::from_nanos(1),
            "us" => Duration::from_micros(1),
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            _ => return None,
        };
        let part = match number.parse() {
            Ok(whole) => each.checked_mul(whole)?,
            Err(_) => Duration::try_from_secs_f64(each.as_secs_f64() * number.parse::<f64>().ok()?).ok()?,
        };
        sum = sum.checked_add(part)?;
        rest = after.trim_start();
    }
    Some(sum)
}

/// A path as seen from a folder, without `.` and `..`.
pub fn absolute(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folder of a file.
pub fn folder(file: &str) -> &str {
    match file.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// Whether a file's name is a pattern.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The files that an absolute path or pattern means, in order of their names.
pub fn found<'f>(files: &'f Files, pattern: &str) -> Vec<&'f str> {
    if !is_glob(pattern) {
        return files.get_key_value(pattern).map(|(path, _)| path.as_str()).into_iter().collect();
    }
    let parts: Vec<Vec<char>> = pattern.split('/').map(|p| p.chars().collect()).collect();
    let matches = |path: &&str| {
        let mut given = path.split('/');
        parts.iter().all(|p| given.next().is_some_and(|g| part_matches(p, g))) && given.next().is_none()
    };
    files.keys().map(String::as_str).filter(matches).collect()
}

/// Whether a part between slashes matches: `*`, `?`, `[a-z]`. A leading dot must be written.
fn part_matches(pattern: &[char], part: &str) -> bool {
    if part.starts_with('.') && pattern.first() != Some(&'.') {
        return false;
    }
    let part: Vec<char> = part.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < part.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], part[t]),
            Some(c) => (*c == part[t]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(step), _) => (p, t) = (p + step, t + 1),
            // The last star takes one more character.
            (None, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The length of a class `[…]` where a character is of it.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|x| *x == ']')? + 2;
    let negated = matches!(pattern[1], '!' | '^');
    let members = &pattern[1 + usize::from(negated)..end];
    let mut at = 0;
    let mut holds = false;
    while let Some(first) = members.get(at) {
        let last = if members.get(at + 1) == Some(&'-') { members.get(at + 2) } else { None };
        holds |= (*first..=*last.unwrap_or(first)).contains(&c);
        at += if last.is_some() { 3 } else { 1 };
    }
    (holds != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read() {
        for (text, expected) in [
            ("app:3000", Some(("app", Some(3000)))),
            ("my_app", Some(("my_app", None))),
            ("[::1]:80", Some(("::1", Some(80)))),
            ("10.0.0.1", Some(("10.0.0.1", None))),
            ("app:0", None),
            ("app:", None),
            ("app:port", None),
            ("", None),
            ("$up:80", None),
            ("[oops]:80", None),
            ("::1", None),
        ] {
            assert_eq!(authority(text), expected.map(|(h, p)| (h.to_owned(), p)), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        let second = Duration::from_secs(1);
        for (text, millis) in
            [("60", Some(60_000)), ("500ms", Some(500)), ("1m30s", Some(90_000)), ("1h 1s", Some(3_601_000)), ("x", None), ("", None)]
        {
            assert_eq!(duration(text, second), millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(duration("99999999999999999999d", second), None);
        assert_eq!(duration("9999999999999999999d", second), None);
    }

    #[test]
    fn globs_stay_within_a_folder() {
        let files: Files =
            ["/a/b.conf", "/a/.b.conf", "/a/c.conf", "/a/x/d.conf", "/a/c.txt"].map(|f| (f.to_owned(), String::new())).into();
        assert_eq!(found(&files, "/a/*.conf"), ["/a/b.conf", "/a/c.conf"]);
        assert_eq!(found(&files, "/a/*/*"), ["/a/x/d.conf"]);
        assert_eq!(found(&files, "/a/[a-b].co?f"), ["/a/b.conf"]);
        assert_eq!(found(&files, "/a/[!a-b].conf"), ["/a/c.conf"]);
        assert_eq!(found(&files, "/a/c.txt"), ["/a/c.txt"]);
        assert_eq!(found(&files, "/a/[.conf"), Vec::<&str>::new());
        assert_eq!(found(&files, "/a/**b**"), ["/a/b.conf"]);
    }

    #[test]
    fn paths_are_made_absolute() {
        assert_eq!(absolute("/etc/nginx", "conf.d/../x.conf"), "/etc/nginx/x.conf");
        assert_eq!(absolute("/etc/nginx", "/../x"), "/x");
        assert_eq!(folder("/x"), "/");
        assert_eq!(folder("/etc/nginx/nginx.conf"), "/etc/nginx");
    }
}
