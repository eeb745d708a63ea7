//! The head of an HTTP/1 response as it came: how big it is, and what a strict reader finds wrong with it. Pure.
//!
//! No two programs refuse the same heads, so a probe reads as leniently as a browser does and records what others trip over.
//! Sources: RFC 9110 §5.5 and §8.6, RFC 9112 §4 to §6.

use serde::{Deserialize, Serialize};

/// Bytes of a head that are kept for judging; what follows is only counted.
const MOST_KEPT: usize = 64 << 10;
/// Faults named at most.
const MOST_FAULTS: usize = 8;
/// Characters shown of what is at fault. Values are never shown, since they may be secret.
const MOST_SHOWN: usize = 24;

/// What the head of a response measures, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Bytes from the status line to the empty line, both included.
    pub length: usize,
    /// Bytes of the longest header line.
    pub longest_field: usize,
    /// Header lines.
    pub fields: usize,
    /// What a strict reader finds wrong, in the order of the lines.
    pub faults: Vec<HeadError>,
}

/// A fault of a head and the line that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadError {
    /// What is wrong.
    pub fault: HeadFault,
    /// The header's name, or the start of a line that has none; escaped.
    pub field: String,
}

/// What may be wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter, Serialize, Deserialize)]
pub enum HeadFault {
    /// The first line is no status line.
    StatusLine,
    /// A line without a colon.
    NoColon,
    /// A space in a name or before its colon.
    SpaceInName,
    /// A name that is empty or holds a character that no name may have.
    BadName,
    /// A value with a NUL.
    Nul,
    /// A value with a carriage return that ends no line.
    CarriageReturn,
    /// A value with another control character.
    Control,
    /// A line that begins with a space, as the obsolete continuation of the one before.
    Folded,
    /// A Content-Length that is no number.
    BadLength,
    /// Several Content-Length headers that agree.
    SameLengths,
    /// Several Content-Length headers that differ.
    Lengths,
    /// Content-Length beside Transfer-Encoding.
    LengthAndEncoding,
    /// Several Transfer-Encoding headers.
    Encodings,
    /// A Transfer-Encoding other than `chunked`.
    UnknownEncoding,
}

impl HeadFault {
    /// Whether two headers contradict each other about where the body ends.
    pub fn is_framing(self) -> bool {
        use HeadFault::{Encodings, LengthAndEncoding, Lengths, SameLengths};
        matches!(self, SameLengths | Lengths | LengthAndEncoding | Encodings)
    }

    fn words(self) -> &'static str {
        match self {
            HeadFault::StatusLine => "a first line that is no status line",
            HeadFault::NoColon => "a header line without a colon",
            HeadFault::SpaceInName => "a space in a header's name",
            HeadFault::BadName => "a header's name with a character that names may not have",
            HeadFault::Nul => "a NUL in a header's value",
            HeadFault::CarriageReturn => "a bare carriage return in a header's value",
            HeadFault::Control => "a control character in a header's value",
            HeadFault::Folded => "a header line that begins with a space",
            HeadFault::BadLength => "a Content-Length that is no number",
            HeadFault::SameLengths => "Content-Length twice",
            HeadFault::Lengths => "two Content-Length headers that differ",
            HeadFault::LengthAndEncoding => "Content-Length and Transfer-Encoding at the same time",
            HeadFault::Encodings => "Transfer-Encoding twice",
            HeadFault::UnknownEncoding => "a Transfer-Encoding other than chunked",
        }
    }
}

/// As evidence: `a space in a header's name: "x bad"`.
impl std::fmt::Display for HeadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.fault.words())?;
        if self.field.is_empty() { Ok(()) } else { write!(f, ": \"{}\"", self.field) }
    }
}

/// Takes a response's bytes as they come and remembers its head.
#[derive(Clone, Debug, Default)]
pub struct HeadReader {
    bytes: Vec<u8>,
    length: usize,
    lines: usize,
    line: usize,
    longest: usize,
    last: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ended,
    /// What came is no HTTP/1.
    Foreign,
}

