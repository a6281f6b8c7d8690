// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a verb stops early, and how the user is told.

use crate::base::{fault::Exit, ui::Ui};

/// The end of a verb that could not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// The call was wrong: nothing was started.
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
            hint: None,
        }
    }

    /// The bench could not do it: nothing is known about any kernel.
    pub(super) fn broken(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Broken,
            error: error.into(),
            hint: None,
        }
    }

    /// A wrong call where `usage` says so, otherwise the bench's failure.
    pub(super) fn of(error: impl Into<anyhow::Error>, usage: bool) -> Self {
        match usage {
            true => Self::usage(error),
            false => Self::broken(error),
        }
    }

    /// The same, with another exit code.
    #[must_use]
    pub(super) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Adds what the user can do next.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the user, and returns the exit code.
    pub(super) fn tell(&self, ui: &Ui) -> Exit {
        let mut lines = vec![self.error.to_string()];
        let causes = self.error.chain().skip(1);
        lines.extend(causes.map(|cause| format!("  caused by: {cause}")));
        lines.extend(self.hint.iter().map(|hint| format!("hint: {hint}")));
        ui.error(&lines.join("\n"));
        self.exit
    }
}
