// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a series, or of a patch of it, was run. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::code::{CodeIn, CoveredKernel, LineOfCode, Ranges, SourceLines};
use crate::CaseName;

/// What became of a line that a series or a patch has added or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineRan {
    /// No code was made of it: a comment, a declaration, a part that the configuration leaves out, or what the compiler has moved elsewhere.
    NoCode,
    /// Nothing ran it.
    Never,
    /// Only booting ran it.
    Boot,
    /// Cases ran it.
    Cases {
        /// How many.
        times: u32,
        /// The first of them.
        first: CaseName,
    },
}

/// A line that a series or a patch has added or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedLine {
    /// The line.
    pub text: String,
    /// What became of it.
    pub ran: LineRan,
    /// The functions that its code is in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub code_in: BTreeSet<CodeIn>,
}

/// What of a series, or of one patch of it, was run on one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesRan {
    /// The lines that it has added or changed, by file.
    pub files: BTreeMap<String, BTreeMap<u32, ChangedLine>>,
}

impl SeriesRan {
    /// What was run of the series of a kernel.
    pub fn of(kernel: &CoveredKernel) -> Self {
        Self::of_lines(kernel, |source| &source.changed)
    }

    /// What was run of the last patch of a kernel's series.
    pub fn of_last_patch(kernel: &CoveredKernel) -> Self {
        Self::of_lines(kernel, |source| &source.last_patch)
    }

