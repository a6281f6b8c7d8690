// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the forms of a coverage have in common: how many cases ran what.

use std::collections::{BTreeMap, BTreeSet};

use record::{CoveredKernel, Ranges, SourceLines, Span};

/// How many cases ran each line of a file that has code.
pub(super) fn line_counts(
    kernel: &CoveredKernel,
    source: &SourceLines,
    cases: &[Ranges],
) -> BTreeMap<u32, u64> {
    let lines: BTreeSet<u32> = source.rows.iter().map(|row| row.line).collect();
    let places: BTreeMap<u32, usize> = lines.iter().copied().zip(0..).collect();
    let rows = source.rows.iter().map(|row| (row.span, places[&row.line]));
    let rows: Vec<(Span, usize)> = rows.collect();
    // A line can have several pieces, and was run once all the same.
    let ran = |ranges: &Ranges| {
        let mut ran = vec![false; lines.len()];
        for (span, place) in &rows {
            ran[*place] |= ranges.meets(span.offset, span.offset + span.bytes);
        }
        ran
    };
    let mut counts = vec![0; lines.len()];
    for ranges in cases {
        let ran = ran(ranges).into_iter().map(u64::from);
        counts.iter_mut().zip(ran).for_each(|(count, ran)| *count += ran);
    }
    // A line that only booting ran was run once.
    let boot = ran(&kernel.ranges(&kernel.boot)).into_iter().map(u64::from);
    let counts = counts.into_iter().zip(boot).map(|(count, boot)| boot.max(count));
    lines.iter().copied().zip(counts).collect()
}

/// How many cases ran the code of each function that was inlined, by it and the function that it was inlined into.
pub(super) fn inlined_counts<'a>(
    kernel: &'a CoveredKernel,
    source: &'a SourceLines,
    cases: &[Ranges],
) -> BTreeMap<(&'a str, &'a str), u64> {
    let mut code: BTreeMap<(&str, &str), Vec<Span>> = BTreeMap::new();
    for row in &source.rows {
        if let (Some(inlined), Some(into)) = (&row.inlined, kernel.function_at(row.span.offset)) {
            code.entry((inlined, into)).or_default().push(row.span);
        }
    }
    let boot = kernel.ranges(&kernel.boot);
    let count = |code: &[Span]| {
        let ran = |ranges: &&Ranges| {
            code.iter()
                .any(|span| ranges.meets(span.offset, span.offset + span.bytes))
        };
        let times = cases.iter().filter(ran).count() as u64;
        times.max(u64::from(ran(&&boot)))
    };
    code.iter().map(|(place, code)| (*place, count(code))).collect()
}

/// The functions that begin in a file: first line, name, and whether each ran.
pub(super) fn functions<'a>(
    kernel: &'a CoveredKernel,
    source: &SourceLines,
    all: &Ranges,
) -> Vec<(u32, &'a str, bool)> {
    let ran = kernel.functions_ran(all);
    let starts: BTreeMap<u64, u32> = source
        .rows
        .iter()
        .map(|row| (row.span.offset, row.line))
        .collect();
    let functions = kernel.text.functions.iter();
    // A part that was split off begins somewhere in the middle.
    let whole = functions.filter(|(_, name)| !name.contains('.'));
    whole
        .filter_map(|(at, name)| Some((*starts.get(at)?, name.as_str(), ran.contains(name.as_str()))))
        .collect()
}

/// What all cases ran, and the boots of their guests.
pub(super) fn everything(kernel: &CoveredKernel) -> Ranges {
    kernel.ranges(&kernel.of_cases().or(&kernel.boot))
}

/// A kernel in one word.
pub(super) fn title(kernel: &CoveredKernel) -> String {
    let side = kernel
        .text
        .side
        .map_or_else(String::new, |side| format!(".{}", side.word()));
    format!("{}.{}{side}", kernel.text.arch, kernel.text.name())
}
