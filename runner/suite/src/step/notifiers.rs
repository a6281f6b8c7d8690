// SPDX-License-Identifier: MIT OR Apache-2.0
//! `notifiers`: looks at the notifications of the last step that acts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{places::Spot, words::Notifier};

/// Looks at the notifications of the last step that acts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notifiers {
    /// Which, in order.
    pub are: Vec<Notifier>,
}

impl Word for Notifiers {
    type Step = Self;

    fn check(&self, _: &mut Checker<'_, '_, '_>, _: &Spot<'_>) -> Self {
        self.clone()
    }
}

impl Keys for Notifiers {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.list("are", &self.are)
    }
}
