// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a comparison wrote down: `compare.json` in the folder of its first run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{pair::Difference, seen::Dimension};
use ::record::{CaseName, CostMethod, CostRecord, OperationCost, SeriesRan};
use base::{
    Arch,
    fault::{Exit, Verdict},
};

/// Two kernels under the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareRecord {
    /// The kernel before, by its label.
    pub base: String,
    /// The kernel after, by its label.
    pub new: String,
    /// How the kernel before is named on the command line, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_named: Option<String>,
    /// The same of the kernel after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_named: Option<String>,
    /// Title of the series between them, where there is one.
    pub series: Option<String>,
    /// What the series was applied to and why, where there is one.
    pub applied: Option<String>,
    /// The suites that were run, as they can be named again.
    pub suites: Vec<String>,
    /// The runs, the first pair first.
    pub runs: Vec<String>,
    /// In how many pairs something has to differ.
    pub pairs: usize,
    /// What came of it on each architecture.
    pub arches: BTreeMap<Arch, ArchComparison>,
    /// What of the series was run on each architecture, where that is known.
    #[serde(default)]
    pub ran: BTreeMap<Arch, SeriesRan>,
    /// What operations cost on both, where that was counted.
    #[serde(default)]
    pub costs: Vec<CostRow>,
    /// Why what was to be counted was not, each in a line.
    #[serde(default)]
    pub not_counted: Vec<String>,
}

/// What one operation costs on both kernels, in instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRow {
    /// The architecture.
    pub arch: Arch,
    /// What was varied, such as `memmap_on_memory=on`.
    pub variant: String,
    /// `online`, `offline`, `add` or `remove`, of one memory block.
    pub operation: String,
    /// How it was counted.
    pub method: CostMethod,
    /// The cost on the base.
    pub base: u64,
    /// The cost on the new kernel.
    pub new: u64,
    /// How far single repetitions lay apart, on either at most.
    pub spread: u64,
    /// Both costs in a second pair of guests, where those of the first differ.
    pub again: Option<(u64, u64)>,
}

/// How far apart the costs of one operation are in two guests with the same kernel, in instructions. Seen: 5 of 1.9 million on x86_64,
/// in one pair of several, where most pairs count the same.
pub const COST_SLACK: u64 = 8;

impl CostRow {
    /// By how much the new kernel costs more: what both pairs of guests agree on, and 0 where they do not, or are no further apart than
    /// [`COST_SLACK`].
    pub fn more(&self) -> i64 {
        let more = self.agreed();
        if more.unsigned_abs() <= COST_SLACK {
            0
        } else {
            more
        }
    }

    fn agreed(&self) -> i64 {
        let more = |(base, new): (u64, u64)| new.cast_signed() - base.cast_signed();
        let first = more((self.base, self.new));
        match self.again.map(more) {
            Some(second) if second.signum() != first.signum() => 0,
            Some(second) if second.abs() < first.abs() => second,
            _ => first,
        }
    }

    /// Whether the first pair is further apart than equal kernels are.
    pub fn differs(&self) -> bool {
        self.base.abs_diff(self.new) > COST_SLACK
    }

    /// The same with what a second pair of guests costs.
    pub fn with_second(mut self, second: &[Self]) -> Self {
        let same = |other: &&Self| {
            (other.arch, &other.variant, &other.operation, other.method)
                == (self.arch, &self.variant, &self.operation, self.method)
        };
        if self.differs()
            && let Some(other) = second.iter().find(same)
        {
            self.again = Some((other.base, other.new));
        }
        self
    }
}

/// Lays the costs of two kernels beside each other; what only one has, or what was counted in another way, is left out.
pub fn cost_rows(base: &[CostRecord], new: &[CostRecord]) -> Vec<CostRow> {
    let mut rows = Vec::new();
    for was in base {
        let same = |is: &&CostRecord| {
            (is.arch, &is.variant, is.method, &is.qemu) == (was.arch, &was.variant, was.method, &was.qemu)
        };
        let Some(is) = new.iter().find(same) else {
            continue;
        };
        for operation in &was.operations {
            let other = is.operation(&operation.name);
            if let (Some(base), Some(new)) = (operation.cost(), other.and_then(OperationCost::cost)) {
                rows.push(CostRow {
                    arch: was.arch,
                    variant: was.variant.clone(),
                    operation: operation.name.clone(),
                    method: was.method,
                    base,
                    new,
                    spread: operation.spread().max(other.map_or(0, OperationCost::spread)),
                    again: None,
                });
            }
        }
    }
    rows
}

/// What was counted on one of two kernels alone, or on each in another way, so that [`cost_rows`] has no row for it; each in a line.
pub fn cost_unpaired(base: &[CostRecord], new: &[CostRecord]) -> Vec<String> {
    let rows = cost_rows(base, new);
    let paired = |record: &CostRecord, operation: &OperationCost| {
        rows.iter().any(|row| {
            (row.arch, &row.variant, &row.operation) == (record.arch, &record.variant, &operation.name)
        })
    };
    let of = |kernel: &str, records: &[CostRecord]| -> Vec<String> {
        let operations = records.iter().flat_map(|record| {
            record
                .operations
                .iter()
                .filter(|operation| !paired(record, operation))
                .map(move |operation| (record, operation))
        });
        operations
            .map(|(record, operation)| {
                format!(
                    "{} {} {}: only the {kernel} kernel has it (by {})",
                    record.arch, operation.name, record.variant, record.method
                )
            })
            .collect()
    };
    [of("base", base), of("new", new)].concat()
}

