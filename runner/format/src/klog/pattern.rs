// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiling patterns.

use regex::{Regex, RegexSet};

/// The kernel's log is ASCII wherever it matters. Unicode classes would make the patterns ten times as large, and seconds slower to
/// compile in a debug build.
fn ascii(pattern: &str) -> String {
    pattern
        .replace(r"\w", "[0-9A-Za-z_]")
        .replace(r"\d", "[0-9]")
        .replace(r"\S", "[^ \\t]")
        .replace(r"\s", "[ \\t]")
        .replace(r"\b", r"(?-u:\b)")
}

/// Compiles a pattern that is a constant of this program.
pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(&ascii(pattern)).expect("a constant pattern")
}

/// The same for a set of them.
pub(super) fn set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> RegexSet {
    RegexSet::new(patterns.into_iter().map(ascii)).expect("constant patterns")
}
