// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words as a shell reads them.

use std::ffi::OsStr;

/// Renders words so that a shell reads them back as they are.
pub fn shell_line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words
        .into_iter()
        .map(|w| shell_quote(&w.as_ref().to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Quotes one word for a POSIX shell, where it needs quotes.
pub fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
