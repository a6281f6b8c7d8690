// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a suite, and where: file, line and column, the line itself with a caret, and a hint.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::places::Span;
use base::{
    fault::{Blame, Blamed},
    shortened,
};

/// Everything that is wrong with one suite file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SuiteErrors {
    pub(super) file: String,
    pub(super) complaints: Vec<Complaint>,
}

impl Blamed for SuiteErrors {
    fn blame(&self) -> Blame {
        Blame::Usage
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// How many characters are meant, at least 1.
    pub(crate) width: usize,
    /// The line as it is in the file.
    pub(crate) source: String,
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Complaint {
    /// About a span of a text. Only the first line of the span is marked.
    pub(super) fn at(text: &str, span: Span, message: impl Into<String>, hint: Option<String>) -> Self {
        let start = span.start.min(text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let end = span.end.clamp(start, line_end);
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].trim_end().chars().count().max(1),
            source: text[line_start..line_end].trim_end().to_owned(),
            message: message.into(),
            hint,
        }
    }
}

impl fmt::Display for SuiteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, complaint) in self.complaints.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(
                f,
                "{}:{}:{}: {}\n{}",
                self.file,
                complaint.line,
                complaint.column,
                shortened(&complaint.message, MESSAGE),
                complaint.shown()
            )?;
        }
        Ok(())
    }
}

impl Complaint {
    /// The line with a caret below what is meant, and the hint.
    fn shown(&self) -> String {
        // What moves a terminal's cursor is one other character each.
        let source = shortened(&self.source, usize::MAX);
        let at = |column: usize| {
            let place = source.char_indices().nth(column - 1);
            place.map_or(source.len(), |(at, _)| at)
        };
        let meant = at(self.column)..at(self.column + self.width);
        let snippet = Snippet::source(&source)
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(meant));
        let hint = self.hint.as_ref().map(|hint| shortened(hint, HINT));
        let hint = hint
            .iter()
            .map(|hint| Level::HELP.with_name("hint").message(hint));
        let group = Group::with_level(Level::ERROR).element(snippet).elements(hint);
        Renderer::plain().term_width(LINE).render(&[group])
    }
}

/// Characters of a message and of a hint; the list of all words of a step is the longest of ours.
const MESSAGE: usize = 400;
const HINT: usize = 1000;

/// Columns of a line that are shown.
const LINE: usize = 120;

/// `did you mean …` where one of the words is near enough.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        // No word of ours is near one that is much longer, which would take long to find out.
        .filter(|candidate| word.len() <= 2 * candidate.len() + 2)
        .map(|candidate| (strsim::osa_distance(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, candidate)| *distance <= word.len().max(candidate.len()).div_ceil(3))
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// The same, or else the list of what is known.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<_> = known.into_iter().collect();
    near(word, known.iter().copied()).or_else(|| match known.as_slice() {
        [] => None,
        [only] => Some(format!("expected `{only}`")),
        [most @ .., last] => Some(format!("expected one of `{}` and `{last}`", most.join("`, `"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_far_one_is_not() {
        let steps = ["online", "offline", "write"];
        assert_eq!(
            nearest("onlnie", steps).as_deref(),
            Some("did you mean `online`?")
        );
        assert_eq!(
            nearest("ofline", steps).as_deref(),
            Some("did you mean `offline`?")
        );
        assert_eq!(
            nearest("unplug", steps).as_deref(),
            Some("expected one of `online`, `offline` and `write`")
        );
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn the_caret_stands_below_its_place() {
        let text = "ä: 1\n\tö: two words # c\n";
        let start = text.find("two").unwrap();
        let complaint = Complaint::at(text, start..start + 9, "wrong", Some("right".into()));
        let errors = SuiteErrors {
            file: "x.yaml".into(),
            complaints: vec![complaint],
        };
        assert_eq!(
            errors.to_string(),
            "x.yaml:2:5: wrong\n  |\n2 |     ö: two words # c\n  |        ^^^^^^^^^\n  |\n  = hint: right"
        );
    }

    /// What is shown of a text whose word `here` is wrong.
    fn shown(text: &str) -> String {
        let start = text.find("here").unwrap();
        Complaint::at(text, start..start + 4, "wrong", None).shown()
    }

    #[test]
    fn the_caret_stands_below_its_place_behind_wide_characters() {
        assert_eq!(shown("漢字: here"), "  |\n1 | 漢字: here\n  |       ^^^^");
    }

    #[test]
    fn a_line_moves_no_cursor_and_is_as_wide_as_a_terminal() {
        assert_eq!(
            shown("\x1b[2J\u{9b}\u{202e} here"),
            "  |\n1 | \u{fffd}[2J\u{fffd}\u{fffd} here\n  |        ^^^^"
        );
        let long = shown(&format!("{} here{}", "äb".repeat(500_000), "x".repeat(500_000)));
        assert!(long.lines().all(|line| line.chars().count() < 130), "{long}");
        assert!(long.contains(" here"), "{long}");
    }

    #[test]
    fn a_span_past_the_end_is_still_a_place() {
        let complaint = Complaint::at("", 0..0, "empty", None);
        assert_eq!((complaint.line, complaint.column, complaint.width), (1, 1, 1));
        let complaint = Complaint::at("a\nb", 0..3, "two lines", None);
        assert_eq!((complaint.line, complaint.width), (1, 1));
    }
}
