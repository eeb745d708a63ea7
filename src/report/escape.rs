//! Text from outside, made safe to show.

/// Escapes what could move the cursor, colour, hide or reorder text: control characters, and Unicode's format and bidi characters.
pub fn line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            c if c.is_control() || is_format(c) => format!("\\u{{{:x}}}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// Bidi controls, zero-width characters and the byte order mark (Unicode general category Cf, as far as it changes what is seen).
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{00ad}')
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn escapes_what_a_terminal_would_act_on() {
        assert_eq!(line("a\x1b[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\n");
        assert_eq!(line("Grüße → 200"), "Grüße → 200");
    }
}
