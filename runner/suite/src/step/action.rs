// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a case, checked: what contradicts itself cannot be written in these types.
//!
//! A step says what is done and what is special about its result. What must be true of blocks, zones and counters afterwards is
//! not said here; the model knows it.

use std::fmt;

use super::{
    line::Line,
    repeat::Repeat,
    sweep::Sweep,
    table::{Act, Look},
    word::Keys,
};
use crate::words::FailureKind;

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
            action => action.within().iter().flat_map(Self::files).collect(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Change something, in the guest or in what QEMU does.
    Act(Act),
    /// Look at what is, so that what "the last step" did stays the same.
    Look(Look),
    /// Do steps several times.
    Repeat(Repeat),
    /// Do steps with each of their allocations failing once.
    Sweep(Sweep),
}

impl Action {
    /// The steps that it does, where it does others.
    pub fn within(&self) -> &[Step] {
        match self {
            Self::Act(_) | Self::Look(_) => &[],
            Self::Repeat(repeat) => &repeat.steps,
            Self::Sweep(sweep) => &sweep.steps,
        }
    }

    /// How it fails, where nothing more is said of that: a step that looks or runs a script by its own word.
    pub fn fails_by(&self) -> FailureKind {
        match self {
            Self::Look(look) => look.fails_by(),
            Self::Act(Act::Guest(_)) => FailureKind::Guest,
            Self::Act(_) | Self::Repeat(_) | Self::Sweep(_) => FailureKind::Errno,
        }
    }

    /// The word of the step in a suite.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Act(act) => act.word(),
            // A look fails by its own word.
            Self::Look(look) => look.fails_by().word(),
            Self::Repeat(_) => "repeat",
            Self::Sweep(_) => "sweep",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line::new(f, self.word())?;
        match self {
            Self::Act(act) => act.keys(&mut line)?,
            Self::Look(look) => look.keys(&mut line)?,
            Self::Repeat(repeat) => repeat.keys(&mut line)?,
            Self::Sweep(sweep) => sweep.keys(&mut line)?,
        }
        line.end()
    }
}
