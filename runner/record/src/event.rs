// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of the journal.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use base::ByteSize;

use super::{CaseKey, CaseRecord, RunFacts, StepRecord};

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Seconds since the run started, by a clock that never goes back.
    pub(crate) at: f64,
    pub(crate) event: Event,
}

/// Something that happened in a run. `case` is the [`CaseKey::id`] of the case concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The first event: the facts as they were then, and everything that is to be run.
    RunStarted {
        /// The facts, the number of the format among them.
        facts: Box<RunFacts>,
        /// Every case of the plan, in its order.
        planned: Vec<CaseKey>,
    },
    /// A run that had been cut off is taken up again.
    RunResumed {
        /// The command line that did so.
        argv: Vec<String>,
    },
    /// A guest has booted and was stopped, so that those of cases go on from it.
    TemplateMade {
        /// Its number in the run; its logs are in `templates/<number>`.
        number: u32,
        /// Label of its kernel.
        kernel: String,
        /// The kernel's command line.
        cmdline: String,
        /// What it takes of the host's memory, in files without names.
        resident: ByteSize,
    },
    /// A case began, or began again.
    CaseStarted {
        /// Which one.
        key: CaseKey,
        /// Its name in words.
        name: String,
        /// The suite file that it is written in.
        suite_file: String,
        /// Line of the suite file, from 1.
        line: u32,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// A step began.
    StepStarted {
        /// The case.
        case: String,
        /// Place of the step, from 1.
        number: u32,
        /// What it does.
        text: String,
    },
    /// A step ended.
    StepFinished {
        /// The case.
        case: String,
        /// The step.
        step: StepRecord,
    },
    /// A case ended; holds all of it.
    CaseFinished {
        /// The case.
        record: Box<CaseRecord>,
    },
    /// Something that a reader of the run should know.
    Note {
        /// The text, without an end of line.
        text: String,
    },
    /// The last event.
    RunFinished {
        /// Exit code of memrig.
        exit: u8,
    },
    /// An event that format 1 has and that nothing writes: it is passed over.
    #[serde(rename = "qemu-event", alias = "console-mark", skip_serializing)]
    Unwritten(IgnoredAny),
}
