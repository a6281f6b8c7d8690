// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which cases ran a function or a line: what was noted of each case, the other way round. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::RangeInclusive,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::Compression;
use serde::{Deserialize, Serialize};

use super::{
    code::{CoveredKernel, Ran, Span},
    packed::{unzipped, zipped},
};

/// How far away a line may be to be near: comments and empty lines have no code.
const NEAR: u32 = 5;

/// Which cases of a kernel ran each of its functions and lines. A set has a bit for each case, by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The functions that any case ran, by name.
    functions: BTreeMap<String, Ran>,
    /// The lines that have code, by file and number, also those that no case ran.
    files: BTreeMap<String, BTreeMap<u32, Ran>>,
}

/// A reach as it is packed: most sets are those of many places, so that each is there once.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The sets, in base64.
    sets: Vec<String>,
    /// The place of each function's set.
    functions: BTreeMap<String, usize>,
    /// Lines, and the places of their sets.
    files: BTreeMap<String, Vec<(u32, usize)>>,
}

impl Reach {
    /// What the cases of a kernel ran. `numbers` has the number of each; those that count as one, such as the rounds of a case, have the same.
    pub fn of(kernel: &CoveredKernel, numbers: &[usize]) -> Self {
        let pieces = Pieces::of(kernel, numbers);
        let mut reach = Self::default();
        for (start, end, name) in kernel.functions_with_ends() {
            if let Some(ran) = pieces.ran(start, end) {
                reach.functions.entry(name.to_owned()).or_default().take(&ran);
            }
        }
        for source in &kernel.text.sources {
            let lines = reach.files.entry(source.file.clone()).or_default();
            for row in &source.rows {
                let line = lines.entry(row.line).or_default();
                if let Some(ran) = pieces.ran(row.span.offset, row.span.offset + row.span.bytes) {
                    line.take(&ran);
                }
            }
        }
        reach
    }

    /// The cases that ran a function; none where no case ran it, or the kernel has none of that name.
    pub fn function(&self, name: &str) -> Option<&Ran> {
        self.functions.get(name)
    }

    /// The names of the functions that cases ran.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The cases that ran any of some lines of a file; `None` where none of these has code.
    pub fn lines(&self, file: &str, lines: RangeInclusive<u32>) -> Option<Ran> {
        let mut within = self.files.get(file)?.range(lines).map(|(_, ran)| ran);
        let first = within.next()?.clone();
        Some(within.fold(first, |all, ran| all.or(ran)))
    }

    /// The cases that ran each line with code among some lines of a file, and the nearest such line on both sides of them, at most [`NEAR`] lines away.
    pub fn near(&self, file: &str, lines: RangeInclusive<u32>) -> impl Iterator<Item = &Ran> {
        let around = self.files.get(file).into_iter().flat_map(move |known| {
            let (first, last) = (*lines.start(), *lines.end());
            let before = known.range(first.saturating_sub(NEAR)..first).next_back();
            let behind = known.range(last + 1..=last.saturating_add(NEAR)).next();
            before.into_iter().chain(known.range(lines.clone())).chain(behind)
        });
        around.map(|(_, ran)| ran)
    }

    /// The files whose lines are known.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// All of it in few bytes: JSON, compressed (zlib).
    pub(crate) fn packed(&self) -> io::Result<Vec<u8>> {
        let (mut sets, mut places) = (Vec::new(), HashMap::new());
        let mut place = |ran: &Ran| {
            *places.entry(ran.bits().to_owned()).or_insert_with(|| {
                sets.push(STANDARD.encode(ran.bits()));
                sets.len() - 1
            })
        };
        let functions = self.functions.iter();
        let functions = functions.map(|(name, ran)| (name.clone(), place(ran))).collect();
        let mut files = BTreeMap::new();
        for (file, lines) in &self.files {
            let lines = lines.iter().map(|(line, ran)| (*line, place(ran)));
            files.insert(file.clone(), lines.collect());
        }
        let written = Written {
            sets,
            functions,
            files,
        };
        zipped(&serde_json::to_vec(&written)?, Compression::default())
    }

