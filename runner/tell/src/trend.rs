// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the numbers of a kernel line move from run to run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    table::{Align, columns},
    text::{Lines, minute, one_line},
};
use base::{Arch, fault::Verdict};
use record::{
    CostMethod, Seconds,
    index::{Cost, Seen},
};

/// The numbers of one kernel line in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trend {
    /// Architecture of the guests.
    pub(crate) arch: Arch,
    pub(crate) line: String,
    pub(crate) run: String,
    pub(crate) started: Timestamp,
    /// The kernel: label, hyphen, release.
    pub(crate) kernel: String,
    /// Cases that were run; none in a run that only counted what operations cost.
    pub(crate) cases: usize,
    /// Those that failed.
    pub(crate) failed: usize,
    /// Cases whose state after booting was read.
    pub(crate) booted: usize,
    /// Median over these of the memory that is not free after booting, in pages.
    pub(crate) used_at_boot: Option<u64>,
    /// Median over these of the time beside their steps; most of it is booting.
    pub(crate) boot: Option<Seconds>,
    /// What all cases took together.
    pub(crate) seconds: Seconds,
    /// What operations on a memory block cost, where the run counted that.
    pub(crate) costs: Vec<TrendCost>,
}

/// What one operation on a memory block cost, in instructions of the guest.
///
/// Only counts with the same variant, method and QEMU can be held against each other: another QEMU may count a string instruction in
/// another way, and a count by the guest's clock has idle time in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TrendCost {
    /// What was varied, such as `memmap_on_memory=on`.
    pub(crate) variant: String,
    /// `online`, `offline`, `add` or `remove`.
    pub(crate) operation: String,
    /// How many: what the repetitions agree on, or the lowest of them where they were not counted block by block.
    pub(crate) instructions: u64,
    /// How they were counted.
    pub(crate) method: CostMethod,
    /// Version of the QEMU that executed them.
    pub(crate) qemu: String,
}

impl TrendCost {
    fn of(cost: &Cost) -> Self {
        Self {
            variant: cost.variant.clone(),
            operation: cost.operation.clone(),
            instructions: cost.instructions,
            method: cost.method,
            qemu: cost.qemu.clone(),
        }
    }

    fn counted_by(&self) -> String {
        one_line(&format!("{}, QEMU {}", self.method, self.qemu))
    }
}

/// How the numbers of each kernel line move from run to run.
pub fn trend(seen: &[Seen], costs: &[Cost]) -> Vec<Trend> {
    struct Group<'a> {
        kernel: &'a str,
        cases: Vec<&'a Seen>,
        costs: Vec<&'a Cost>,
    }
    impl<'a> Group<'a> {
        fn of(kernel: &'a str) -> Self {
            Self {
                kernel,
                cases: Vec::new(),
                costs: Vec::new(),
            }
        }
    }
    let mut groups: BTreeMap<(Arch, &str, Timestamp, &str), Group<'_>> = BTreeMap::new();
    for one in seen.iter().filter(|one| one.verdict != Verdict::Skip) {
        let key = (one.key.arch, &*one.key.line, one.started, &*one.run);
        groups
            .entry(key)
            .or_insert_with(|| Group::of(&one.kernel))
            .cases
            .push(one);
    }
    for one in costs {
        let key = (one.arch, &*one.line, one.started, &*one.run);
        groups
            .entry(key)
            .or_insert_with(|| Group::of(&one.kernel))
            .costs
            .push(one);
    }
    groups
        .into_iter()
        .map(|((arch, line, started, run), Group { kernel, cases, costs })| {
            let boots: Vec<_> = cases.iter().filter_map(|one| one.boot).collect();
            let used = boots.iter().map(|boot| boot.mem_total.saturating_sub(boot.free));
            let took = boots.iter().map(|boot| boot.seconds.as_millis());
            Trend {
                arch,
                line: line.to_owned(),
                run: run.to_owned(),
                started,
                kernel: kernel.to_owned(),
                cases: cases.len(),
                failed: cases.iter().filter(|one| one.verdict == Verdict::Fail).count(),
                booted: boots.len(),
                used_at_boot: median(used.collect()),
                boot: median(took.collect()).map(Seconds::from_millis),
                seconds: cases.iter().map(|one| one.seconds).sum(),
                costs: costs.into_iter().map(TrendCost::of).collect(),
            }
        })
        .collect()
}

/// The middle value, the lower of two.
fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// What was counted in any of these runs: variants with their operations, in the order in which they were counted.
pub(super) fn counted(runs: &[Trend]) -> Vec<(&str, Vec<&str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for cost in runs.iter().flat_map(|run| &run.costs) {
        let at = all
            .iter()
            .position(|(variant, _)| *variant == cost.variant)
            .unwrap_or_else(|| {
                all.push((&cost.variant, Vec::new()));
                all.len() - 1
            });
        if !all[at].1.contains(&&*cost.operation) {
            all[at].1.push(&cost.operation);
        }
    }
    all
}

/// The trends as tables for each kernel line: one of its cases, and one for each variant of what its operations cost, in instructions.
pub fn trend_text(all: &[Trend]) -> String {
    let mut parts = Vec::new();
    for runs in all.chunk_by(|a, b| (a.arch, &a.line) == (b.arch, &b.line)) {
        let mut lines = Lines::default();
        lines.line(format_args!("{} {}", runs[0].arch, one_line(&runs[0].line)));
        if runs.iter().any(|run| run.cases > 0) {
            lines.text(&cases_text(runs));
        }
        for (variant, operations) in counted(runs) {
            lines.text(&costs_text(runs, variant, &operations));
        }
        parts.push(lines.into_text());
    }
    parts.join("\n")
}

