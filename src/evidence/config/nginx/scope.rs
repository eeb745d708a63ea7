//! What holds at a place of nginx' configuration: directives of outer levels, and variables.

use crate::evidence::config::directive::Directive;

/// Most variables that are put in place of others, one after the other.
const SUBSTITUTIONS: usize = 16;
/// Longest text that variables may make, in bytes.
const LONGEST: usize = 4096;

/// A level of the configuration within its outer ones: `http`, `server`, `location` and locations within it.
#[derive(Debug)]
pub struct Scope<'c> {
    outer: Option<&'c Scope<'c>>,
    /// Its own directives but for levels within it.
    own: Vec<&'c Directive>,
    /// Levels within it.
    blocks: Vec<&'c Directive>,
    /// Whether it is a `server`, whose variables hold in its locations.
    is_server: bool,
}

/// What a variable is set to.
enum Value<'c> {
    Literal(&'c str),
    Unknown,
}

impl<'c> Scope<'c> {
    /// The level of a block's directives.
    pub fn new(outer: Option<&'c Scope<'c>>, block: &'c Directive) -> Self {
        let is_block = |d: &&Directive| d.block.is_some() && matches!(d.name.as_str(), "server" | "location" | "upstream");
        let (blocks, own) = block.inner().iter().partition(is_block);
        Scope { outer, own, blocks, is_server: block.name == "server" }
    }

    /// The locations of this very level, named ones too.
    pub fn locations(&self) -> impl Iterator<Item = &'c Directive> {
        self.blocks.iter().copied().filter(|d| d.name == "location")
    }

    /// The directives of this very level, without its locations.
    pub fn directives(&self) -> impl DoubleEndedIterator<Item = &'c Directive> {
        self.own.iter().copied()
    }

    fn levels(&'c self) -> impl Iterator<Item = &'c Scope<'c>> {
        std::iter::successors(Some(self), |s| s.outer)
    }

    /// The directive that holds here: of the innermost level that has it.
    pub fn find(&'c self, name: &str) -> Option<&'c Directive> {
        self.levels().find_map(|l| l.own.iter().copied().find(|d| d.name == name))
    }

    /// A directive of this very level.
    pub fn own(&self, name: &str) -> Option<&'c Directive> {
        self.directives().find(|d| d.name == name)
    }

    /// Whether a switch is on here.
    pub fn is_on(&'c self, name: &str) -> bool {
        self.find(name).is_some_and(|d| d.arg() == "on")
    }

    /// All of a name that hold here. A level that has one takes nothing from outer levels.
    pub fn all(&'c self, name: &'c str) -> impl Iterator<Item = &'c Directive> {
        let level = self.levels().find(|l| l.own.iter().copied().any(|d| d.name == name));
        level.into_iter().flat_map(Scope::directives).filter(move |d| d.name == name)
    }

    /// A text with the variables in it that are set to a text here; others stay as they are.
    pub fn substituted(&'c self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..SUBSTITUTIONS {
            let next = variables(&text).find_map(|(range, name)| match self.variable(name)? {
                Value::Literal(value) => Some((range, value)),
                Value::Unknown => None,
            });
            match next {
                Some((range, value)) if text.len() + value.len() <= LONGEST => text.replace_range(range, value),
                _ => break,
            }
        }
        text
    }

    /// The value of a variable: of the location itself, else of its server, else of a `map` with one value.
    fn variable(&'c self, name: &str) -> Option<Value<'c>> {
        let mut levels = self.levels().enumerate().filter(|(depth, l)| *depth == 0 || l.is_server);
        levels.find_map(|(_, l)| value_of(l, name)).or_else(|| self.mapped(name))
    }

    /// What a `map` makes of whatever it is asked for, where that is always the same.
    fn mapped(&'c self, name: &str) -> Option<Value<'c>> {
        let http = self.levels().last()?;
        let is_its = |d: &&Directive| d.name == "map" && d.args.get(1).is_some_and(|a| variable_name(a) == Some(name));
        let mut values = http.directives().find(is_its)?.inner().iter().filter(|d| d.name != "hostnames" && d.name != "volatile");
        let first = values.next()?;
        let same = (first.name == "default" || values.clone().any(|v| v.name == "default")) && values.all(|v| v.arg() == first.arg());
        Some(if same { Value::Literal(first.arg()) } else { Value::Unknown })
    }
}

/// What a level sets a variable to: the last one holds, and an `if` that sets it as well makes it unknown.
fn value_of<'c>(level: &Scope<'c>, name: &str) -> Option<Value<'c>> {
    let sets = |d: &&Directive| d.name == "set" && variable_name(d.arg()) == Some(name);
    if level.directives().filter(|d| d.name == "if").any(|d| d.inner().iter().any(|d| sets(&d))) {
        return Some(Value::Unknown);
    }
    if level.directives().any(|d| d.name.starts_with("set_by_lua") && variable_name(d.arg()) == Some(name)) {
        return Some(Value::Unknown);
    }
    let last = level.directives().rfind(sets)?;
    Some(Value::Literal(last.args.get(1).map_or("", String::as_str)))
}

fn variable_name(text: &str) -> Option<&str> {
    text.strip_prefix('$')
}

/// The variables of a text, `$name` or `${name}`: where each stands, and its name.
pub fn variables(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
    text.match_indices('$').filter_map(|(start, _)| {
        let rest = &text[start + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (skipped, rest) = rest.strip_prefix('{').map_or((1, rest), |rest| (2, rest));
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let end = start + skipped + name.len() + usize::from(skipped == 2);
        let is_closed = skipped == 1 || rest[name.len()..].starts_with('}');
        (!name.is_empty() && is_closed).then_some((start..end, name))
    })
}
