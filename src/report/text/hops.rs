//! The row of hops: what passes, what is broken, what was not reached.

use anstyle::Style;

use super::page::{BLUE, DIM, GREEN, Page, RED, columns_of, paint};
use crate::api::{Hop, HopState, HopStatus};

/// Columns of a label at most.
const LONGEST: usize = 32;

/// Columns of the line between two hops at least, with the blanks beside it.
const LINK: usize = 4;

/// One hop of the row, and the label below it.
struct Cell {
    name: String,
    label: String,
    state: Option<HopState>,
}

impl Cell {
    fn width(&self) -> usize {
        columns_of(&self.name).max(columns_of(&self.label))
    }

    fn style(&self) -> Style {
        match self.state {
            Some(HopState::Passing) => GREEN,
            Some(HopState::Failing) => RED,
            Some(HopState::NotReached) => DIM,
            Some(HopState::Unknown) => BLUE,
            None => Style::new(),
        }
    }
}

/// Draws the hops in a row, on as many lines as the terminal's width makes of it.
pub(super) fn row(page: &mut Page<'_>, hops: &[HopStatus]) {
    if hops.is_empty() {
        return;
    }
    page.blank();
    let client = Cell { name: Hop::Client.to_string(), label: String::new(), state: None };
    let cells: Vec<Cell> = std::iter::once(client).chain(hops.iter().map(|hop| cell(page, hop))).collect();
    let mut lines: Vec<Vec<Cell>> = vec![Vec::new()];
    let mut used = 0;
    for cell in cells {
        let wanted = cell.width() + LINK;
        if used + wanted > page.width() && used > 0 {
            lines.push(Vec::new());
            used = 0;
        }
        used += wanted;
        if let Some(line) = lines.last_mut() {
            line.push(cell);
        }
    }
    let count = lines.len();
    for (index, line) in lines.into_iter().enumerate() {
        draw(page, &line, index > 0, index + 1 < count);
    }
}

/// Draws one line of cells, which goes on from the line before and into the next one.
fn draw(page: &mut Page<'_>, cells: &[Cell], goes_on: bool, open: bool) {
    let unicode = page.is_unicode();
    let (mut names, mut labels) = (String::new(), String::new());
    if let (true, Some(first)) = (goes_on, cells.first()) {
        names.push_str(&format!("{} ", line_to(first.state, unicode).repeat(2)));
        labels.push_str("   ");
    }
    for (index, cell) in cells.iter().enumerate() {
        names.push_str(&paint(&cell.name, cell.style()));
        if !cell.label.is_empty() {
            labels.push_str(&paint(&cell.label, DIM));
        }
        if let Some(next) = cells.get(index + 1) {
            // The line to the next hop also fills the room that a long label takes.
            let room = cell.width() - columns_of(&cell.name) + 2;
            names.push_str(&format!(" {} ", line_to(next.state, unicode).repeat(room)));
            labels.push_str(&" ".repeat(cell.width() - columns_of(&cell.label) + LINK));
        }
    }
    if open {
        names.push_str(&format!(" {}", line_to(None, unicode).repeat(2)));
    }
    page.drawn(&names);
    if cells.iter().any(|c| !c.label.is_empty()) {
        page.drawn(&labels);
    }
}

/// One stroke of the line that leads to a hop.
fn line_to(state: Option<HopState>, unicode: bool) -> &'static str {
    match (state == Some(HopState::NotReached), unicode) {
        (false, true) => "─",
        (true, true) => "┄",
        (false, false) => "-",
        (true, false) => ".",
    }
}

fn cell(page: &Page<'_>, hop: &HopStatus) -> Cell {
    let mark = match (hop.state, page.is_unicode()) {
        (HopState::Passing, true) => "✓",
        (HopState::Failing, true) => "✗",
        (HopState::NotReached, true) => "·",
        (HopState::Passing, false) => "ok",
        (HopState::Failing, false) => "FAILS",
        (HopState::NotReached, false) => "-",
        (HopState::Unknown, _) => "?",
    };
    let label = if hop.state == HopState::NotReached { String::new() } else { cut(&page.safe(&label(hop)), page) };
    Cell { name: format!("{} {mark}", hop.hop), label, state: Some(hop.state) }
}

/// What is worth knowing of a hop at a glance.
fn label(hop: &HopStatus) -> String {
    let named = hop.objects.first().map(|object| object.split_once('/').map_or(object.as_str(), |(_, key)| key));
    let more = if hop.objects.len() > 1 { format!(" +{}", hop.objects.len() - 1) } else { String::new() };
    let detail = hop.detail.as_deref();
    match hop.hop {
        Hop::Gateway => named.map(|name| format!("{name}{more}")).or(detail.map(str::to_owned)).unwrap_or_default(),
        Hop::Service => {
            let name = named.map(|key| key.rsplit('/').next().unwrap_or(key));
            [name, detail].into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Hop::Client | Hop::Edge | Hop::Route | Hop::Endpoint | Hop::Network | Hop::Socket => detail.unwrap_or_default().to_owned(),
        Hop::Protocol | Hop::Application | Hop::Node => detail.unwrap_or_default().to_owned(),
    }
}

fn cut(text: &str, page: &Page<'_>) -> String {
    if columns_of(text) <= LONGEST {
        return text.to_owned();
    }
    format!("{}{}", text.chars().take(LONGEST - 3).collect::<String>(), page.safe("…"))
}
