// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a case, checked: what contradicts itself cannot be written in these types.
//!
//! A step says what is done and what is special about its result. What must be true of blocks, zones and counters afterwards is
//! not said here; the model knows it.

use std::fmt;

use super::table::{Act, Action};

/// One step and where the suite says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line in the suite file, from 1.
    pub line: usize,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// The files beside the suite's that it brings into the guest, each with the line of the step.
    pub(crate) fn files(&self) -> Vec<(usize, &str)> {
        match &self.action {
            Action::Act(Act::Guest(guest)) => guest
                .files
                .iter()
                .map(|file| (self.line, file.as_str()))
                .collect(),
            Action::Repeat(repeat) => repeat.steps.iter().flat_map(Self::files).collect(),
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}
