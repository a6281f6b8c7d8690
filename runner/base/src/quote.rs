// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of others in what memrig says: what a message quotes of a file that somebody wrote, and what a guest said.

/// What of a file is quoted in a message: in one line, without control characters, and short.
pub fn quoted(text: &str) -> String {
    shortened(text, 80)
}

/// The text with no more than about `most` characters, the middle left out, and without what moves a terminal's cursor.
pub fn shortened(text: &str, most: usize) -> String {
    let plain = |c: char| match c {
        '\t' => c,
        c if c.is_control() => '\u{fffd}',
        // They turn the text around them over.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    let all = text.chars().count();
    if all <= most {
        return text.chars().map(plain).collect();
    }
    let end = most / 3;
    let begin: String = text.chars().take(most - end).map(plain).collect();
    let end: String = text.chars().skip(all - end).map(plain).collect();
    format!("{begin}…{end} ({all} characters)")
}

/// Text without control characters: they are written out as `\x1b`, ends of lines become `\n`, tabs stay.
///
/// What is left is within the `Char` production of XML 1.0, and moves no terminal's cursor.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let written = match c {
            '\n' | '\t' => None,
            '\r' if chars.peek() == Some(&'\n') => continue,
            '\r' => Some("\n".to_owned()),
            c if c.is_control() => Some(format!("\\x{:02x}", u32::from(c))),
            // They turn the text around them over, so that a reader sees another one than there is.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(format!("\\u{{{:x}}}", u32::from(c))),
            // The only code points beside the control characters that XML 1.0 has no way to write.
            '\u{fffe}' | '\u{ffff}' => Some(format!("\\u{{{:x}}}", u32::from(c))),
            _ => None,
        };
        match written {
            Some(written) => clean.push_str(&written),
            None => clean.push(c),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(
            printable("\u{1b}[31mred\r\nnul\0\u{9b}bell\u{7}\tok\rend\u{fffe}"),
            "\\x1b[31mred\nnul\\x00\\x9bbell\\x07\tok\nend\\u{fffe}"
        );
        assert_eq!(printable("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
    }

    #[test]
    fn a_quotation_is_short_and_moves_no_cursor() {
        assert_eq!(quoted("CONFIG_A=maybe"), "CONFIG_A=maybe");
        assert_eq!(quoted("a\x1b[2Jb\u{202e}"), "a\u{fffd}[2Jb\u{fffd}");
        let long = quoted(&"äb".repeat(500_000));
        assert!(
            long.starts_with("äbäb") && long.ends_with("b (1000000 characters)"),
            "{long}"
        );
        assert!(long.chars().count() < 110, "{long}");
    }
}
