// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables for spreadsheets and scripts, one line for each thing that is counted (RFC 4180, lines end with `\n`).

use super::{
    evidence,
    history::Flaky,
    text::one_line,
    trend::{self, Trend},
};
use base::fault::Verdict;
use record::{
    CaseKey, RunRecord,
    index::{HistoryKey, Seen},
};

/// Columns that say which case of which run a row is of.
const PLACE: [&str; 7] = ["run", "arch", "kernel", "config", "suite", "variant", "case"];

/// The cases of a run as a table of comma-separated values, with a line of column names.
///
/// Cases of the plan that never began are not in it. The tests that a program of a case reported are counted in its row, and have theirs
/// in a table of their own, [`subcases_csv`]: in this one, a row is a case, so that who counts rows counts cases.
pub fn csv(record: &RunRecord) -> String {
    let mut text = head(&[
        "name",
        "verdict",
        "reason",
        "attempts",
        "seconds",
        "file",
        "line",
        "subcases",
        "subcases_failed",
    ]);
    for case in &record.cases {
        let key = &case.key;
        let reason = match case.verdict {
            Verdict::Pass => String::new(),
            _ => evidence::headline(case),
        };
        let mut cells = place(record, key);
        cells.extend([
            case.name.clone(),
            case.verdict.to_string(),
            reason,
            case.attempts.len().to_string(),
            case.seconds.to_string(),
            case.suite_file.clone(),
            case.line.to_string(),
            case.subcases().count().to_string(),
            case.subcases()
                .filter(|subcase| matches!(subcase.verdict, Verdict::Fail | Verdict::Error))
                .count()
                .to_string(),
        ]);
        text.push_str(&row(&cells));
    }
    text
}

/// The names of the columns of a table whose rows begin with [`PLACE`].
fn head(rest: &[&str]) -> String {
    let names: Vec<String> = PLACE.iter().chain(rest).map(|name| (*name).to_owned()).collect();
    row(&names)
}

/// What is in the columns of [`PLACE`].
fn place(record: &RunRecord, key: &CaseKey) -> Vec<String> {
    vec![
        record.facts.id.to_string(),
        key.arch.to_string(),
        key.kernel_name(),
        key.config_name().to_owned(),
        key.suite.clone(),
        key.variant_name(),
        key.case.clone(),
    ]
}

/// The tests that programs in guests reported, a row for each. `number` counts those of a case from 1: names may come twice.
///
/// The columns up to `case` are those of [`csv`], so that rows of both tables can be joined by them.
pub fn subcases_csv(record: &RunRecord) -> String {
    let mut text = head(&["number", "step", "subcase", "verdict", "reason", "file", "line"]);
    for case in &record.cases {
        let key = &case.key;
        for (number, (step, subcase)) in (1..).zip(case.subcases_of_steps()) {
            let number: usize = number;
            let mut cells = place(record, key);
            cells.extend([
                number.to_string(),
                step.number.to_string(),
                subcase.name.clone(),
                subcase.verdict.to_string(),
                // What passed has none.
                subcase.reason.clone().unwrap_or_default(),
                case.suite_file.clone(),
                step.line.to_string(),
            ]);
            text.push_str(&row(&cells));
        }
    }
    text
}

/// Cases over many runs.
pub fn history_csv(all: &[Seen]) -> String {
    let head = [
        "run",
        "started",
        "arch",
        "line",
        "config",
        "suite",
        "variant",
        "case",
        "kernel",
        "verdict",
        "reason",
        "attempts",
        "mixed",
        "seconds",
        "boot_mem_total_pages",
        "boot_free_pages",
        "boot_seconds",
    ];
    let mut text = line(head.map(str::to_owned));
    for one in all {
        let boot = |value: fn(record::index::Boot) -> String| one.boot.map(value).unwrap_or_default();
        let mut cells = vec![one.run.clone(), one.started.to_string()];
        cells.extend(key(&one.key));
        cells.extend([
            one.kernel.clone(),
            one.verdict.to_string(),
            one.reason.clone().unwrap_or_default(),
            one.attempts.to_string(),
            one.mixed.to_string(),
            one.seconds.to_string(),
            boot(|boot| boot.mem_total.to_string()),
            boot(|boot| boot.free.to_string()),
            boot(|boot| boot.seconds.to_string()),
        ]);
        text.push_str(&row(&cells));
    }
    text
}

