// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a comparison wrote down: `compare.json` in the folder of its first run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{pair::Difference, seen::Dimension};
use crate::base::{Arch, fault::Exit};

/// Two kernels under the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareRecord {
    /// The kernel before, as it can be named on the command line.
    pub base: String,
    /// The kernel after.
    pub new: String,
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

/// A case without its kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseName {
    /// Name of the suite.
    pub suite: String,
    /// Id of the case.
    pub case: String,
    /// Its variant; may be empty.
    pub variant: String,
}

impl fmt::Display for CaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.suite, self.case)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, " {variant}"),
        }
    }
}

/// Cases that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompared {
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
        self.not_compared.iter().any(|not| not.why.starts_with("error"))
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
