//! What could not be understood, gathered while a configuration is read.

use std::collections::BTreeSet;

use super::{Note, Place};

/// Most notes that are kept of one configuration.
const MOST: usize = 200;

/// Notes in the order that they were made in, each once.
#[derive(Debug, Default)]
pub struct Notes {
    notes: Vec<Note>,
    seen: BTreeSet<(Place, String)>,
}

impl Notes {
    /// Adds a note about a place.
    pub fn add(&mut self, place: &Place, text: impl Into<String>) {
        let text = text.into();
        if self.notes.len() < MOST && self.seen.insert((place.clone(), text.clone())) {
            self.notes.push(Note { place: place.clone(), text });
        }
    }

    /// The first note, for a file that gives nothing but faults.
    pub fn first(&self) -> Option<&Note> {
        self.notes.first()
    }

    /// The notes.
    pub fn into_vec(self) -> Vec<Note> {
        self.notes
    }
}
