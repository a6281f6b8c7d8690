// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an exploration wrote down: `explore.json`.

use serde::{Deserialize, Serialize};

use super::Seconds;
use base::Arch;

/// What was explored, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExploreRecord {
    /// By which the sequences were drawn.
    pub seed: u64,
    /// The kernels, in the order in which they were explored.
    pub kernels: Vec<ExploredKernel>,
}

/// What was explored of one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExploredKernel {
    /// Architecture.
    pub arch: Arch,
    /// The kernel as the user named it.
    pub kernel: String,
    /// Its release.
    pub release: String,
    /// Sequences that ran to their end.
    pub sequences: u64,
    /// Steps that were done in them; those by which sequences were made shorter are not counted.
    pub operations: u64,
    /// Time by the wall's clock.
    pub seconds: Seconds,
    /// Sequences that broke twice, which says nothing about the kernel: why each did, in one line.
    pub errors: Vec<String>,
    /// Machines that the kernel lacks something for, and what.
    pub lacking: Vec<String>,
    /// Known issues that showed.
    pub known: Vec<KnownSeen>,
    /// What was found.
    pub findings: Vec<FoundRecord>,
    /// Which code of memory hotplug was reached, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<ReachedRecord>,
}

/// How much code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCounts {
    /// Functions of which something ran.
    pub functions: u64,
    /// Bytes.
    pub bytes: u64,
    /// Lines; 0 where they are not known.
    pub lines: u64,
}

/// Which code of memory hotplug the sequences of a kernel reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReachedRecord {
    /// Sequences that reach new code were kept and varied.
    pub led: bool,
    /// All code of memory hotplug that the kernel has.
    pub all: CodeCounts,
    /// Sequences of earlier explorations of this build, and the code that they are known to reach.
    pub before: (u64, CodeCounts),
    /// How much was reached, with that, after each sequence that reached more.
    pub grew: Vec<GrewRecord>,
}

/// A sequence that reached code which none before it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrewRecord {
    /// Its number.
    pub number: u64,
    /// When it was over, since the kernel's exploration began.
    pub after: Seconds,
    /// What it was made of: the names of kept sequences; none of one that was drawn.
    pub of: Vec<String>,
    /// Functions that it was the first to reach.
    pub functions: Vec<String>,
    /// How much was reached then.
    pub reached: CodeCounts,
}

impl ExploredKernel {
    /// A kernel of which nothing was explored yet.
    pub fn new(arch: Arch, kernel: &str, release: &str) -> Self {
        Self {
            arch,
            kernel: kernel.to_owned(),
            release: release.to_owned(),
            sequences: 0,
            operations: 0,
            seconds: Seconds::default(),
            errors: Vec::new(),
            lacking: Vec::new(),
            known: Vec::new(),
            findings: Vec::new(),
            reached: None,
        }
    }
}

/// A known issue that showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownSeen {
    /// What is wrong, as the suite has it.
    pub reason: String,
    /// How often it showed.
    pub times: u64,
    /// When it showed first, since the kernel's exploration began.
    pub after: Seconds,
}

/// A fault that a sequence showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundRecord {
    /// What it is recognised by.
    pub sign: String,
    /// What was seen in the sequence as it was drawn, in one line.
    pub reason: String,
    /// Number of the sequence that showed it first.
    pub number: u64,
    /// What that was made of: the names of kept sequences; none of one that was drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// When it did, since the kernel's exploration began.
    pub after: Seconds,
    /// In how many sequences it showed.
    pub times: u64,
    /// Steps of the sequence that was drawn, up to the one that failed.
    pub steps: u64,
    /// Steps of the one that was made of it.
    pub shortest: u64,
    /// Guests that it took to make it shorter.
    pub tries: u32,
    /// The suite that shows it, by its path in the run's folder.
    pub file: String,
    /// The files of the guest that showed it first, by their path in the run's folder.
    pub evidence: String,
}
