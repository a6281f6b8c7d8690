// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison at a terminal, and its parts for the page.

use std::collections::BTreeSet;

use super::words::{again, answer, contrast, cost, named, place, ran, reasons, verdict, what};
use crate::{
    Style,
    table::{Align, columns},
    text::{Lines, count, one_line},
};
use base::{Arch, PAGE_SIZE, fault::Verdict};
use compare::{ArchComparison, COST_SLACK, CompareRecord, Dimension};

/// Differences of one architecture that are shown; all of them are in `compare.json`.
pub(super) const ROWS: usize = 24;

/// The comparison for a person at a terminal.
pub fn compare_summary(record: &CompareRecord, style: Style) -> String {
    let mut lines = Lines::default();
    for (arch, sum) in &record.arches {
        let answer = format!("{arch}: {}{}", answer(record, *arch, sum), cost(record, *arch));
        lines.line(format_args!(
            "{}",
            style.paint(verdict(record, *arch, sum), &answer)
        ));
    }
    if let Some(ran) = ran(record) {
        lines.line(format_args!("{ran}"));
    }
    lines.line(format_args!(""));
    about(record, &mut lines);
    for one in compared(record).iter().filter(|one| !one.rows.is_empty()) {
        let mut rows = vec![["", "", "base", "new", "where"].map(str::to_owned).to_vec()];
        rows.extend(one.rows.iter().take(ROWS).map(|row| row.to_vec()));
        lines.line(format_args!("\ndifferences on {}:", one.arch));
        lines.text(&columns(&rows, &[Align::Left; 5]));
        if one.rows.len() > ROWS {
            lines.line(format_args!("and {} more in compare.json", one.rows.len() - ROWS));
        }
        for reason in &one.reasons {
            lines.line(format_args!("{reason}"));
        }
        lines.line(format_args!("again: {}", one.again));
    }
    rest(record, &mut lines);
    lines.into_text()
}

/// What came of an architecture, in words.
pub(crate) struct Compared {
    pub(crate) arch: Arch,
    /// How the answer is to be taken.
    pub(crate) verdict: Verdict,
    pub(crate) answer: String,
    /// Kind, what differs, both values, where.
    pub(crate) rows: Vec<[String; 5]>,
    /// Why cases that did not pass did not, each in a line.
    pub(crate) reasons: Vec<String>,
    /// The command that looks at the first difference again; empty without one.
    pub(crate) again: String,
}

/// The comparison in words, by architecture.
pub(crate) fn compared(record: &CompareRecord) -> Vec<Compared> {
    let words = |(arch, sum): (&Arch, &ArchComparison)| Compared {
        arch: *arch,
        verdict: verdict(record, *arch, sum),
        answer: format!("{}{}", answer(record, *arch, sum), cost(record, *arch)),
        rows: sum
            .rows
            .iter()
            .map(|row| {
                let (base, new) = contrast(&row.first);
                [row.kind.to_string(), named(row), base, new, place(row)]
            })
            .collect(),
        reasons: sum.rows.iter().take(ROWS).flat_map(reasons).collect(),
        again: sum
            .rows
            .first()
            .map_or_else(String::new, |row| again(record, *arch, &row.cases[0])),
    };
    record.arches.iter().map(words).collect()
}

/// What was not compared, and what is shown without being judged, each in a line.
pub(crate) fn besides(record: &CompareRecord) -> Vec<String> {
    let (not, shown) = not_and_shown(record);
    not.into_iter().chain(shown).collect()
}

/// What was compared.
pub(super) fn about(record: &CompareRecord, lines: &mut Lines) {
    if let Some(series) = &record.series {
        lines.line(format_args!("series: {}", one_line(series)));
    }
    if let Some(applied) = &record.applied {
        lines.line(format_args!("applied to: {}", one_line(applied)));
    }
    let releases = |side: fn(&ArchComparison) -> &str| {
        let mut releases: Vec<&str> = record.arches.values().map(side).collect();
        releases.dedup();
        releases.join(", ")
    };
    lines.line(format_args!(
        "base: {} ({})",
        record.base,
        releases(|sum| &sum.base.release)
    ));
    lines.line(format_args!(
        "new: {} ({})",
        record.new,
        releases(|sum| &sum.new.release)
    ));
    lines.line(format_args!(
        "suites: {}; a difference counts if {} pairs of guests have it",
        record.suites.join(" "),
        record.pairs
    ));
}

/// What was not compared, and what is shown without being judged.
pub(super) fn rest(record: &CompareRecord, lines: &mut Lines) {
    let (not, shown) = not_and_shown(record);
    for (title, part) in [("not compared", not), ("shown, not judged", shown)] {
        if !part.is_empty() {
            lines.line(format_args!("\n{title}:"));
            for line in part {
                lines.line(format_args!("  {line}"));
            }
        }
    }
}

/// What was not compared and why, and what is only shown.
fn not_and_shown(record: &CompareRecord) -> (Vec<String>, Vec<String>) {
    let mut not = Vec::new();
    let mut shown = Vec::new();
    for (arch, sum) in &record.arches {
        for group in &sum.not_compared {
            let n = count(group.cases.len(), "case");
            not.push(format!(
                "{arch}: {n}, first {}: {}",
                group.cases[0],
                one_line(&group.why)
            ));
        }
        for dimension in &sum.unseen {
            let why = match dimension {
                Dimension::Locks => "has no lockdep (`,config=lockdep` builds it in)",
                Dimension::Notifiers => {
                    "has no kprobe events, or neither memory_chain nor memory_notify in kallsyms"
                }
                _ => "does not show them",
            };
            not.push(format!(
                "{arch}: {dimension}, because at least one of the kernels {why}"
            ));
        }
        for row in &sum.unsteady {
            let (base, new) = contrast(&row.first);
            not.push(format!(
                "{arch}: {}: differs in one pair and not in another ({base}, {new}; {})",
                what(&row.first),
                place(row)
            ));
        }
        for (base, new) in &sum.boot_memory {
            shown.push(format!(
                "{arch}: MemTotal after boot {} KiB on the base, {:+} KiB on the new kernel",
                base * PAGE_SIZE as i64 / 1024,
                (new - base) * PAGE_SIZE as i64 / 1024
            ));
        }
        for row in record.costs.iter().filter(|row| row.arch == *arch) {
            let again = match row.again {
                Some((base, new)) => format!("; in a second pair {base} and {new}"),
                None => String::new(),
            };
            shown.push(format!(
                "{arch}: {} {}: {} instructions on the base, {} on the new kernel{again} (by {}; single ones within {})",
                row.operation, row.variant, row.base, row.new, row.method, row.spread
            ));
        }
        let seconds = |millis: u64| millis as f64 / 1000.0;
        shown.push(format!(
            "{arch}: the cases took {:.1} s on the base, {:.1} s on the new kernel",
            seconds(sum.millis.0),
            seconds(sum.millis.1)
        ));
    }
    let counted = record
        .not_counted
        .iter()
        .map(|why| format!("cost: {}", one_line(why)));
    not.extend(counted);
    let methods: BTreeSet<&str> = record.costs.iter().map(|row| row.method.caveat()).collect();
    for caveat in methods {
        not.push(format!(
            "cost: {caveat}; up to {COST_SLACK} instructions more or less count as the same"
        ));
    }
    (not, shown)
}
