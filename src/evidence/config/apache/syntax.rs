//! Apache's files: directives and sections, with what they include in place, variables put in, and conditions decided.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::config::directive::Directive;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{absolute, excerpt, found, is_glob};
use crate::evidence::config::{Files, Place};

/// Deepest nesting of sections and included files that is followed.
const DEPTH: usize = 32;
/// Text that is read altogether, however often files are included, in bytes.
const SIZE: usize = 16 << 20;
/// What one file more is worth, in bytes of text.
const LOOK: usize = 4096;
/// How much longer variables may make a line, in bytes.
const LONGEST: usize = 4096;
/// Modules that builds have in the program itself, so that no `LoadModule` names them.
const BUILT_IN: &[&str] =
    &["core_module", "so_module", "http_module", "unixd_module", "log_config_module", "version_module", "watchdog_module", "logio_module"];

/// What is read, and with which variables.
pub struct Reader<'f> {
    files: &'f Files,
    /// ServerRoot
    root: String,
    /// `Define` and the environment.
    variables: BTreeMap<String, String>,
    /// What `IfDefine` knows.
    defined: BTreeSet<String>,
    /// The modules that are loaded, by the names of `LoadModule`.
    pub modules: BTreeSet<String>,
    /// The notes.
    pub notes: Notes,
    /// The files that are being read.
    open: Vec<String>,
    left: usize,
}

/// A section that is open.
enum Open {
    /// With its directive, and what stands in front of it.
    Section(Directive, Vec<Directive>),
    /// A condition by its name, and whether its content is taken.
    Condition(String, bool),
}

impl<'f> Reader<'f> {
    /// A reader that knows the environment and what `-D` defines.
    pub fn new(files: &'f Files, root: &str, environment: &[(String, String)], defined: BTreeSet<String>) -> Self {
        Reader {
            files,
            root: root.to_owned(),
            variables: environment.iter().cloned().collect(),
            defined,
            modules: BTreeSet::new(),
            notes: Notes::default(),
            open: Vec::new(),
            left: SIZE,
        }
    }

    /// The directives of a file and of what it includes. What does not parse is noted, and what stands in front of it is kept.
    pub fn file(&mut self, path: &str, depth: usize) -> Vec<Directive> {
        let files = self.files;
        let Some(text) = files.get(path) else { return Vec::new() };
        if !self.pays(text.len(), path) {
            return Vec::new();
        }
        self.open.push(path.to_owned());
        let mut level = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        for (number, line) in lines(text) {
            let place = Place { file: path.to_owned(), line: number };
            if let Err(why) = self.line(&line, &place, &mut level, &mut open, depth) {
                self.notes.add(&place, why);
                break;
            }
        }
        while let Some(last) = open.pop() {
            if let Open::Section(mut section, before) = last {
                self.notes.add(&section.place, format!("<{}> is not closed", excerpt(&section.name)));
                section.block = Some(std::mem::replace(&mut level, before));
                level.push(section);
            }
        }
        self.open.pop();
        level
    }

    /// Whether there is room for so much more text; looking for a file costs something too.
    fn pays(&mut self, bytes: usize, path: &str) -> bool {
        let Some(left) = self.left.checked_sub(bytes + LOOK) else {
            let place = Place { file: path.to_owned(), line: 0 };
            self.notes.add(&place, "not read to its end, for the configuration is too large");
            return false;
        };
        self.left = left;
        true
    }

    /// Reads one line. Fails with what is wrong where the rest of the file cannot be understood.
    fn line(&mut self, line: &str, place: &Place, level: &mut Vec<Directive>, open: &mut Vec<Open>, depth: usize) -> Result<(), String> {
        let is_left_out = open.iter().any(|o| matches!(o, Open::Condition(_, false)));
        if let Some(name) = line.strip_prefix("</") {
            return close(name.trim_end().trim_end_matches('>').trim_end(), level, open);
        }
        if let Some(inner) = line.strip_prefix('<') {
            if depth + open.len() >= DEPTH {
                return Err("sections are nested too deeply".into());
            }
            let inner = inner.trim_end();
            let directive = self.directive(inner.strip_suffix('>').unwrap_or(inner), place);
            open.push(match self.condition(&directive) {
                Some(holds) => Open::Condition(directive.name, holds && !is_left_out),
                None if is_left_out => Open::Condition(directive.name, false),
                None => Open::Section(directive, std::mem::take(level)),
            });
            return Ok(());
        }
        if is_left_out {
            return Ok(());
        }
        let directive = self.directive(line, place);
        match directive.name.as_str() {
            "include" | "includeoptional" => level.extend(self.included(&directive, depth + open.len())),
            "define" => {
                self.variables.insert(directive.arg().to_owned(), directive.at(1).to_owned());
                self.defined.insert(directive.arg().to_owned());
            }
            "undefine" => {
                self.variables.remove(directive.arg());
                self.defined.remove(directive.arg());
            }
            "loadmodule" => drop(self.modules.insert(directive.arg().to_owned())),
            "serverroot" => self.root = absolute("/", directive.arg()),
            _ => level.push(directive),
        }
        Ok(())
    }