fn cases_text(runs: &[Trend]) -> String {
    let mut rows = vec![
        [
            "  started",
            "kernel",
            "cases",
            "failed",
            "used at boot",
            "boot s",
            "all s",
            "run",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for one in runs.iter().filter(|run| run.cases > 0) {
        rows.push(vec![
            format!("  {}", minute(one.started)),
            one.kernel.clone(),
            one.cases.to_string(),
            one.failed.to_string(),
            one.used_at_boot
                .map_or_else(String::new, |pages| format!("{pages} pages")),
            one.boot.map_or_else(String::new, |boot| boot.to_string()),
            one.seconds.to_string(),
            one.run.clone(),
        ]);
    }
    use Align::{Left, Right};
    columns(&rows, &[Left, Left, Right, Right, Right, Right, Right, Left])
}

fn costs_text(runs: &[Trend], variant: &str, operations: &[&str]) -> String {
    let mut head = vec!["    started".to_owned(), "kernel".to_owned()];
    head.extend(operations.iter().map(|operation| one_line(operation)));
    head.extend(["counted by", "run"].map(str::to_owned));
    let mut rows = vec![head];
    for run in runs {
        let costs: Vec<&TrendCost> = run.costs.iter().filter(|cost| cost.variant == variant).collect();
        let Some(first) = costs.first() else { continue };
        let mut row = vec![format!("    {}", minute(run.started)), run.kernel.clone()];
        row.extend(operations.iter().map(|operation| {
            let cost = costs.iter().find(|cost| cost.operation == *operation);
            cost.map_or_else(String::new, |cost| cost.instructions.to_string())
        }));
        row.extend([first.counted_by(), run.run.clone()]);
        rows.push(row);
    }
    use Align::{Left, Right};
    let mut align = vec![Left, Left];
    align.extend(operations.iter().map(|_| Right));
    align.extend([Left, Left]);
    format!(
        "  instructions for one memory block, {}\n{}",
        one_line(variant),
        columns(&rows, &align)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests as history;
    use record::index::Boot;

    fn seen(day: i64, kernel: &str, verdict: Verdict) -> Seen {
        history::seen(day, kernel, verdict, false)
    }

    fn cost(day: i64, kernel: &str, variant: &str, operation: &str, instructions: u64) -> Cost {
        Cost {
            run: format!("cost-{day}"),
            started: Timestamp::from_second(day * 86_400 + 3600).unwrap(),
            arch: Arch::X86_64,
            line: "debian:sid".to_owned(),
            kernel: kernel.to_owned(),
            variant: variant.to_owned(),
            operation: operation.to_owned(),
            method: CostMethod::Plugin,
            qemu: "10.0.13".to_owned(),
            instructions,
        }
    }

    #[test]
    fn a_trend_has_the_medians_of_each_run() {
        let mut all = vec![
            seen(1, "sid-7.1", Verdict::Pass),
            seen(1, "sid-7.1", Verdict::Fail),
        ];
        all[1].boot = Some(Boot {
            mem_total: 1000,
            free: 100,
            seconds: Seconds::from_millis(900),
        });
        all.push(seen(1, "sid-7.1", Verdict::Skip));
        all.push(seen(2, "sid-7.2", Verdict::Pass));
        all[3].boot = None;
        let trends = trend(&all, &[]);
        assert_eq!(trends.len(), 2);
        let first = &trends[0];
        assert_eq!((first.cases, first.failed, first.booted), (2, 1, 2));
        assert_eq!(first.used_at_boot, Some(101), "the lower of two");
        assert_eq!(first.seconds.as_millis(), 2_000);
        assert_eq!((trends[1].booted, trends[1].used_at_boot), (0, None));
        insta::assert_snapshot!(trend_text(&trends));
    }

    #[test]
    fn costs_stand_under_each_other_by_what_was_varied() {
        let (off, on) = ("memmap_on_memory=off", "memmap_on_memory=on");
        let mut costs = vec![
            cost(1, "sid-7.1", off, "online", 46_703),
            cost(1, "sid-7.1", off, "offline", 50_351),
            cost(1, "sid-7.1", on, "online", 47_000),
            cost(2, "sid-7.2", off, "online", 53_709),
            cost(2, "sid-7.2", off, "offline", 50_351),
            cost(2, "sid-7.2", off, "add", 9),
        ];
        costs[3..]
            .iter_mut()
            .for_each(|cost| cost.qemu = "10.1.0".to_owned());
        let trends = trend(&[seen(1, "sid-7.1", Verdict::Pass)], &costs);
        // A run that only counted has no cases, and is no row of theirs.
        let cases: Vec<usize> = trends.iter().map(|trend| trend.cases).collect();
        assert_eq!(cases, [1, 0, 0]);
        assert_eq!(trends[2].costs.len(), 3);
        assert_eq!(trends[2].kernel, "sid-7.2");
        insta::assert_snapshot!(trend_text(&trends));
        insta::assert_snapshot!(super::super::trend_csv(&trends));
        let json = serde_json::to_value(&trends).unwrap();
        assert_eq!(json[1]["costs"][1]["instructions"], 50_351);
        assert_eq!(json[1]["costs"][1]["method"], "plugin-2");
        assert_eq!(
            trend_text(&trend(&[], &costs[..1])).lines().count(),
            4,
            "no table of cases"
        );
    }
}
