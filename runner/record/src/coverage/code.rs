// SPDX-License-Identifier: MIT OR Apache-2.0
//! The code of a kernel, and what of it was run. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use base::Arch;

use crate::{CaseKey, Side, key::kernel_name};

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins, in bytes from the start of the kernel's text.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Which pieces of a kernel a case ran, or which cases ran a piece: a bit for each, by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran(Vec<u8>);

impl Ran {
    /// A set of these bits, the lowest first.
    pub(super) fn of_bits(bits: Vec<u8>) -> Self {
        Self(bits)
    }

    pub(super) fn bits(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn insert(&mut self, index: usize) {
        let byte = index / 8;
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (index % 8);
    }

    /// Whether the one of this number is among them.
    pub fn has(&self, index: usize) -> bool {
        self.0
            .get(index / 8)
            .is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// Their numbers, ascending.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        // Most bytes of a case are empty.
        let bytes = self.0.iter().enumerate().filter(|(_, byte)| **byte != 0);
        bytes.flat_map(|(at, byte)| {
            (0..8)
                .filter(move |bit| byte & (1 << bit) != 0)
                .map(move |bit| at * 8 + bit)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Adds what is there.
    pub(super) fn take(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(byte, more)| *byte |= more);
    }

    /// The same pieces where so many others come first.
    pub(super) fn behind(&self, first: usize) -> Self {
        self.indexes().map(|index| first + index).collect()
    }

    /// What was run here or there.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.take(other);
        all
    }
}

impl FromIterator<usize> for Ran {
    /// Those with these numbers.
    fn from_iter<T: IntoIterator<Item = usize>>(indexes: T) -> Self {
        let mut ran = Self::default();
        indexes.into_iter().for_each(|index| ran.insert(index));
        ran
    }
}

/// Bytes of code that were run, as pieces that do not touch, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub(super) fn of(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable();
        Self::ascending(spans)
    }

    /// Of pieces in the order in which they lie.
    fn ascending(spans: impl IntoIterator<Item = Span>) -> Self {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for Span { offset, bytes } in spans {
            let end = offset.saturating_add(bytes);
            match ranges.last_mut().filter(|last| offset <= last.1) {
                Some(last) => last.1 = last.1.max(end),
                None => ranges.push((offset, end)),
            }
        }
        Self(ranges)
    }

    /// Whether any byte of `start..end` was run.
    pub fn meets(&self, start: u64, end: u64) -> bool {
        let behind = self.0.partition_point(|range| range.1 <= start);
        self.0.get(behind).is_some_and(|range| range.0 < end)
    }

    /// How many bytes of `start..end` were run.
    pub fn bytes_of(&self, start: u64, end: u64) -> u64 {
        let first = self.0.partition_point(|range| range.1 <= start);
        let within = self.0[first..].iter().take_while(|range| range.0 < end);
        within.map(|range| range.1.min(end) - range.0.max(start)).sum()
    }
}

/// Code that a line of a source file was made into; a line can have several pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineOfCode {
    /// Its code.
    pub span: Span,
    /// The line, from 1.
    pub line: u32,
    /// The function that the line is of, where that was inlined into another one here.
    pub inlined: Option<String>,
}

/// In which functions a piece of code is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CodeIn {
    /// The function that the kernel has there.
    pub function: String,
    /// The one that the code is of, where that was inlined there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inlined: Option<String>,
}

/// The lines of a source file that have code in a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceLines {
    /// The file, by its path in the kernel's tree.
    pub file: String,
    /// Their code, ascending.
    pub rows: Vec<LineOfCode>,
    /// The lines that the kernel's series has added or changed, also those without code: number, from 1, and text.
    pub changed: BTreeMap<u32, String>,
    /// Those that the last patch of the series has added or changed.
    pub last_patch: BTreeMap<u32, String>,
}

impl SourceLines {
    /// The lines that have code, and whether any of it was run.
    pub fn ran(&self, ranges: &Ranges) -> BTreeMap<u32, bool> {
        let mut lines = BTreeMap::new();
        for row in &self.rows {
            let ran = ranges.meets(row.span.offset, row.span.offset + row.span.bytes);
            *lines.entry(row.line).or_insert(false) |= ran;
        }
        lines
    }
}

/// A case that was covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredCase {
    /// Which.
    pub key: CaseKey,
    /// Its guest booted for it, and that is among what it ran.
    pub booted: bool,
    /// What it ran.
    pub ran: Ran,
    /// How many pieces there was no room to note.
    pub lost: u64,
}

/// A kernel whose code is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelText {
    /// Its label.
    pub label: String,
    /// Its release.
    pub release: String,
    /// Its architecture.
    pub arch: Arch,
    /// Which side of a comparison it is on, where two are compared.
    pub side: Option<Side>,
    /// Where its text ends, in bytes from its start.
    pub end: u64,
    /// Where its functions begin, in bytes from there and ascending, and their names.
    pub functions: Vec<(u64, String)>,
    /// Its modules that guests had loaded.
    pub modules: Vec<ModuleText>,
    /// The source files whose lines are known; none where the kernel has no line tables.
    pub sources: Vec<SourceLines>,
}

