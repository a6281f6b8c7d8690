// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line a case, for spreadsheets and scripts (RFC 4180, lines end with `\n`).

use super::{evidence, text::one_line};
use crate::{base::fault::Verdict, record::RunRecord};

const HEAD: [&str; 14] = [
    "run", "arch", "kernel", "config", "suite", "variant", "case", "name", "verdict", "reason", "attempts",
    "seconds", "file", "line",
];

/// The cases of a run as a table of comma-separated values, with a line of column names.
///
/// Cases of the plan that never began are not in it.
pub fn csv(record: &RunRecord) -> String {
    let mut text = line(HEAD.map(str::to_owned));
    for case in &record.cases {
        let key = &case.key;
        let reason = match case.verdict {
            Verdict::Pass => String::new(),
            _ => evidence::headline(case),
        };
        text.push_str(&line([
            record.facts.id.to_string(),
            key.arch.to_string(),
            key.kernel.clone(),
            key.config.clone(),
            key.suite.clone(),
            key.variant.clone(),
            key.case.clone(),
            case.name.clone(),
            case.verdict.to_string(),
            reason,
            case.attempts.len().to_string(),
            case.seconds.to_string(),
            case.suite_file.clone(),
            case.line.to_string(),
        ]));
    }
    text
}

fn line(cells: [String; 14]) -> String {
    let mut line = cells.map(|cell| quoted(&cell)).join(",");
    line.push('\n');
    line
}

fn quoted(cell: &str) -> String {
    let cell = one_line(cell);
    if cell.contains([',', '"']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}
