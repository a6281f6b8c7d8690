// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operations on a memory block cost, for a terminal.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    table::{Align, columns},
    text::{Lines, one_line},
};
use compare::COST_SLACK;
use record::{CostRecord, OperationCost};

/// A table for each kernel and setting, and what the numbers do not say.
pub fn cost_summary(records: &[CostRecord]) -> String {
    let tables: Vec<String> = records.iter().map(table).collect();
    let methods: BTreeSet<&str> = records.iter().map(|record| record.method.caveat()).collect();
    let mut lines = Lines::default();
    lines.text(&tables.join("\n"));
    for caveat in methods {
        lines.line(format_args!(
            "\n{caveat}\nboots of one kernel may be up to {COST_SLACK} instructions apart"
        ));
    }
    lines.into_text()
}

/// The costs of one kernel as a small table.
fn table(record: &CostRecord) -> String {
    let head = format!(
        "{} {} {} {} (by {}, QEMU {})",
        record.arch, record.kernel, record.release, record.variant, record.method, record.qemu
    );
    let mut text = one_line(&head) + "\n";
    let mut row = |cells: [&str; 5]| {
        let [name, cost, mode, seen, spread] = cells;
        let line = format!("  {name:9} {cost:>12} {mode:>12} {seen:>9} {spread:>10}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row(["operation", "instructions", "most seen", "times", "spread"]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for operation in &record.operations {
        row([
            &operation.name,
            &number(operation.cost()),
            &number(operation.mode()),
            &format!("{} of {}", operation.agreeing(), operation.samples.len()),
            &operation.spread().to_string(),
        ]);
    }
    text
}

/// As many functions of a kernel are told that has nothing to be held against.
const MOST: usize = 20;

/// What each function takes. A kernel is held against the first one of its architecture and setting: then only those functions are told that take
/// more or fewer. What was not counted by function is told as such.
pub fn cost_functions(records: &[CostRecord]) -> String {
    let mut lines = Lines::default();
    for (at, record) in records.iter().enumerate() {
        let same = |other: &&CostRecord| {
            (other.arch, &other.variant, other.method, &other.qemu)
                == (record.arch, &record.variant, record.method, &record.qemu)
        };
        let first = records[..at].iter().find(same);
        for operation in &record.operations {
            let head = one_line(&format!(
                "{} {} {} {}, {}",
                record.arch, record.kernel, record.release, record.variant, operation.name
            ));
            let known = |operation: &&OperationCost| !operation.functions.is_empty();
            let base = first.and_then(|first| Some((first, first.operation(&operation.name).filter(known)?)));
            lines.line(format_args!(""));
            match (known(&operation), base) {
                (false, _) => lines.line(format_args!(
                    "{head}: by function nothing is known ({})",
                    record.method
                )),
                (true, None) => lines.text(&most(&head, &operation.functions)),
                (true, Some((first, base))) => lines.text(&differing(
                    &one_line(&format!("{head} beside {} {}", first.kernel, first.release)),
                    &base.functions,
                    &operation.functions,
                )),
            }
        }
    }
    lines.into_text()
}

/// The functions that take most.
fn most(head: &str, functions: &BTreeMap<String, i64>) -> String {
    let mut all: Vec<(&String, i64)> = functions.iter().map(|(name, count)| (name, *count)).collect();
    all.sort_by_key(|(name, count)| (-count, *name));
    let sum: i64 = functions.values().sum();
    let mut rows = vec![vec!["  instructions".to_owned(), "function".to_owned()]];
    rows.extend(
        all.iter()
            .take(MOST)
            .map(|(name, count)| vec![count.to_string(), one_line(name)]),
    );
    if let Some(rest) = all.get(MOST..).filter(|rest| !rest.is_empty()) {
        let sum: i64 = rest.iter().map(|(_, count)| count).sum();
        rows.push(vec![sum.to_string(), format!("{} others", rest.len())]);
    }
    let table = columns(&rows, &[Align::Right, Align::Left]);
    format!("{head}: {sum} instructions in {} functions\n{table}", all.len())
}

/// The functions that take more or fewer than those of the same name in another kernel.
fn differing(head: &str, base: &BTreeMap<String, i64>, new: &BTreeMap<String, i64>) -> String {
    let names: BTreeSet<&String> = base.keys().chain(new.keys()).collect();
    let counts = |name| {
        let count = |functions: &BTreeMap<String, i64>| functions.get(name).copied().unwrap_or(0);
        (name, count(base), count(new))
    };
    let mut all: Vec<(&String, i64, i64)> = names.into_iter().map(counts).collect();
    all.retain(|(_, was, is)| was != is);
    all.sort_by_key(|(name, was, is)| (-(is - was).abs(), *name));
    let sum = |functions: &BTreeMap<String, i64>| functions.values().sum::<i64>();
    let (was, is) = (sum(base), sum(new));
    let mut rows = vec![
        ["  more", "beside", "here", "function"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(all.iter().map(|(name, was, is)| {
        vec![
            format!("{:+}", is - was),
            was.to_string(),
            is.to_string(),
            one_line(name),
        ]
    }));
    let table = match all.is_empty() {
        true => String::new(),
        false => columns(&rows, &[Align::Right, Align::Right, Align::Right, Align::Left]),
    };
    format!(
        "{head}: {is} instructions, {:+}; {} functions differ\n{table}",
        is - was,
        all.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use record::CostMethod;

    fn operation(name: &str, samples: &[u64], functions: &[(&str, i64)]) -> OperationCost {
        OperationCost {
            name: name.to_owned(),
            samples: samples.to_vec(),
            steady: samples.first().map(|sample| sample - 3),
            functions: functions
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    fn record(kernel: &str, operations: Vec<OperationCost>) -> CostRecord {
        CostRecord {
            kernel: kernel.to_owned(),
            release: "6.12.107+deb13-amd64".to_owned(),
            arch: Arch::X86_64,
            variant: "memmap_on_memory=off".to_owned(),
            method: CostMethod::Plugin,
            qemu: "7.2.22".to_owned(),
            operations,
        }
    }

    #[test]
    fn a_table_has_what_is_compared_and_how_far_samples_lie_apart() {
        let record = record(
            "debian:trixie",
            vec![
                operation("online", &[46_703, 53_709, 46_703], &[]),
                operation("offline", &[50_351, 50_356, 50_356], &[]),
            ],
        );
        insta::assert_snapshot!(cost_summary(&[record.clone(), record]), @r"
        x86_64 debian:trixie 6.12.107+deb13-amd64 memmap_on_memory=off (by plugin-2, QEMU 7.2.22)
          operation instructions    most seen     times     spread
          online           46700        46703    2 of 3       7006
          offline          50348        50356    2 of 3          5

        x86_64 debian:trixie 6.12.107+deb13-amd64 memmap_on_memory=off (by plugin-2, QEMU 7.2.22)
          operation instructions    most seen     times     spread
          online           46700        46703    2 of 3       7006
          offline          50348        50356    2 of 3          5

        instructions of interrupts, other tasks, the scheduler, the slab allocator, RCU and random numbers are not counted
        boots of one kernel may be up to 8 instructions apart
        ");
        assert_eq!(cost_summary(&[]), "");
    }

    #[test]
    fn a_kernel_is_held_against_the_first_by_function() {
        let many: Vec<(String, i64)> = (0..23).map(|n| (format!("f{n:02}"), 100 - n)).collect();
        let many: Vec<(&str, i64)> = many.iter().map(|(name, count)| (&**name, *count)).collect();
        let mut more = many.clone();
        more[3].1 += 5;
        more[4].1 -= 7;
        more.push(("not\u{1b}ify", 12));
        let mut other = record("other", vec![operation("online", &[9], &many)]);
        other.variant = "memmap_on_memory=on".to_owned();
        let records = [
            record("old", vec![operation("online", &[9], &many)]),
            record(
                "new",
                vec![operation("online", &[9], &more), operation("add", &[9], &[])],
            ),
            record("same", vec![operation("online", &[9], &many)]),
            other,
        ];
        insta::assert_snapshot!(cost_functions(&records));
    }
}
