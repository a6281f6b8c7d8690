// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ran, for a person and as JSON.

use serde_json::{Value, json};

use super::counts::{everything, functions, inlined_counts, line_counts, title};
use crate::{
    ran::pieces,
    table::{Align, columns},
    text::{Lines, count},
};
use record::{Coverage, CoveredKernel, SeriesRan};

/// What ran, for a person: the functions of each kernel, and the lines of its files where they are known.
pub fn coverage_summary(coverage: &Coverage) -> String {
    let mut lines = Lines::default();
    for kernel in &coverage.kernels {
        let (names, cases) = (kernel.function_names().len(), kernel.ranges(&kernel.of_cases()));
        lines.line(format_args!(
            "ran: {} of {names} functions of {} in {}",
            kernel.functions_ran(&cases).len(),
            title(kernel),
            count(kernel.cases.len(), "case")
        ));
        let lost: u64 = kernel.cases.iter().map(|case| case.lost).sum();
        if lost > 0 {
            lines.line(format_args!(
                "  {lost} pieces of code had no room: more ran than is known"
            ));
        }
        let series = SeriesRan::of(kernel);
        if !series.files.is_empty() {
            let never = pieces(&series.never());
            let never = match never.is_empty() {
                true => String::new(),
                false => format!("; never: {never}"),
            };
            lines.line(format_args!(
                "of its series: {} of {} changed lines{never}",
                series.ran(),
                series.with_code()
            ));
        }
        let of = |(all, ran): (usize, usize)| format!("{ran} of {all}");
        let files = files(kernel);
        if files.is_empty() {
            continue;
        }
        let mut rows = vec![["file", "lines", "functions"].map(str::to_owned).to_vec()];
        rows.extend(
            files
                .into_iter()
                .map(|file| vec![file.name, of(file.lines), of(file.functions)]),
        );
        lines.text(&columns(&rows, &[Align::Left, Align::Right, Align::Right]));
    }
    lines.into_text()
}

struct File {
    name: String,
    /// Lines with code, and those that ran.
    lines: (usize, usize),
    /// Functions, and those that ran.
    functions: (usize, usize),
}

fn files(kernel: &CoveredKernel) -> Vec<File> {
    let all = everything(kernel);
    let with_code = kernel
        .text
        .sources
        .iter()
        .filter(|source| !source.rows.is_empty());
    with_code
        .map(|source| {
            let lines = source.ran(&all);
            let functions = functions(kernel, source, &all);
            File {
                name: source.file.clone(),
                lines: (lines.len(), lines.values().filter(|ran| **ran).count()),
                functions: (
                    functions.len(),
                    functions.iter().filter(|(_, _, ran)| *ran).count(),
                ),
            }
        })
        .collect()
}

/// What ran, as JSON: for each kernel the functions that each case ran, and how many cases ran each line.
pub fn coverage_json(coverage: &Coverage) -> Value {
    let kernel = |kernel: &CoveredKernel| {
        let ranges = kernel.ranges_of_cases();
        let of_cases = kernel.cases.iter().zip(&ranges).map(|(case, ranges)| {
            json!({
                "suite": case.key.suite,
                "case": case.key.case,
                "variant": case.key.variant,
                "booted": case.booted,
                "lost": case.lost,
                "functions": kernel.functions_ran(ranges),
            })
        });
        let files = kernel.text.sources.iter().map(|source| {
            let lines = line_counts(kernel, source, &ranges);
            let inlined = inlined_counts(kernel, source, &ranges);
            let inlined = inlined.into_iter().map(
                |((function, into), cases)| json!({ "function": function, "into": into, "cases": cases }),
            );
            let inlined: Vec<Value> = inlined.collect();
            json!({ "file": source.file, "changed": source.changed, "lines": lines, "inlined": inlined })
        });
        json!({
            "kernel": kernel.text.label,
            "release": kernel.text.release,
            "arch": kernel.text.arch,
            "side": kernel.text.side,
            "functions": kernel.function_names().len(),
            "boot": kernel.functions_ran(&kernel.ranges(&kernel.boot)),
            "cases": of_cases.collect::<Vec<_>>(),
            "files": files.collect::<Vec<_>>(),
        })
    };
    json!({ "kernels": coverage.kernels.iter().map(kernel).collect::<Vec<_>>() })
}
