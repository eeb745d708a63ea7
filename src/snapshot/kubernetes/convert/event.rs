//! Warnings about objects.

use super::{Convert, meta, wire};
use crate::snapshot::objects::{Event, Object};

/// Characters kept of a message.
const LONGEST_MESSAGE: usize = 320;

impl Convert for wire::Event {
    fn convert(self) -> Object {
        let about = self.involved_object;
        Object::Event(Event {
            meta: meta(self.metadata),
            about_kind: about.kind.unwrap_or_default(),
            about_name: about.name.unwrap_or_default(),
            about_uid: about.uid.unwrap_or_default(),
            reason: self.reason.unwrap_or_default(),
            message: self.message.unwrap_or_default().chars().take(LONGEST_MESSAGE).collect(),
        })
    }
}