    fn directive(&self, line: &str, place: &Place) -> Directive {
        let mut words = words(&self.with_variables(line)).into_iter();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        Directive { name, args: words.collect(), block: None, place: place.clone() }
    }

    /// A line with the variables in it that are known.
    fn with_variables(&self, line: &str) -> String {
        let mut text = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find("${") {
            let value = rest[at + 2..].split_once('}').and_then(|(name, after)| Some((self.variables.get(name)?, after)));
            text.push_str(&rest[..at]);
            match value {
                // Variables that are made of themselves grow without end.
                Some((value, after)) if text.len() + value.len() <= line.len() + LONGEST => {
                    text.push_str(value);
                    rest = after;
                }
                _ => {
                    text.push_str("${");
                    rest = &rest[at + 2..];
                }
            }
        }
        text + rest
    }

    /// Whether a condition holds; nothing where a section is none.
    fn condition(&self, section: &Directive) -> Option<bool> {
        let asked = section.arg();
        let (is_not, name) = asked.strip_prefix('!').map_or((false, asked), |name| (true, name));
        let holds = match section.name.as_str() {
            "ifmodule" => self.has_module(name),
            "ifdefine" => self.defined.contains(name),
            "iffile" => self.files.contains_key(&absolute(&self.root, name)),
            // All that is in use is 2.4.
            "ifversion" => return Some(!matches!(asked, "<" | "<=" | "!=") && !asked.starts_with('!')),
            "ifdirective" | "ifsection" => true,
            _ => return None,
        };
        Some(holds != is_not)
    }

    /// Whether a module is there, as `ssl_module` or `mod_ssl.c`. Without a `LoadModule` at all it is taken for built in.
    fn has_module(&self, name: &str) -> bool {
        let module = match name.strip_prefix("mod_").and_then(|n| n.strip_suffix(".c")) {
            Some(short) => format!("{short}_module"),
            None => name.to_owned(),
        };
        self.modules.is_empty() || self.modules.contains(&module) || BUILT_IN.contains(&module.as_str())
    }

    fn included(&mut self, include: &Directive, depth: usize) -> Vec<Directive> {
        let path = absolute(&self.root, include.arg());
        if !self.pays(0, &include.place.file) {
            return Vec::new();
        }
        let files = self.files;
        let mut paths = found(files, &path);
        if paths.is_empty() && !is_glob(&path) {
            let inside = format!("{path}/");
            paths = files.keys().map(String::as_str).filter(|f| f.starts_with(&inside)).collect();
        }
        if paths.is_empty() && include.name == "include" {
            self.notes.add(&include.place, format!("the included file {} was not read", excerpt(&path)));
        }
        let mut all = Vec::new();
        for path in paths {
            if depth >= DEPTH || self.open.iter().any(|o| o == path) {
                self.notes.add(&include.place, format!("{} includes itself, or too deeply", excerpt(path)));
                continue;
            }
            all.extend(self.file(path, depth + 1));
        }
        all
    }
}

/// Ends the section that was opened last.
fn close(name: &str, level: &mut Vec<Directive>, open: &mut Vec<Open>) -> Result<(), String> {
    let last = open.pop();
    let opened = match &last {
        Some(Open::Section(section, _)) => section.name.as_str(),
        Some(Open::Condition(name, _)) => name.as_str(),
        None => "",
    };
    if !opened.eq_ignore_ascii_case(name) {
        // What is open is closed at the end of the file.
        open.extend(last);
        return Err(format!("</{}> closes nothing", excerpt(name)));
    }
    if let Some(Open::Section(mut section, before)) = last {
        section.block = Some(std::mem::replace(level, before));
        level.push(section);
    }
    Ok(())
}

