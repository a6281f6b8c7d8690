// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each word of the language does itself.

use std::fmt;

use super::{checker::Checker, line::Line};
use crate::places::Spot;

/// A step as YAML has it; one that cannot contradict itself is its own `Step`.
pub(super) trait Word {
    /// The step, checked.
    type Step;

    /// Checks the step, which stands at `at`, against those before it; what is wrong is noted.
    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self::Step;
}

/// A step that is checked.
pub(super) trait Keys {
    /// Writes its keys as the suite has them.
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result;
}
