// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text that came from a guest, made fit to be shown.

use std::fmt::{Arguments, Write};

use jiff::Timestamp;

pub(super) use base::printable;

/// Text that grows by lines.
#[derive(Debug, Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn line(&mut self, line: Arguments<'_>) {
        put(&mut self.0, line);
        self.0.push('\n');
    }

    /// Adds text that has its own ends of lines.
    pub(super) fn text(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Everything that was added.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

fn put(text: &mut String, arguments: Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing into a String cannot fail");
}

/// [`printable`] text in one line: ends of lines and tabs become spaces.
pub(super) fn one_line(text: &str) -> String {
    let line = printable(text).replace(['\n', '\t'], " ");
    line.trim().to_owned()
}

/// The beginning of the text, of `most` bytes or a little less, and `…` if that is not all.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", text[..text.floor_char_boundary(most)].trim_end())
}

/// Every line of the text with `indent` before it, and an end of line after it.
pub(super) fn indented(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        if !line.is_empty() {
            lines.push_str(indent);
            lines.push_str(line);
        }
        lines.push('\n');
    }
    lines
}

/// A time to the minute, in UTC.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `1 case`, `2 cases`.
pub(super) fn count(n: usize, one: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {one}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_no_ends_of_lines() {
        assert_eq!(one_line("  a\nb\tc\r\n"), "a b c");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("online", 6), "online");
        assert_eq!(cut("a äb", 3), "a…");
        assert_eq!(cut("a äb", 4), "a ä…");
    }
}