/// Lines that are neither empty nor a comment, with those that a backslash continues, by the number of the first.
fn lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut numbered = text.lines().enumerate();
    std::iter::from_fn(move || {
        loop {
            let (number, first) = numbered.next()?;
            let mut line = first.trim_start().to_owned();
            while line.ends_with('\\') {
                line.pop();
                let Some((_, next)) = numbered.next() else { break };
                line.push_str(next);
            }
            if !line.trim().is_empty() && !line.starts_with('#') {
                return Some((number + 1, line));
            }
        }
    })
}

/// The words of a line, without quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '"' | '\'') {
            let (word, after) = quoted(&rest[1..], first);
            words.push(word);
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    words
}

/// The text up to a quote, and what follows it. A backslash goes away only in front of a quote or another one.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let next = text[at + c.len_utf8()..].chars().next();
        match (c, next) {
            ('\\', Some(next)) if next == quote || next == '\\' => {
                word.push(next);
                chars.next();
            }
            (c, _) if c == quote => return (word, &text[at + 1..]),
            _ => word.push(c),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)], defined: &[&str]) -> (Vec<String>, Vec<String>) {
        let files: Files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        let defined = defined.iter().map(|d| (*d).to_owned()).collect();
        let mut reader = Reader::new(&files, "/r", &[("FROM_ENV".into(), "env".into())], defined);
        let directives = reader.file("/r/main.conf", 0);
        let shown = |d: &Directive| format!("{} {} [{}]", d.name, d.args.join("|"), d.inner().len());
        (directives.iter().map(shown).collect(), reader.notes.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_words_and_sections_are_read() {
        let text = "# c \\\nListen 80\nProxyPass \"/a b\" \\\n  'http://x/\\'' # no\n<Location \"/x\">\n  Order x\n</Location>\n";
        let (directives, notes) = read(&[("/r/main.conf", text)], &[]);
        // The comment goes on in the next line.
        assert_eq!(directives, ["proxypass /a b|http://x/'|#|no [0]", "location /x [1]"]);
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn conditions_and_variables_are_decided() {
        let text = "LoadModule ssl_module x.so\nDefine PORT 81\nListen ${PORT}\nListen ${FROM_ENV} ${NO}\n\
             <IfModule mod_ssl.c>\nA 1\n</IfModule>\n<IfModule proxy_module>\nB 1\n<Location />\n</Location>\n</IfModule>\n\
             <IfModule !proxy_module>\nC 1\n</IfModule>\n<IfDefine X>\nD 1\n</IfDefine>\n<IfDefine !X>\nE 1\n</IfDefine>\n\
             <IfDefine PORT>\n<IfVersion >= 2.4>\nF 1\n</IfVersion>\n</IfDefine>\n";
        let (directives, notes) = read(&[("/r/main.conf", text)], &["X"]);
        assert_eq!(directives, ["listen 81 [0]", "listen env|${NO} [0]", "a 1 [0]", "c 1 [0]", "d 1 [0]", "f 1 [0]"]);
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn files_are_included_and_do_not_loop() {
        let main = "Include d/*.conf\nIncludeOptional no.conf\nInclude gone.conf\nInclude dir\nZ 1";
        let files = [("/r/main.conf", main), ("/r/d/1.conf", "A 1\nInclude main.conf"), ("/r/dir/x/y", "B 1")];
        let (directives, notes) = read(&files, &[]);
        assert_eq!(directives, ["a 1 [0]", "b 1 [0]", "z 1 [0]"]);
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn what_stands_in_front_of_a_fault_is_kept() {
        for (text, note) in [
            ("A 1\n<Location /x>\nB 1", "/r/main.conf:2: <location> is not closed"),
            ("A 1\n</Location>\nB 1", "/r/main.conf:2: </Location> closes nothing"),
            ("A 1\n<Location /x>\n</VirtualHost>\nB 1", "/r/main.conf:3: </VirtualHost> closes nothing"),
        ] {
            let (directives, notes) = read(&[("/r/main.conf", text)], &[]);
            assert_eq!((directives[0].as_str(), notes[0].as_str()), ("a 1 [0]", note));
        }
    }
}
