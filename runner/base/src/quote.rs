// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a message quotes of a file that somebody wrote.

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

#[cfg(test)]
mod tests {
    use super::*;

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
