// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of KTAP, as far as it is one.

use std::sync::LazyLock;

use regex::Regex;

/// Tests within tests, at the most.
pub(super) const DEEPEST: usize = 16;

/// Characters of a name, at the most.
pub(super) const LONGEST: usize = 200;

/// A line, as far as it is KTAP.
pub(super) enum Line<'a> {
    Version,
    Plan(u64, Option<&'a str>),
    Result {
        ok: bool,
        number: Option<u64>,
        text: &'a str,
    },
    Subtest(&'a str),
    BailOut(&'a str),
    Other,
}

/// What `dmesg` puts before a line of the kernel's: facility and level (`-x`, `-r`), the time as printk or as people write it (`-T`), and on
/// kernels with CONFIG_PRINTK_CALLER who printed it. One space belongs to it; further ones are the line's own.
static STAMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:\w+ *:\w+ *: |<\d{1,3}>)?\[(?: *\d+\.\d{6}|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})\](?:\[ *[TC]\d+\])?(?: |$)",
    )
    .expect("a constant pattern")
});

/// The line without the stamp of the kernel's log.
pub(super) fn unstamped(line: &str) -> &str {
    STAMP.find(line).map_or(line, |stamp| &line[stamp.end()..])
}

/// How many characters something else puts before each line, as the line that begins KTAP shows it: a log's own stamp, which
/// Linux' own reader takes off in the same way (tools/testing/kunit/kunit_parser.py).
pub(super) fn prefix(line: &str) -> Option<usize> {
    let line = line.trim_end();
    let before = ["KTAP version 1", "TAP version 13", "TAP version 14"]
        .into_iter()
        .find_map(|version| line.strip_suffix(version))?;
    // Spaces and `#` are the line's own.
    (!before.chars().all(|c| matches!(c, ' ' | '\t' | '#'))).then(|| before.chars().count())
}

/// The line without its first characters.
pub(super) fn without(line: &str, prefix: usize) -> &str {
    line.char_indices().nth(prefix).map_or("", |(at, _)| &line[at..])
}

/// The indentation, the rest, and whether there is a `# ` in it.
pub(super) fn strip(line: &str) -> (usize, &str, bool) {
    let line = line.trim_end();
    let mut text = line;
    let mut hashed = false;
    loop {
        text = text.trim_start_matches([' ', '\t']);
        match text.strip_prefix("# ") {
            // `# Subtest:` is a word of KTAP itself.
            Some(rest) if !rest.starts_with("Subtest:") && (line.len() - text.len()) / 2 < DEEPEST => {
                hashed = true;
                text = rest;
            }
            _ => return (line.len() - text.len(), text, hashed),
        }
    }
}

/// What a line says, without its indentation.
pub(super) fn read(text: &str) -> Line<'_> {
    if matches!(text, "KTAP version 1" | "TAP version 13" | "TAP version 14") {
        return Line::Version;
    }
    if let Some(name) = text.strip_prefix("# Subtest:") {
        return Line::Subtest(name.trim());
    }
    if let Some(why) = text.strip_prefix("Bail out!") {
        return Line::BailOut(why.trim());
    }
    if let Some(rest) = text.strip_prefix("1..") {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let after = rest[digits..].trim_start();
        if let Ok(count) = rest[..digits].parse()
            && (after.is_empty() || after.starts_with('#'))
        {
            let skip = after.trim_start_matches(['#', ' ']);
            let word = skip.get(..4).filter(|word| word.eq_ignore_ascii_case("skip"));
            return Line::Plan(count, word.map(|_| skip[4..].trim()));
        }
        return Line::Other;
    }
    let (ok, rest) = match (text.strip_prefix("not ok"), text.strip_prefix("ok")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Line::Other,
    };
    if !(rest.is_empty() || rest.starts_with(' ')) {
        return Line::Other;
    }
    let rest = rest.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let after = &rest[digits..];
    let number = rest[..digits]
        .parse()
        .ok()
        .filter(|_| after.is_empty() || after.starts_with(' '));
    let text = if number.is_some() {
        after.trim_start()
    } else {
        rest
    };
    Line::Result {
        ok,
        number,
        text: text.strip_prefix("- ").unwrap_or(text),
    }
}

/// What stands behind a `#` after a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Skip,
    /// kselftest.h prints `ok` before it: the failure that was expected came.
    ExpectedFail,
    /// What is `ok` all the same works by now.
    Todo,
    Broken,
}

/// Name, directive and reason of a result.
pub(super) fn directive(text: &str) -> (&str, Option<Directive>, &str) {
    let words = [
        ("SKIP", Directive::Skip),
        ("XFAIL", Directive::ExpectedFail),
        ("TODO", Directive::Todo),
        ("TIMEOUT", Directive::Broken),
        ("ERROR", Directive::Broken),
    ];
    for (at, _) in text.match_indices('#') {
        if at > 0 && !text[..at].ends_with(' ') {
            continue;
        }
        let rest = text[at + 1..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        if let Some((_, directive)) = words
            .iter()
            .find(|(word, _)| rest[..end].eq_ignore_ascii_case(word))
        {
            let reason = rest[end..].trim_start_matches([':', ' ']);
            let reason = match directive {
                Directive::Broken => rest,
                _ => reason,
            };
            return (text[..at].trim_end(), Some(*directive), reason);
        }
    }
    (text.trim_end(), None, "")
}

/// Text of a program, as it can be shown.
pub(super) fn clean(text: &str) -> String {
    let shown: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    cut(&shown)
}

/// Text that is not too long for a name.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