    /// What [`Self::packed`] made.
    ///
    /// # Errors
    /// It is nothing of that kind.
    pub(crate) fn unpacked(bytes: &[u8]) -> io::Result<Self> {
        let written: Written = serde_json::from_slice(&unzipped(bytes)?)?;
        let set = |text: &String| STANDARD.decode(text).map(Ran::of_bits).map_err(io::Error::other);
        let sets: Vec<Ran> = written.sets.iter().map(set).collect::<io::Result<_>>()?;
        let set = |at: usize| {
            let set = sets.get(at).cloned();
            set.ok_or_else(|| io::Error::other("a set that is not there"))
        };
        let mut reach = Self::default();
        for (name, at) in written.functions {
            reach.functions.insert(name, set(at)?);
        }
        for (file, lines) in written.files {
            let lines = lines.into_iter().map(|(line, at)| Ok((line, set(at)?)));
            reach.files.insert(file, lines.collect::<io::Result<_>>()?);
        }
        Ok(reach)
    }
}

/// The pieces of a kernel's code in the order of their places, each with the cases that ran it.
struct Pieces {
    pieces: Vec<(Span, Ran)>,
    /// Bytes of the longest.
    longest: u64,
}

impl Pieces {
    fn of(kernel: &CoveredKernel, numbers: &[usize]) -> Self {
        let mut by_piece = vec![Ran::default(); kernel.pieces.len()];
        for (case, number) in kernel.cases.iter().zip(numbers) {
            for piece in case.ran.indexes() {
                // A damaged file may have cases that ran more pieces than there are.
                if let Some(cases) = by_piece.get_mut(piece) {
                    cases.insert(*number);
                }
            }
        }
        let mut pieces: Vec<(Span, Ran)> = kernel.pieces.iter().copied().zip(by_piece).collect();
        pieces.sort_by_key(|(span, _)| *span);
        Self {
            longest: pieces.iter().map(|(span, _)| span.bytes).max().unwrap_or(0),
            pieces,
        }
    }

