// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the index knows of one case in one run.

use jiff::Timestamp;
use serde::Serialize;

use crate::{CaseKey, Seconds};
use base::{Arch, fault::Verdict};

/// A case from one run to the next: its history is found by this.
///
/// The kernel is named by its line: the label by which the user named it, such as `debian:sid`, whatever release it has on
/// that day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct HistoryKey {
    /// Architecture of the guest.
    pub arch: Arch,
    /// The kernel line.
    pub line: String,
    /// Name of the kernel's configuration; empty for the one it came with.
    pub config: String,
    /// Name of the suite.
    pub suite: String,
    /// The variant; empty for a case without variants.
    pub variant: String,
    /// Id of the case in its suite.
    pub case: String,
}

impl HistoryKey {
    /// A case on the kernel line that its kernel is of; all its rounds are one.
    pub fn of(key: &CaseKey) -> Self {
        Self {
            arch: key.arch,
            line: key.label.clone(),
            config: key.config_name().to_owned(),
            suite: key.suite.clone(),
            variant: key.variant.clone(),
            case: key.case.clone(),
        }
    }
}

/// One case in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Folder of the run, by its name in the results folder.
    pub run: String,
    /// When the run started.
    pub started: Timestamp,
    /// Which case it is.
    #[serde(flatten)]
    pub key: HistoryKey,
    /// Its name in words.
    pub name: String,
    /// The kernel: label, hyphen, release.
    pub kernel: String,
    /// Its result; the gravest of its rounds.
    pub verdict: Verdict,
    /// Why, where the verdict is not `pass`.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// Its attempts or its rounds had different verdicts.
    pub mixed: bool,
    /// How long it took, all attempts together.
    pub seconds: Seconds,
    /// How the guest was right after it booted; `None` where nothing was read.
    pub boot: Option<Boot>,
}

/// A guest right after it booted, before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Boot {
    /// `MemTotal` in pages of the guest.
    pub mem_total: u64,
    /// Free pages by the exact meter.
    pub free: u64,
    /// What the attempt that decided took beside its steps: most of it is booting.
    pub seconds: Seconds,
}

/// A case that came out in more than one way on one kernel, or in the attempts of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsteady {
    /// Which case it is.
    pub key: HistoryKey,
    /// Its name in words.
    pub name: String,
    /// The kernel: label, hyphen, release.
    pub kernel: String,
    /// Its runs on that kernel, the first one first.
    pub runs: Vec<RunVerdict>,
}

/// What a case came to in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunVerdict {
    /// Folder of the run, by its name in the results folder.
    pub run: String,
    /// When the run started.
    pub started: Timestamp,
    /// Its result.
    pub verdict: Verdict,
    /// Its attempts had different verdicts.
    pub mixed: bool,
}