/// The code of a module of a kernel. It lies elsewhere in each guest, and has a place of its own behind the kernel's text here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleText {
    /// Its name.
    pub name: String,
    /// Where its code begins, in bytes from the start of the kernel's text.
    pub at: u64,
    /// How many bytes of code it has.
    pub bytes: u64,
    /// Where its functions begin, in bytes from the start of its code and ascending, and their names: `FUNCTION [MODULE]`.
    pub functions: Vec<(u64, String)>,
}

impl ModuleText {
    /// A module at a place. What the compiler split off of a function has the name of that here.
    pub fn new(name: &str, at: u64, bytes: u64, functions: Vec<(u64, String)>) -> Self {
        let named = |(at, function): (u64, String)| (at, format!("{} [{name}]", whole(&function)));
        Self {
            name: name.to_owned(),
            at,
            bytes,
            functions: functions.into_iter().map(named).collect(),
        }
    }

    /// Where its code ends, in bytes from the start of the kernel's text.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.bytes)
    }

    fn functions_with_ends(&self) -> impl Iterator<Item = (u64, u64, &str)> {
        let functions = with_ends(&self.functions, self.bytes);
        functions.map(|(start, end, name)| (self.at.saturating_add(start), self.at.saturating_add(end), name))
    }
}

impl KernelText {
    /// Where the code of all modules ends, in bytes from the start of the text: the place of the next one.
    pub fn room(&self) -> u64 {
        self.modules.iter().map(ModuleText::end).fold(self.end, u64::max)
    }

    /// Where each function of the image begins and ends, in bytes from the start of the text, and the name of the one that it is or is a part of.
    pub fn functions_with_ends(&self) -> impl Iterator<Item = (u64, u64, &str)> {
        let functions = with_ends(&self.functions, self.end);
        functions.map(|(start, end, name)| (start, end, whole(name)))
    }
}

/// A kernel, and what was run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredKernel {
    /// The kernel.
    pub text: KernelText,
    /// All pieces that anything ran.
    pub pieces: Vec<Span>,
    /// What booting ran, of all guests that others went on from.
    pub boot: Ran,
    /// The cases, in the order in which they ended.
    pub cases: Vec<CoveredCase>,
}

impl KernelText {
    /// What reports call the kernel, as [`CaseKey::kernel_name`] does.
    pub fn name(&self) -> String {
        kernel_name(&self.label, Some(&self.release))
    }
}

impl CoveredKernel {
    /// What all cases ran together, without the boots of the guests that they went on from.
    pub fn of_cases(&self) -> Ran {
        self.cases
            .iter()
            .fold(Ran::default(), |all, case| all.or(&case.ran))
    }

    /// The bytes of what each case ran.
    pub fn ranges_of_cases(&self) -> Vec<Ranges> {
        // Sorted once, and not for each case.
        let mut pieces: Vec<(Span, usize)> = self.pieces.iter().copied().zip(0..).collect();
        pieces.sort_unstable();
        let of_case = |case: &CoveredCase| {
            let ran = pieces.iter().filter(|(_, index)| case.ran.has(*index));
            Ranges::ascending(ran.map(|(span, _)| *span))
        };
        self.cases.iter().map(of_case).collect()
    }

    /// The bytes of what was run.
    pub fn ranges(&self, ran: &Ran) -> Ranges {
        Ranges::of(self.spans(ran))
    }

    /// The pieces of what was run.
    pub(crate) fn spans(&self, ran: &Ran) -> Vec<Span> {
        let pieces = self.pieces.iter().enumerate();
        let ran = pieces.filter(|(index, _)| ran.has(*index));
        ran.map(|(_, span)| *span).collect()
    }

    /// Names of the functions of which anything was run. What the compiler split off of one (`.cold`, `.part.0`, `.constprop.0`) counts for it.
    pub fn functions_ran(&self, ranges: &Ranges) -> BTreeSet<&str> {
        let all = self.functions_with_ends();
        let ran = all.filter(|(start, end, _)| ranges.meets(*start, *end));
        ran.map(|(_, _, name)| name).collect()
    }

    /// Names of all functions.
    pub fn function_names(&self) -> BTreeSet<&str> {
        self.functions_with_ends().map(|(_, _, name)| name).collect()
    }

    /// In which functions a piece of code is.
    pub fn code_in(&self, row: &LineOfCode) -> Option<CodeIn> {
        Some(CodeIn {
            function: self.function_at(row.span.offset)?.to_owned(),
            inlined: row.inlined.clone(),
        })
    }

