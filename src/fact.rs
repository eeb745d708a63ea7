//! What may be known of something: a value, its absence, or nothing yet.
//!
//! Not knowing is never "no". A cause that needs a fact which is [`Fact::NotAsked`] or [`Fact::Failed`] answers that it
//! cannot tell; only [`Fact::Absent`] lets it conclude that a thing does not exist.

/// The state of one piece of knowledge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fact<T> {
    /// It was looked up and is there.
    Known(T),
    /// It was looked up completely and is not there.
    Absent,
    /// Nobody looked.
    #[default]
    NotAsked,
    /// It was looked up and the look-up failed, for this reason.
    Failed(String),
}

impl<T> Fact<T> {
    /// The value where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Absent | Fact::NotAsked | Fact::Failed(_) => None,
        }
    }

    /// Whether the thing is known not to exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Fact::Absent)
    }

    /// Why the thing is neither known nor known to be absent, or nothing where it is one of both.
    pub fn why_unknown(&self) -> Option<&str> {
        match self {
            Fact::Known(_) | Fact::Absent => None,
            Fact::NotAsked => Some("not asked"),
            Fact::Failed(why) => Some(why),
        }
    }

    /// Applies a function to the value and keeps the other states as they are.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(f(value)),
            Fact::Absent => Fact::Absent,
            Fact::NotAsked => Fact::NotAsked,
            Fact::Failed(why) => Fact::Failed(why),
        }
    }

    /// A fact about what the value leads to; the other states stay as they are.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Fact<U>) -> Fact<U> {
        match self {
            Fact::Known(value) => f(value),
            Fact::Absent => Fact::Absent,
            Fact::NotAsked => Fact::NotAsked,
            Fact::Failed(why) => Fact::Failed(why),
        }
    }

    /// The same fact about a borrowed value.
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Fact::Known(value) => Fact::Known(value),
            Fact::Absent => Fact::Absent,
            Fact::NotAsked => Fact::NotAsked,
            Fact::Failed(why) => Fact::Failed(why.clone()),
        }
    }
}