impl HeadReader {
    /// Takes the next bytes; those after the head are left alone.
    pub fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.state != State::Open {
                return;
            }
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        self.length += 1;
        if self.bytes.len() < MOST_KEPT {
            self.bytes.push(byte);
        }
        if self.length <= 5 && !b"HTTP/".starts_with(&self.bytes) {
            self.state = State::Foreign;
        } else if byte == b'\n' {
            self.end_line();
        } else {
            self.line += 1;
            self.last = byte;
        }
    }

    fn end_line(&mut self) {
        let line = if self.last == b'\r' { self.line.saturating_sub(1) } else { self.line };
        (self.line, self.last) = (0, 0);
        if line > 0 {
            self.longest = if self.lines == 0 { 0 } else { self.longest.max(line) };
            self.lines += 1;
            return;
        }
        // An interim response (RFC 9110 §15.2) comes before the one that counts; 101 is none of them.
        let interim = self.bytes.get(8..10) == Some(b" 1") && self.bytes.get(9..12) != Some(b"101");
        if interim {
            *self = HeadReader::default();
        } else {
            self.state = State::Ended;
        }
    }

    /// The head, where it came whole.
    pub fn head(&self) -> Option<Head> {
        (self.state == State::Ended).then(|| Head {
            length: self.length,
            longest_field: self.longest,
            fields: self.lines.saturating_sub(1),
            faults: faults(&self.bytes),
        })
    }

    /// The bytes that came of it, as far as they are kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is wrong with a head, by its bytes; a last line without an end is left out.
pub fn faults(bytes: &[u8]) -> Vec<HeadError> {
    let mut found = Vec::new();
    let mut lines =
        bytes.split_inclusive(|b| *b == b'\n').filter_map(|l| l.strip_suffix(b"\n")).map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let error = |fault, shown: &[u8]| HeadError { fault, field: shown[..shown.len().min(MOST_SHOWN)].escape_ascii().to_string() };
    if let Some(first) = lines.next().filter(|l| !is_status_line(l)) {
        found.push(error(HeadFault::StatusLine, first));
    }
    let (mut lengths, mut encodings): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for (number, line) in lines.take_while(|l| !l.is_empty()).enumerate() {
        let (name, value) = match line.iter().position(|b| *b == b':') {
            Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
            None => (line, &b""[..]),
        };
        match fault_of(line, name, value) {
            // There is nothing yet that it could go on with.
            Some(HeadFault::Folded) if number == 0 => found.push(error(HeadFault::BadName, name)),
            Some(fault) => found.push(error(fault, name)),
            None => {}
        }
        match name.trim_ascii() {
            n if n.eq_ignore_ascii_case(b"content-length") => lengths.push(value),
            n if n.eq_ignore_ascii_case(b"transfer-encoding") => encodings.push(value),
            _ => {}
        }
    }
    found.extend(framing(&lengths, &encodings).map(|fault| error(fault, b"")));
    found.truncate(MOST_FAULTS);
    found
}

/// `HTTP/1.1 200` and a reason, which may be missing.
fn is_status_line(line: &[u8]) -> bool {
    let digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    line.starts_with(b"HTTP/")
        && [5, 7, 9, 10, 11].into_iter().all(digit)
        && line.get(6) == Some(&b'.')
        && line.get(8) == Some(&b' ')
        && line.get(12).is_none_or(|b| *b == b' ')
}