/// A kernel that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSide {
    /// Its release.
    pub release: String,
    /// SHA-256 of its image, in hex.
    pub sha256: String,
}

/// Two kernels on one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchComparison {
    /// The kernel before.
    pub base: KernelSide,
    /// The kernel after.
    pub new: KernelSide,
    /// Cases that could be compared.
    pub cases: usize,
    /// Things that were seen in them on either kernel.
    pub observations: usize,
    /// Those of them that differ in every pair.
    pub differing: usize,
    /// What differs, with what is the same in several cases told once: what got worse first. Of a case, its verdict if that
    /// differs, and else of each thing the first moment at which it does.
    pub rows: Vec<Row>,
    /// What differed in one pair and not in another.
    pub unsteady: Vec<Row>,
    /// Cases that could not be compared.
    pub not_compared: Vec<NotCompared>,
    /// MemTotal after boot in pages, on the base and on the new kernel, where it differs.
    pub boot_memory: Vec<(i64, i64)>,
    /// What could not be seen on one of them.
    pub unseen: Vec<Dimension>,
    /// Cases that fail on both.
    pub failing: usize,
    /// How long the cases of the first pair took on the base and on the new kernel, in milliseconds. Never judged.
    pub millis: (u64, u64),
}

/// Whether a difference is for the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A verdict got worse, or the log has a finding that it had not.
    Regression,
    /// Neither.
    Change,
    /// A verdict got better, or a finding is gone.
    Improvement,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Regression => "regression",
            Self::Change => "change",
            Self::Improvement => "improvement",
        })
    }
}

/// One difference, and the cases that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Whether it is for the worse.
    pub kind: Kind,
    /// The difference, from the first case that has it.
    pub first: Difference,
    /// The cases, in the order of the plan.
    pub cases: Vec<CaseName>,
    /// What the same was seen of: names that differ by the number of the memory block alone.
    pub others: BTreeSet<String>,
}

/// Cases that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompared {
    /// `error` where something broke, `skip` where the case means nothing on one of the kernels.
    pub verdict: Verdict,
    /// Why: the first reason that was met.
    pub why: String,
    /// The cases.
    pub cases: Vec<CaseName>,
}

impl ArchComparison {
    /// How many rows there are of a kind; cases are counted where a verdict is told.
    pub fn count(&self, kind: Kind) -> usize {
        let rows = self.rows.iter().filter(|row| row.kind == kind);
        rows.map(|row| match row.first.dimension {
            Dimension::Verdict => row.cases.len(),
            _ => 1,
        })
        .sum()
    }

    /// Whether something broke that is no kernel's fault, so that a case is not known.
    pub fn broke(&self) -> bool {
        self.not_compared.iter().any(|not| not.verdict == Verdict::Error)
    }
}

/// The exit code of a comparison: 1 where something got worse or changed; else 3 where something broke, or nothing at all could be
/// compared on an architecture.
pub fn compare_exit(record: &CompareRecord) -> Exit {
    let any = |is: &dyn Fn(&ArchComparison) -> bool| record.arches.values().any(is);
    if any(&|arch| arch.count(Kind::Regression) + arch.count(Kind::Change) > 0) {
        Exit::KernelFailed
    } else if record.arches.is_empty() || any(&|arch| arch.cases == 0 || arch.broke()) {
        Exit::Broken
    } else {
        Exit::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(variant: &str, online: u64) -> CostRecord {
        CostRecord {
            kernel: "k".to_owned(),
            release: "6".to_owned(),
            arch: Arch::S390x,
            variant: variant.to_owned(),
            method: CostMethod::Plugin,
            qemu: "10".to_owned(),
            operations: vec![OperationCost {
                name: "online".to_owned(),
                samples: vec![online, online + 7],
                steady: Some(online),
                functions: BTreeMap::new(),
            }],
        }
    }

    #[test]
    fn costs_of_the_same_thing_are_laid_beside_each_other() {
        let base = [cost("a", 100), cost("b", 50)];
        let new = [cost("b", 60), cost("c", 1)];
        let rows = cost_rows(&base, &new);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].base, rows[0].new, rows[0].spread, rows[0].more()),
            (50, 60, 7, 10)
        );
        let mut other = cost("a", 100);
        other.method = CostMethod::GuestTime;
        assert!(cost_rows(&base[..1], &[other]).is_empty(), "clocks are no counts");
        assert_eq!(
            cost_unpaired(&base, &new),
            [
                "s390x online a: only the base kernel has it (by plugin-2)",
                "s390x online c: only the new kernel has it (by plugin-2)"
            ]
        );
        assert!(cost_unpaired(&base, &base).is_empty());
    }

    #[test]
    fn more_is_what_both_pairs_agree_on() {
        let first = |base, new| cost_rows(&[cost("a", base)], &[cost("a", new)]);
        let more = |one: (u64, u64), two: (u64, u64)| {
            let row = first(one.0, one.1).remove(0);
            row.with_second(&first(two.0, two.1)).more()
        };
        assert_eq!(more((100, 110), (100, 110)), 10);
        assert_eq!(more((100, 120), (100, 110)), 10);
        assert_eq!(more((100, 120), (100, 108)), 0, "that is what equal kernels show");
        assert_eq!(more((100, 110), (100, 100)), 0);
        assert_eq!(more((100, 110), (103, 100)), 0);
        assert_eq!(more((110, 100), (110, 100)), -10);
        assert_eq!(more((100, 100), (100, 110)), 0);
    }
}