    /// The cases that ran any byte of `start..end`; `None` if there is no such case.
    fn ran(&self, start: u64, end: u64) -> Option<Ran> {
        let first = start.saturating_sub(self.longest);
        let from = self.pieces.partition_point(|(span, _)| span.offset < first);
        let until = self.pieces.partition_point(|(span, _)| span.offset < end);
        let mut all: Option<Ran> = None;
        for (span, ran) in &self.pieces[from..until] {
            if span.offset.saturating_add(span.bytes) > start && !ran.is_empty() {
                all.get_or_insert_default().take(ran);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        LineOfCode, SourceLines,
        samples::{covered_case, covered_kernel},
    };

    fn span(offset: u64, bytes: u64) -> Span {
        Span { offset, bytes }
    }

    fn numbers(ran: Option<&Ran>) -> Vec<usize> {
        ran.map_or_else(Vec::new, |ran| ran.indexes().collect())
    }

    /// Functions at 0, 40 and 90; lines 10 and 11 in the first, 12 in the second, 13 behind all pieces.
    fn kernel() -> CoveredKernel {
        let row = |offset, bytes, line| LineOfCode {
            inlined: None,
            span: span(offset, bytes),
            line,
        };
        let source = SourceLines {
            file: "mm/a.c".to_owned(),
            rows: vec![row(0, 4, 10), row(4, 4, 11), row(40, 8, 12), row(200, 4, 13)],
            ..SourceLines::default()
        };
        let functions = [
            (0, "online_pages"),
            (40, "offline_pages"),
            (90, "online_pages.cold"),
        ];
        let pieces = [span(44, 4), span(0, 5), span(90, 2)];
        CoveredKernel {
            cases: vec![
                covered_case("B01", &[1]),
                covered_case("B02", &[0, 1]),
                covered_case("B03", &[2]),
                covered_case("B04", &[]),
            ],
            ..covered_kernel(&functions, vec![source], &pieces)
        }
    }

    #[test]
    fn each_place_has_the_cases_that_ran_it() {
        let reach = Reach::of(&kernel(), &[0, 1, 2, 3]);
        assert_eq!(
            numbers(reach.function("online_pages")),
            [0, 1, 2],
            "with its cold part"
        );
        assert_eq!(numbers(reach.function("offline_pages")), [1]);
        assert_eq!(reach.function("online_pages.cold"), None);
        assert_eq!(reach.functions().count(), 2);
        let lines = |lines| numbers(reach.lines("mm/a.c", lines).as_ref());
        assert_eq!(lines(10..=10), [0, 1]);
        assert_eq!(lines(11..=11), [0, 1], "the piece ends in it");
        assert_eq!(lines(12..=12), [1]);
        assert_eq!(lines(11..=13), [0, 1]);
        assert_eq!(lines(13..=13), Vec::<usize>::new());
        assert!(
            reach.lines("mm/a.c", 13..=20).is_some(),
            "no case ran it, and it has code"
        );
        assert_eq!(reach.lines("mm/a.c", 14..=20), None);
        assert_eq!(reach.lines("mm/b.c", 1..=20), None);
    }

    #[test]
    fn what_is_near_has_code() {
        let reach = Reach::of(&kernel(), &[0, 1, 2, 3]);
        let near = |file, lines| -> Vec<Vec<usize>> {
            let near = reach.near(file, lines);
            near.map(|ran| ran.indexes().collect()).collect()
        };
        let (first, second, third, none) = (vec![0, 1], vec![0, 1], vec![1], vec![]);
        assert_eq!(
            near("mm/a.c", 11..=11),
            [first.clone(), second.clone(), third.clone()]
        );
        assert_eq!(near("mm/a.c", 10..=12), [first, second, third, none.clone()]);
        assert_eq!(near("mm/a.c", 18..=20), [none]);
        assert!(near("mm/a.c", 19..=20).is_empty(), "too far away");
        assert!(near("mm/b.c", 10..=12).is_empty());
    }

    #[test]
    fn the_rounds_of_a_case_are_one() {
        let reach = Reach::of(&kernel(), &[0, 0, 1, 1]);
        assert_eq!(numbers(reach.function("offline_pages")), [0]);
        assert_eq!(numbers(reach.function("online_pages")), [0, 1]);
    }

    fn packed(json: &str) -> Vec<u8> {
        zipped(json.as_bytes(), Compression::default()).unwrap()
    }

    #[test]
    fn what_was_packed_comes_out() {
        let reach = Reach::of(&kernel(), &[0, 1, 2, 3]);
        assert_eq!(Reach::unpacked(&reach.packed().unwrap()).unwrap(), reach);
        let missing = packed(r#"{"sets":["AQ=="],"functions":{"f":1},"files":{}}"#);
        for damaged in [b"no zlib".to_vec(), packed("{}"), missing] {
            assert!(Reach::unpacked(&damaged).is_err());
        }
    }

    proptest! {
        /// As the case itself is asked, which is the way of the reports.
        #[test]
        fn it_is_what_the_cases_say(
            pieces in proptest::collection::vec((0u64..300, 1u64..60), 1..12),
            cases in proptest::collection::vec(proptest::collection::vec(0usize..12, 0..6), 1..12),
        ) {
            let pieces: Vec<Span> = pieces.into_iter().map(|(at, bytes)| span(at, bytes)).collect();
            let functions = [(0, "a"), (7, "b"), (100, "c"), (101, "d"), (260, "e")];
            let mut kernel = covered_kernel(&functions, Vec::new(), &pieces);
            kernel.cases = cases.iter().map(|ran| covered_case("B", ran)).collect();
            let numbers: Vec<usize> = (0..cases.len()).collect();
            let reach = Reach::of(&kernel, &numbers);
            for (number, case) in kernel.cases.iter().enumerate() {
                let ran = kernel.functions_ran(&kernel.ranges(&case.ran));
                for (_, name) in functions {
                    let has = reach.function(name).is_some_and(|ran| ran.has(number));
                    prop_assert_eq!(has, ran.contains(name), "{} {}", number, name);
                }
            }
        }
    }
}
