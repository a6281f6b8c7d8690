// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison as a table for spreadsheets and scripts (RFC 4180, lines end with `\n`).

use crate::csv::row;
use compare::{CompareRecord, Row};

/// Each difference between two kernels, in each case that has it, and each cost that was counted on both: a line each, after one of column
/// names. Costs are in instructions, of dimension `cost`, and there whether they differ or not.
pub fn compare_csv(record: &CompareRecord) -> String {
    let columns = [
        "arch",
        "kind",
        "suite",
        "case",
        "variant",
        "step",
        "at",
        "dimension",
        "name",
        "base",
        "new",
    ];
    let mut text = row(&columns.map(str::to_owned));
    for (arch, sum) in &record.arches {
        for difference in &sum.rows {
            for cells in cells(difference) {
                text.push_str(&row(&[vec![arch.to_string()], cells].concat()));
            }
        }
    }
    for cost in &record.costs {
        let kind = if cost.more() == 0 { "" } else { "change" };
        let cells = [
            &cost.arch.to_string(),
            kind,
            "",
            "",
            &cost.variant,
            "",
            "",
            "cost",
            &cost.operation,
            &cost.base.to_string(),
            &cost.new.to_string(),
        ];
        text.push_str(&row(&cells.map(str::to_owned)));
    }
    text
}

/// What stands behind the architecture, for each case that has a difference.
fn cells(difference: &Row) -> impl Iterator<Item = Vec<String>> {
    let first = &difference.first;
    let seen = |value: &Option<String>| value.as_deref().unwrap_or("").to_owned();
    difference.cases.iter().map(move |case| {
        vec![
            difference.kind.to_string(),
            case.suite.clone(),
            case.case.clone(),
            case.variant.clone(),
            first.step.map_or_else(String::new, |step| step.to_string()),
            first.text.clone(),
            first.dimension.to_string(),
            first.name.clone(),
            seen(&first.base),
            seen(&first.new),
        ]
    })
}