/// Flaky cases.
pub fn flaky_csv(all: &[Flaky]) -> String {
    let head = [
        "arch", "line", "config", "suite", "variant", "case", "kernel", "runs", "failed", "mixed", "errors",
        "since", "last",
    ];
    let mut text = line(head.map(str::to_owned));
    for one in all {
        let mut cells = key(&one.key).to_vec();
        cells.extend([
            one.kernel.clone(),
            one.runs.to_string(),
            one.failed.to_string(),
            one.mixed.to_string(),
            one.errors.to_string(),
            one.since.clone(),
            one.last.clone(),
        ]);
        text.push_str(&row(&cells));
    }
    text
}

/// Trends, a row for each kernel line in each run.
///
/// The first columns are always the same. Behind them comes one for each operation and variant that any of the runs counted, in
/// instructions for one memory block, such as `instructions online memmap_on_memory=on`, and how they were counted.
pub fn trend_csv(all: &[Trend]) -> String {
    let head = [
        "arch",
        "line",
        "run",
        "started",
        "kernel",
        "cases",
        "failed",
        "booted",
        "used_at_boot_pages",
        "boot_seconds",
        "seconds",
    ];
    let counted: Vec<(&str, &str)> = trend::counted(all)
        .into_iter()
        .flat_map(|(variant, operations)| operations.into_iter().map(move |operation| (variant, operation)))
        .collect();
    let mut cells = head.map(str::to_owned).to_vec();
    if !counted.is_empty() {
        let name = |(variant, operation): &(&str, &str)| format!("instructions {operation} {variant}");
        cells.extend(counted.iter().map(name));
        cells.extend(["counted_by", "counted_by_qemu"].map(str::to_owned));
    }
    let mut text = row(&cells);
    for one in all {
        let mut cells = vec![
            one.arch.to_string(),
            one.line.clone(),
            one.run.clone(),
            one.started.to_string(),
            one.kernel.clone(),
            one.cases.to_string(),
            one.failed.to_string(),
            one.booted.to_string(),
            one.used_at_boot
                .map_or_else(String::new, |pages| pages.to_string()),
            one.boot.map_or_else(String::new, |boot| boot.to_string()),
            one.seconds.to_string(),
        ];
        if !counted.is_empty() {
            cells.extend(counted.iter().map(|(variant, operation)| {
                let cost = one
                    .costs
                    .iter()
                    .find(|cost| (&*cost.variant, &*cost.operation) == (*variant, *operation));
                cost.map_or_else(String::new, |cost| cost.instructions.to_string())
            }));
            // One machine counts all that a run has of an architecture.
            let first = one.costs.first();
            cells.push(first.map_or_else(String::new, |cost| cost.method.to_string()));
            cells.push(first.map_or_else(String::new, |cost| cost.qemu.clone()));
        }
        text.push_str(&row(&cells));
    }
    text
}

fn key(key: &HistoryKey) -> [String; 6] {
    [
        key.arch.to_string(),
        key.line.clone(),
        key.config.clone(),
        key.suite.clone(),
        key.variant.clone(),
        key.case.clone(),
    ]
}

fn line<const N: usize>(cells: [String; N]) -> String {
    row(&cells)
}

/// A line of a table.
pub(super) fn row(cells: &[String]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(cells.iter().map(|text| cell(text)))
        .expect("writing to memory");
    let line = writer.into_inner().expect("writing to memory");
    String::from_utf8(line).expect("of texts")
}

/// A text as a cell: in one line, and none that a spreadsheet would take for a formula and run; such a text gets a `'` before it. Numbers stay.
fn cell(text: &str) -> String {
    let line = one_line(text);
    let is_formula = line.starts_with(['=', '+', '-', '@']) && line.parse::<f64>().is_err();
    match is_formula {
        true => format!("'{line}"),
        false => line,
    }
}
