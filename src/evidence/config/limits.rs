//! How much of one configuration is kept. Whoever writes a file can make it large; more than this is noted and left out.

use super::Place;
use super::notes::Notes;

/// Most routes of one configuration.
pub const ROUTES: usize = 5_000;
/// Most servers of one upstream.
pub const SERVERS: usize = 64;
/// Most listeners of one server or frontend.
pub const LISTENERS: usize = 64;
/// Most ports that are written as one range.
pub const RANGE: u16 = 64;

/// Leaves out what is more than kept, and says so.
pub fn cut<T>(all: &mut Vec<T>, most: usize, what: &str, place: &Place, notes: &mut Notes) {
    if all.len() > most {
        notes.add(place, format!("of {} {what} the first {most} are taken", all.len()));
        all.truncate(most);
    }
}
