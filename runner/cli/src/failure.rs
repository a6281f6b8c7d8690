// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a verb stops early, and how the user is told.

use base::{
    fault::{Blame, Blamed, Exit},
    shortened,
    ui::Ui,
};

/// Bytes of a line of an error that are shown whole, such as a command to type.
const LONGEST: usize = 2000;

/// The end of a verb that could not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

/// An error that does not say itself whom it speaks against; whoever asked for it knows.
pub(super) trait Unblamed: Into<anyhow::Error> {}

impl Unblamed for anyhow::Error {}
impl Unblamed for std::io::Error {}
impl Unblamed for std::string::FromUtf8Error {}
impl Unblamed for serde_json::Error {}

impl Failure {
    /// It ends as the error says.
    pub(super) fn of(error: impl Blamed + Send + Sync + 'static) -> Self {
        let (exit, hint) = (error.exit(), error.hint());
        Self {
            exit,
            hint,
            error: error.into(),
        }
    }

    /// The call was wrong: nothing was started.
    pub(super) fn usage(error: impl Unblamed) -> Self {
        Self::by(Blame::Usage, error)
    }

    /// The bench could not do it: nothing is known about any kernel.
    pub(super) fn broken(error: impl Unblamed) -> Self {
        Self::by(Blame::Bench, error)
    }

    fn by(blame: Blame, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: blame.exit(),
            error: error.into(),
            hint: None,
        }
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
        // Whatever quotes a file, or what a program said, may have a line of a megabyte.
        let text = lines.join("\n");
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.len() {
                0..=LONGEST => line.to_owned(),
                _ => shortened(line, LONGEST),
            })
            .collect();
        ui.error(&lines.join("\n"));
        self.exit
    }
}
