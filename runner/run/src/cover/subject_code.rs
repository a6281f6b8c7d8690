// SPDX-License-Identifier: MIT OR Apache-2.0
//! The code of a kernel that memory hotplug is in, and how much of it was run. Pure.
//!
//! Which code that is, the names of the functions say, so that it is known of any kernel. What interrupts, timers and the scheduler run is not among it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use super::subject::is_subject;
use record::{CodeCounts, KernelText, Span};

/// The functions by name, file by file.
const NAMES: &str = include_str!("subject_functions.txt");

/// A function of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    /// Its name; that of the whole, where the compiler split it.
    name: String,
    /// Where its code is, in bytes from the start of the kernel's text.
    code: Range<u64>,
    /// How many bytes of such code come before it.
    before: usize,
}

/// The code of a kernel that memory hotplug is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SubjectCode {
    /// Ascending; they do not touch.
    functions: Vec<Function>,
    /// Bytes of them all.
    bytes: usize,
    /// Pieces of code, each with the number of its line; none where lines are not known.
    rows: Vec<(Span, usize)>,
    /// How many lines there are.
    lines: usize,
}

/// What of it was run.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    code: Arc<SubjectCode>,
    /// For each byte.
    ran: Vec<bool>,
    functions: BTreeSet<String>,
}

/// What was run for the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct New {
    /// The code, in the order in which it was run.
    pub(crate) code: Vec<(u64, u64)>,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// Functions of which nothing was run before.
    pub(crate) functions: Vec<String>,
    /// The number of the last piece that had any of it.
    pub(crate) last: Option<usize>,
}

impl SubjectCode {
    /// That of a kernel. A name that several functions have is meant where one beside it is listed too.
    pub(crate) fn of(text: &KernelText) -> Self {
        let listed: HashSet<&str> = names().collect();
        let all: Vec<(u64, u64, &str)> = text.functions_with_ends().collect();
        let mut times: HashMap<&str, usize> = HashMap::new();
        for (_, name) in &text.functions {
            *times.entry(name).or_default() += 1;
        }
        let is_listed = |at: usize| all.get(at).is_some_and(|(.., name)| listed.contains(name));
        let is_meant = |at: usize| {
            let alone = times.get(text.functions[at].1.as_str()) == Some(&1);
            let beside = at.checked_sub(1).is_some_and(is_listed) || is_listed(at + 1);
            is_listed(at) && (alone || beside)
        };
        let mut code = Self::default();
        for (_, (start, end, name)) in all.iter().enumerate().filter(|(at, _)| is_meant(*at)) {
            code.functions.push(Function {
                name: (*name).to_owned(),
                code: *start..*end,
                before: code.bytes,
            });
            code.bytes += (end - start) as usize;
        }
        code.number_lines(text);
        code
    }

    /// The lines of the files of memory hotplug that have code in these functions.
    fn number_lines(&mut self, text: &KernelText) {
        let mut numbers: HashMap<(&str, u32), usize> = HashMap::new();
        for source in text.sources.iter().filter(|source| is_subject(&source.file)) {
            for row in &source.rows {
                if self.places(row.span).next().is_some() {
                    let next = numbers.len();
                    let number = *numbers.entry((&source.file, row.line)).or_insert(next);
                    self.rows.push((row.span, number));
                }
            }
        }
        self.lines = numbers.len();
    }

    /// The functions that a piece of code is in, each with the part of it that is there, by its places among all bytes.
    fn places(&self, span: Span) -> impl Iterator<Item = (&Function, Range<usize>)> {
        let end = span.offset.saturating_add(span.bytes);
        let first = self
            .functions
            .partition_point(|function| function.code.end <= span.offset);
        let met = self.functions[first..]
            .iter()
            .take_while(move |function| function.code.start < end);
        met.map(move |function| {
            let from = span.offset.max(function.code.start) - function.code.start;
            let to = end.min(function.code.end) - function.code.start;
            (
                function,
                function.before + from as usize..function.before + to as usize,
            )
        })
    }
}

impl Reached {
    /// Nothing of it was run yet.
    pub(crate) fn of(code: Arc<SubjectCode>) -> Self {
        Self {
            ran: vec![false; code.bytes],
            code,
            functions: BTreeSet::new(),
        }
    }

    /// Pieces were run, each with its number; says what of them was not before.
    pub(crate) fn take(&mut self, pieces: impl IntoIterator<Item = (usize, Span)>) -> New {
        let mut new = New::default();
        for (number, span) in pieces {
            for (function, places) in self.code.places(span) {
                let before = places.start;
                let bytes = self.ran[places.clone()].iter().filter(|ran| !**ran).count();
                if bytes == 0 {
                    continue;
                }
                self.ran[places.clone()].fill(true);
                let offset = function.code.start + (before - function.before) as u64;
                new.code.push((offset, places.len() as u64));
                new.bytes += bytes as u64;
                new.last = Some(number);
                if self.functions.insert(function.name.clone()) {
                    new.functions.push(function.name.clone());
                }
            }
        }
        new
    }