    fn of_lines(kernel: &CoveredKernel, lines: fn(&SourceLines) -> &BTreeMap<u32, String>) -> Self {
        let sources = &kernel.text.sources;
        // Most kernels have no series.
        if sources.iter().all(|source| lines(source).is_empty()) {
            return Self::default();
        }
        let boot = kernel.ranges(&kernel.boot);
        let cases: Vec<_> = kernel.cases.iter().zip(kernel.ranges_of_cases()).collect();
        let line_ran = |rows: &[&LineOfCode]| {
            if rows.is_empty() {
                return LineRan::NoCode;
            }
            let meets = |ranges: &Ranges| {
                let mut rows = rows.iter();
                rows.any(|row| ranges.meets(row.span.offset, row.span.offset + row.span.bytes))
            };
            let mut ran = cases.iter().filter(|(_, ranges)| meets(ranges));
            match ran.next() {
                Some((first, _)) => LineRan::Cases {
                    first: first.key.name(),
                    times: 1 + ran.count() as u32,
                },
                None if meets(&boot) => LineRan::Boot,
                None => LineRan::Never,
            }
        };
        let changed = sources.iter().filter(|source| !lines(source).is_empty());
        let files = changed.map(|source| {
            let lines = lines(source).iter();
            let lines = lines.map(|(line, text)| {
                let rows: Vec<_> = source.rows.iter().filter(|row| row.line == *line).collect();
                let changed = ChangedLine {
                    text: text.clone(),
                    ran: line_ran(&rows),
                    code_in: rows.iter().filter_map(|row| kernel.code_in(row)).collect(),
                };
                (*line, changed)
            });
            (source.file.clone(), lines.collect())
        });
        Self {
            files: files.collect(),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &LineRan> {
        self.files
            .values()
            .flat_map(BTreeMap::values)
            .map(|line| &line.ran)
    }

    /// How many lines have code.
    pub fn with_code(&self) -> usize {
        self.lines().filter(|ran| **ran != LineRan::NoCode).count()
    }

    /// How many lines were run, by a case or while booting.
    pub fn ran(&self) -> usize {
        let ran = |ran: &&LineRan| matches!(ran, LineRan::Boot | LineRan::Cases { .. });
        self.lines().filter(ran).count()
    }

    /// How many lines were run while booting and by no case.
    pub fn boot_only(&self) -> usize {
        self.lines().filter(|ran| **ran == LineRan::Boot).count()
    }

    /// The lines that nothing ran, as pieces of files from the first to the last line; what has no code does not end one.
    pub fn never(&self) -> Vec<(&str, u32, u32)> {
        let mut pieces = Vec::new();
        for (file, lines) in &self.files {
            let mut open: Option<(u32, u32)> = None;
            let mut before = None;
            for (line, ChangedLine { ran, .. }) in lines {
                let goes_on = before.is_some_and(|before| before + 1 == *line);
                if !goes_on || !matches!(ran, LineRan::Never | LineRan::NoCode) {
                    pieces.extend(open.take().map(|(first, last)| (file.as_str(), first, last)));
                }
                if *ran == LineRan::Never {
                    open = Some((open.map_or(*line, |(first, _)| first), *line));
                }
                before = Some(*line);
            }
            pieces.extend(open.map(|(first, last)| (file.as_str(), first, last)));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        coverage::{CoveredCase, LineOfCode, Span},
        samples::{covered_case, covered_kernel},
    };

    /// Line n has the code at 10 * n, which is piece n.
    fn kernel(cases: Vec<CoveredCase>, boot: &[usize], code: &[u32], changed: &[u32]) -> CoveredKernel {
        let span = |line: u32| Span {
            offset: u64::from(line) * 10,
            bytes: 4,
        };
        let row = |line: &u32| LineOfCode {
            span: span(*line),
            line: *line,
            inlined: None,
        };
        let source = SourceLines {
            file: "mm/a.c".to_owned(),
            rows: code.iter().map(row).collect(),
            changed: changed.iter().map(|line| (*line, String::new())).collect(),
            ..SourceLines::default()
        };
        let pieces: Vec<Span> = (0..8).map(span).collect();
        CoveredKernel {
            boot: boot.iter().copied().collect(),
            cases,
            ..covered_kernel(&[], vec![source], &pieces)
        }
    }

    #[test]
    fn each_line_has_its_word() {
        let cases = vec![covered_case("B01", &[1]), covered_case("B02", &[1, 2])];
        let ran = SeriesRan::of(&kernel(cases, &[1, 3], &[1, 2, 3, 4], &[1, 2, 3, 4, 5]));
        let lines: BTreeMap<u32, LineRan> = ran.files["mm/a.c"]
            .iter()
            .map(|(at, line)| (*at, line.ran.clone()))
            .collect();
        let by = |times, id: &str| LineRan::Cases {
            times,
            first: covered_case(id, &[]).key.name(),
        };
        assert_eq!(lines[&1], by(2, "B01"));
        assert_eq!(lines[&2], by(1, "B02"));
        assert_eq!(lines[&3], LineRan::Boot);
        assert_eq!(lines[&4], LineRan::Never);
        assert_eq!(lines[&5], LineRan::NoCode);
        assert_eq!((ran.with_code(), ran.ran(), ran.boot_only()), (4, 3, 1));
        assert_eq!(ran.never(), [("mm/a.c", 4, 4)]);
    }

    #[test]
    fn what_never_ran_is_told_in_pieces() {
        // 3 has no code, 5 was run, 7 is not changed.
        let cases = vec![covered_case("B01", &[5])];
        let changed = [2, 3, 4, 5, 6, 8];
        let ran = SeriesRan::of(&kernel(cases, &[], &[2, 4, 5, 6, 8], &changed));
        assert_eq!(
            ran.never(),
            [("mm/a.c", 2, 4), ("mm/a.c", 6, 6), ("mm/a.c", 8, 8)]
        );
    }

    #[test]
    fn a_patch_has_its_own_lines() {
        let mut kernel = kernel(vec![covered_case("B01", &[2])], &[], &[1, 2, 3], &[1, 2, 3]);
        kernel.text.sources[0].last_patch = [(2, "two();".to_owned()), (9, "nine".to_owned())].into();
        let ran = SeriesRan::of_last_patch(&kernel);
        let lines: Vec<_> = ran.files["mm/a.c"]
            .iter()
            .map(|(at, line)| (*at, line.text.as_str()))
            .collect();
        assert_eq!(lines, [(2, "two();"), (9, "nine")]);
        assert_eq!((ran.with_code(), ran.ran()), (1, 1));
    }

    #[test]
    fn a_line_has_the_functions_that_its_code_is_in() {
        let row = |offset, line, inlined: Option<&str>| LineOfCode {
            span: Span { offset, bytes: 4 },
            line,
            inlined: inlined.map(str::to_owned),
        };
        let source = SourceLines {
            file: "mm/a.c".to_owned(),
            rows: vec![row(0, 1, None), row(4, 2, Some("see")), row(44, 2, Some("see"))],
            changed: (1..=3).map(|line| (line, String::new())).collect(),
            ..SourceLines::default()
        };
        let functions = [(0, "online_pages"), (40, "offline_pages.cold")];
        let ran = SeriesRan::of(&covered_kernel(&functions, vec![source], &[]));
        let code_in = |line: u32| -> Vec<(&str, Option<&str>)> {
            let places = ran.files["mm/a.c"][&line].code_in.iter();
            places
                .map(|place| (place.function.as_str(), place.inlined.as_deref()))
                .collect()
        };
        assert_eq!(code_in(1), [("online_pages", None)]);
        assert_eq!(
            code_in(2),
            [("offline_pages", Some("see")), ("online_pages", Some("see"))]
        );
        assert_eq!(code_in(3), []);
    }
}
