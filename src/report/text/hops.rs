//! The row of hops: what passes, what is broken, what was not reached.

use anstyle::Style;

use super::page::{BLUE, DIM, GREEN, Page, RED, columns_of, paint};
use crate::api::{Hop, HopState, HopStatus};

/// Columns of a label at most, and where room is short.
const LONGEST: usize = 32;
const SHORT: usize = 20;

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

/// Draws the hops in a row: whole where it fits, else with shorter labels or without what was not reached, else on several lines.
pub(super) fn row(page: &mut Page<'_>, hops: &[HopStatus]) {
    if hops.is_empty() {
        return;
    }
    page.blank();
    for (longest, whole) in [(LONGEST, true), (LONGEST, false), (SHORT, false)] {
        let row = cells(page, hops, longest, whole);
        if width_of(&row) <= page.width() {
            draw(page, &row, false, false);
            return;
        }
    }
    let mut lines: Vec<Vec<Cell>> = vec![Vec::new()];
    for cell in cells(page, hops, LONGEST, true) {
        let used = lines.last().map_or(0, |line| width_of(line));
        if used > 0 && used + 2 * LINK + cell.width() > page.width() {
            lines.push(Vec::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push(cell);
        }
    }
    let count = lines.len();
    for (index, line) in lines.into_iter().enumerate() {
        draw(page, &line, index > 0, index + 1 < count);
    }
}

fn width_of(row: &[Cell]) -> usize {
    row.iter().map(|cell| cell.width() + LINK).sum::<usize>().saturating_sub(LINK)
}

/// The client and the hops; not whole, one mark stands for all that was not reached.
fn cells(page: &Page<'_>, hops: &[HopStatus], longest: usize, whole: bool) -> Vec<Cell> {
    let reached = hops.iter().rposition(|hop| hop.state != HopState::NotReached).map_or(0, |last| last + 1);
    let shown = if whole { hops } else { &hops[..reached] };
    let client = Cell { name: Hop::Client.to_string(), label: String::new(), state: None };
    let rest = (shown.len() < hops.len()).then(|| Cell { name: page.safe("…"), label: String::new(), state: Some(HopState::NotReached) });
    std::iter::once(client).chain(shown.iter().map(|hop| cell(page, hop, longest))).chain(rest).collect()
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

fn cell(page: &Page<'_>, hop: &HopStatus, longest: usize) -> Cell {
    let mark = match (hop.state, page.is_unicode()) {
        (HopState::Passing, true) => "✓",
        (HopState::Failing, true) => "✗",
        (HopState::NotReached, true) => "·",
        (HopState::Passing, false) => "ok",
        (HopState::Failing, false) => "FAILS",
        (HopState::NotReached, false) => "-",
        (HopState::Unknown, _) => "?",
    };
    let label = if hop.state == HopState::NotReached { String::new() } else { cut(&page.safe(&label(hop)), longest, page) };
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
            let ports = detail.and_then(|d| d.strip_prefix("port "));
            [name, ports].into_iter().flatten().collect::<Vec<_>>().join(":")
        }
        Hop::Client | Hop::Edge | Hop::Route | Hop::Endpoint | Hop::Network | Hop::Socket => detail.unwrap_or_default().to_owned(),
        Hop::Protocol | Hop::Application | Hop::Node => detail.unwrap_or_default().to_owned(),
    }
}

fn cut(text: &str, longest: usize, page: &Page<'_>) -> String {
    if columns_of(text) <= longest {
        return text.to_owned();
    }
    format!("{}{}", text.chars().take(longest - 3).collect::<String>(), page.safe("…"))
}