    /// The function that has the code at an offset.
    pub fn function_at(&self, offset: u64) -> Option<&str> {
        let behind = self.text.functions.partition_point(|(start, _)| *start <= offset);
        let (_, name) = self.text.functions.get(behind.checked_sub(1)?)?;
        (offset < self.text.end).then(|| whole(name))
    }

    /// Where each function begins and ends, and the name of the one that it is or is a part of; those of modules last.
    pub(super) fn functions_with_ends(&self) -> impl Iterator<Item = (u64, u64, &str)> {
        let modules = self.text.modules.iter().flat_map(ModuleText::functions_with_ends);
        self.text.functions_with_ends().chain(modules)
    }
}

/// Functions with where they end: where the next one begins, and the last one where the code ends.
fn with_ends(functions: &[(u64, String)], end: u64) -> impl Iterator<Item = (u64, u64, &str)> {
    let ends = functions.iter().skip(1).map(|(start, _)| *start);
    let ends = ends.chain(std::iter::once(end));
    let functions = functions.iter().zip(ends);
    functions.map(|((start, name), end)| (*start, end, name.as_str()))
}

/// The function that a name stands for: without what the compiler added.
fn whole(name: &str) -> &str {
    name.split_once('.').map_or(name, |(function, _)| function)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::covered_kernel;
    use proptest::prelude::*;

    fn span(offset: u64, bytes: u64) -> Span {
        Span { offset, bytes }
    }

    fn kernel() -> CoveredKernel {
        let functions = [
            (0, "online_pages"),
            (40, "offline_pages"),
            (90, "online_pages.cold"),
        ];
        let pieces = [span(0, 4), span(90, 2), span(44, 4)];
        let mut kernel = covered_kernel(&functions, Vec::new(), &pieces);
        kernel.text.end = 100;
        kernel
    }

    fn ran(indexes: &[usize]) -> Ran {
        indexes.iter().copied().collect()
    }

    #[test]
    fn a_function_ran_where_any_of_its_code_did() {
        let kernel = kernel();
        let names = |indexes: &[usize]| {
            let ranges = kernel.ranges(&ran(indexes));
            kernel.functions_ran(&ranges).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), Vec::<&str>::new());
        assert_eq!(names(&[1]), ["online_pages"], "its cold part is part of it");
        assert_eq!(names(&[2]), ["offline_pages"]);
        assert_eq!(names(&[0, 2]), ["offline_pages", "online_pages"]);
        assert_eq!(kernel.function_at(89), Some("offline_pages"));
        assert_eq!(kernel.function_at(100), None);
    }

    #[test]
    fn functions_of_modules_are_told_with_their_module() {
        let functions = vec![(0, "online_pages".to_owned()), (0x10, "poll.cold".to_owned())];
        let mut kernel = kernel();
        kernel.text.modules = vec![ModuleText::new("virtio_net", 100, 0x20, functions)];
        kernel.pieces.push(span(0x74, 4));
        assert_eq!(kernel.text.room(), 0x84);
        let ranges = kernel.ranges(&ran(&[0, 3]));
        let names: Vec<_> = kernel.functions_ran(&ranges).into_iter().collect();
        assert_eq!(names, ["online_pages", "poll [virtio_net]"]);
        assert!(kernel.function_names().contains("online_pages [virtio_net]"));
    }

    #[test]
    fn a_line_ran_where_any_of_its_code_did() {
        let row = |offset, bytes, line| LineOfCode {
            span: span(offset, bytes),
            line,
            inlined: None,
        };
        let source = SourceLines {
            file: "mm/memory_hotplug.c".to_owned(),
            rows: vec![row(0, 4, 10), row(4, 4, 11), row(20, 4, 10), row(44, 4, 12)],
            ..SourceLines::default()
        };
        let lines = |indexes: &[usize]| source.ran(&kernel().ranges(&ran(indexes)));
        assert_eq!(lines(&[2]), [(10, false), (11, false), (12, true)].into());
        assert_eq!(lines(&[0]), [(10, true), (11, false), (12, false)].into());
    }

    #[test]
    fn sets_of_different_length_come_together() {
        assert_eq!(ran(&[1]).or(&ran(&[17])), ran(&[1, 17]));
        assert!(!ran(&[1]).has(9), "a piece that came later");
    }

    proptest! {
        #[test]
        fn ranges_are_the_bytes_of_the_pieces(
            pieces in proptest::collection::vec((0u64..200, 1u64..20), 0..20),
            start in 0u64..220,
            length in 1u64..40,
        ) {
            let bytes: BTreeSet<u64> = pieces.iter().flat_map(|(at, n)| *at..at + n).collect();
            let ranges = Ranges::of(pieces.iter().map(|(at, n)| span(*at, *n)).collect());
            let within = (start..start + length).filter(|byte| bytes.contains(byte)).count() as u64;
            prop_assert_eq!(ranges.bytes_of(start, start + length), within);
            prop_assert_eq!(ranges.meets(start, start + length), within > 0);
        }
    }
}
