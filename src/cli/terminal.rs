//! What the terminal can show.

/// Columns where nothing says how many there are.
const WIDTH: usize = 100;

/// Whether the locale has Unicode, by the variables as POSIX orders them. Without any of them, as in a pod, it has.
pub fn is_unicode() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|v| std::env::var(v).ok().filter(|l| !l.is_empty()));
    named.is_none_or(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

/// Columns, by the variable that shells set.
pub fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    said.filter(|columns| (40..=1000).contains(columns)).unwrap_or(WIDTH)
}
