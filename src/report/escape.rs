//! Text from outside, made safe to show.

/// Escapes what could move the cursor, colour, hide or reorder text: control characters, and Unicode's format characters.
pub fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if c.is_control() || is_format(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// Characters that are not seen and change what is: Unicode's general categories Cf, Zl and Zp.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
        | '\u{2028}'..='\u{202e}' // line and paragraph separators, bidi embeddings and overrides
        | '\u{2060}'..='\u{206f}' // word joiner, bidi isolates
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}'..='\u{e007f}' // tags
    )
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn escapes_what_a_terminal_would_act_on() {
        assert_eq!(line("a\x1b[31mb\u{202e}c\n\r\u{9b}2J"), "a\\u{1b}[31mb\\u{202e}c\\n\\r\\u{9b}2J");
    }

    #[test]
    fn escapes_what_is_not_seen() {
        assert_eq!(line("we\u{200b}b\u{2028}\u{61c}\u{e0041}\u{feff}"), "we\\u{200b}b\\u{2028}\\u{61c}\\u{e0041}\\u{feff}");
    }

    #[test]
    fn leaves_every_other_text_as_it_is() {
        assert_eq!(line("Grüße → 200 日本 ✓"), "Grüße → 200 日本 ✓");
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_escaped_holds_a_control_character(text: String) {
            let safe = line(&text);
            assert!(!safe.chars().any(|c| c.is_control() || super::is_format(c)));
            assert_eq!(line(&safe), safe);
        }
    }
}