    /// How much it is by now.
    pub(crate) fn counts(&self) -> CodeCounts {
        let has_ran = |span: Span| {
            let mut places = self.code.places(span);
            places.any(|(_, places)| self.ran[places].iter().any(|ran| *ran))
        };
        let rows = self.code.rows.iter();
        let lines: HashSet<usize> = rows
            .filter(|(span, _)| has_ran(*span))
            .map(|(_, line)| *line)
            .collect();
        CodeCounts {
            functions: self.functions.len() as u64,
            bytes: self.ran.iter().filter(|ran| **ran).count() as u64,
            lines: lines.len() as u64,
        }
    }

    /// How much there is.
    pub(crate) fn all(&self) -> CodeCounts {
        let names = self.code.functions.iter().map(|function| &function.name);
        CodeCounts {
            functions: names.collect::<BTreeSet<_>>().len() as u64,
            bytes: self.code.bytes as u64,
            lines: self.code.lines as u64,
        }
    }
}

/// The listed names.
fn names() -> impl Iterator<Item = &'static str> {
    let lines = NAMES.lines().filter(|line| line.starts_with(' '));
    lines.flat_map(str::split_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use record::{LineOfCode, SourceLines};

    fn text(functions: &[(u64, &str)]) -> KernelText {
        KernelText {
            label: "k".to_owned(),
            release: "6".to_owned(),
            arch: Arch::X86_64,
            side: None,
            end: 0x100,
            functions: functions
                .iter()
                .map(|(at, name)| (*at, (*name).to_owned()))
                .collect(),
            modules: Vec::new(),
            sources: Vec::new(),
        }
    }

    fn span(offset: u64, bytes: u64) -> Span {
        Span { offset, bytes }
    }

    fn kernel() -> KernelText {
        text(&[
            // Of a driver.
            (0x00, "state_show"),
            (0x10, "schedule"),
            (0x20, "online_pages"),
            (0x40, "run_timer"),
            (0x50, "state_show"),
            (0x60, "memory_subsys_online"),
            (0x80, "printk"),
            (0xf0, "online_pages.cold"),
        ])
    }

    #[test]
    fn only_code_of_memory_hotplug_is_new_and_only_once() {
        let mut reached = Reached::of(Arc::new(SubjectCode::of(&kernel())));
        let all = CodeCounts {
            functions: 3,
            bytes: 0x60,
            lines: 0,
        };
        assert_eq!(reached.all(), all);
        assert_eq!(
            reached.take([(0, span(0x00, 0x20)), (1, span(0x40, 0x10)), (2, span(0x80, 8))]),
            New::default()
        );
        let new = reached.take([(3, span(0x18, 0x10)), (4, span(0xf4, 4)), (5, span(0x20, 4))]);
        let expected = New {
            code: vec![(0x20, 8), (0xf4, 4)],
            bytes: 12,
            functions: vec!["online_pages".to_owned()],
            last: Some(4),
        };
        assert_eq!(new, expected);
        // An interrupt came in the middle, so that QEMU translated the rest of the block once more.
        assert_eq!(reached.take([(0, span(0x24, 4))]), New::default());
        let new = reached.take([(9, span(0x24, 6)), (10, span(0x58, 0x10))]);
        assert_eq!((new.bytes, new.last), (2 + 16, Some(10)));
        assert_eq!(new.functions, ["state_show", "memory_subsys_online"]);
        assert_eq!(
            reached.counts(),
            CodeCounts {
                functions: 3,
                bytes: 30,
                lines: 0
            }
        );
        // What was kept of it comes to the same code.
        let mut again = Reached::of(Arc::new(SubjectCode::of(&kernel())));
        let kept = [(0x20, 8), (0xf4, 4), (0x24, 6), (0x58, 0x10)];
        again.take(kept.map(|(at, bytes)| (0, span(at, bytes))));
        assert_eq!(again.counts(), reached.counts());
    }

    #[test]
    fn lines_are_those_of_its_files_in_its_functions() {
        let mut text = kernel();
        let row = |offset, line| LineOfCode {
            span: span(offset, 4),
            line,
            inlined: None,
        };
        let source = |file: &str, rows| SourceLines {
            file: file.to_owned(),
            rows,
            ..SourceLines::default()
        };
        text.sources = vec![
            source(
                "mm/memory_hotplug.c",
                vec![row(0x20, 7), row(0x24, 8), row(0x28, 7), row(0x80, 9)],
            ),
            source("kernel/time/timer.c", vec![row(0x2c, 3)]),
        ];
        let mut reached = Reached::of(Arc::new(SubjectCode::of(&text)));
        assert_eq!(reached.all().lines, 2);
        reached.take([(0, span(0x28, 2)), (1, span(0x80, 4))]);
        assert_eq!(reached.counts().lines, 1);
    }

    #[test]
    fn the_list_has_each_name_of_a_file_once() {
        let mut of_file = HashSet::new();
        let mut count = 0;
        for line in NAMES.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("  ") {
                None => {
                    assert!(line.strip_suffix(':').is_some_and(is_subject), "{line}");
                    of_file.clear();
                }
                Some(names) => names.split(' ').for_each(|name| {
                    count += 1;
                    assert!(of_file.insert(name), "{name}");
                }),
            }
        }
        assert_eq!(count, names().count());
        assert!(count > 150);
    }
}