fn fault_of(line: &[u8], name: &[u8], value: &[u8]) -> Option<HeadFault> {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    if line.first().is_some_and(is_blank) {
        Some(HeadFault::Folded)
    } else if name.len() == line.len() {
        Some(HeadFault::NoColon)
    } else if name.is_empty() || !name.iter().all(|b| is_blank(b) || is_token(*b)) {
        Some(HeadFault::BadName)
    } else if name.iter().any(is_blank) {
        Some(HeadFault::SpaceInName)
    } else if value.contains(&0) {
        Some(HeadFault::Nul)
    } else if value.contains(&b'\r') {
        Some(HeadFault::CarriageReturn)
    } else if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        Some(HeadFault::Control)
    } else {
        None
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What the headers that say where the body ends have against each other.
fn framing(lengths: &[&[u8]], encodings: &[&[u8]]) -> impl Iterator<Item = HeadFault> + use<> {
    let number = |value: &&&[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let bad_length = lengths.iter().any(|v| !number(&v)).then_some(HeadFault::BadLength);
    let several = match lengths {
        [first, rest @ ..] if rest.iter().any(|v| v != first) => Some(HeadFault::Lengths),
        [_, _, ..] => Some(HeadFault::SameLengths),
        _ => None,
    };
    let unknown = encodings.iter().any(|v| !v.eq_ignore_ascii_case(b"chunked")).then_some(HeadFault::UnknownEncoding);
    let encodings_twice = (encodings.len() > 1).then_some(HeadFault::Encodings);
    let both = (!lengths.is_empty() && !encodings.is_empty()).then_some(HeadFault::LengthAndEncoding);
    [bad_length, several, encodings_twice, unknown, both].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Head> {
        let mut reader = HeadReader::default();
        // In pieces, since a head comes in as many as it pleases.
        text.as_bytes().chunks(3).for_each(|piece| reader.take(piece));
        reader.head()
    }

    fn faults_of(fields: &str) -> Vec<HeadFault> {
        read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap().faults.iter().map(|e| e.fault).collect()
    }

    #[test]
    fn a_head_is_measured_up_to_its_empty_line() {
        let head = read("HTTP/1.1 200 OK\r\na: 1\r\nlonger: 22\r\n\r\nbody\r\n\r\n").unwrap();
        assert_eq!((head.length, head.longest_field, head.fields), (37, 10, 2));
        assert_eq!(head.faults, Vec::new());
    }

    #[test]
    fn a_head_of_bare_line_feeds_is_as_good() {
        assert_eq!(read("HTTP/1.0 404\na: 1\n\nbody").map(|h| (h.fields, h.faults.len())), Some((1, 0)));
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let head = read("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\n\r\n").unwrap();
        assert_eq!((head.fields, head.length), (2, 31));
    }

    #[test]
    fn what_has_no_end_or_is_no_http_has_no_head() {
        assert_eq!(read("HTTP/1.1 200 OK\r\na: 1\r\n"), None);
        assert_eq!(read("220 mail.test ready\r\n\r\n"), None);
    }

    #[test]
    fn every_malformed_line_has_its_fault() {
        for (line, fault) in [
            ("no colon here\r\n", HeadFault::NoColon),
            ("x bad: 1\r\n", HeadFault::SpaceInName),
            ("x-bad : 1\r\n", HeadFault::SpaceInName),
            (": 1\r\n", HeadFault::BadName),
            ("x(y): 1\r\n", HeadFault::BadName),
            (" x: 1\r\n", HeadFault::BadName),
            ("x: a\0b\r\n", HeadFault::Nul),
            ("x: a\rb\r\n", HeadFault::CarriageReturn),
            ("x: a\x01b\r\n", HeadFault::Control),
            ("x: a\r\n b\r\n", HeadFault::Folded),
            ("content-length: abc\r\n", HeadFault::BadLength),
            ("transfer-encoding: gzip\r\n", HeadFault::UnknownEncoding),
        ] {
            assert_eq!(faults_of(line), [fault], "{line:?}");
        }
        assert_eq!(faults_of("x_y: \u{e4}\tb\r\n"), []);
    }

    #[test]
    fn headers_that_contradict_each_other_about_the_body_are_told_apart() {
        let (length, other, chunked) = ("Content-Length: 3\r\n", "content-length: 4\r\n", "Transfer-Encoding: Chunked\r\n");
        assert_eq!(faults_of(&[length, length].concat()), [HeadFault::SameLengths]);
        assert_eq!(faults_of(&[length, other].concat()), [HeadFault::Lengths]);
        assert_eq!(faults_of(&[length, chunked].concat()), [HeadFault::LengthAndEncoding]);
        assert_eq!(faults_of(&[chunked, chunked].concat()), [HeadFault::Encodings]);
        assert_eq!(faults_of(chunked), []);
    }

    #[test]
    fn values_are_never_shown() {
        let error = &read("HTTP/1.1 200 OK\r\nset-cookie: session=secret\x07\r\n\r\n").unwrap().faults[0];
        assert_eq!(error.to_string(), "a control character in a header's value: \"set-cookie\"");
    }

    #[test]
    fn a_status_line_needs_a_version_and_three_digits() {
        let of = |line: &str| read(&format!("{line}\r\n\r\n")).unwrap().faults.len();
        assert_eq!((of("HTTP/1.1 200"), of("HTTP/1.0 404 Not Found"), of("HTTP/2.0 200 OK")), (0, 0, 0));
        assert_eq!((of("HTTP/1.1 abc OK"), of("HTTP/1.1 2000 OK"), of("HTTP/2 200")), (1, 1, 1));
    }
}
