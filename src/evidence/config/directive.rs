//! A directive of nginx or Apache: a name, what follows it, and perhaps a block.

use super::Place;

/// One directive, with the block that it opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directive {
    /// Its name; Apache's in lower case.
    pub name: String,
    /// What follows the name, without quotes.
    pub args: Vec<String>,
    /// The directives of its block, where it has one.
    pub block: Option<Vec<Directive>>,
    /// Where it stands.
    pub place: Place,
}

impl Directive {
    /// Its first argument, or nothing.
    pub fn arg(&self) -> &str {
        self.at(0)
    }

    /// An argument by its number from 0, or nothing.
    pub fn at(&self, number: usize) -> &str {
        self.args.get(number).map_or("", String::as_str)
    }

    /// The directives of its block.
    pub fn inner(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}
