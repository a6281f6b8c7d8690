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

/// Looks at the notifications of the last step that acts. Exactly one of `are` and `whole`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Notifiers")]
pub(crate) struct RawNotifiers {
    /// Which, in order.
    #[serde(default)]
    pub(crate) are: Option<Vec<Notifier>>,
    /// Those of each block must be in an order that the kernel can send, and end with what the block is.
    #[serde(default)]
    pub(crate) whole: Option<bool>,
}

/// How the notifications of the last step that acts must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notifiers {
    /// These, in order.
    Are(Vec<Notifier>),
    /// For each block in an order that the kernel can send, and they end with what the block is.
    Whole,
}

impl Word for RawNotifiers {
    type Step = Notifiers;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Notifiers {
        match (&self.are, self.whole == Some(true)) {
            (Some(are), false) => Notifiers::Are(are.clone()),
            (None, true) => Notifiers::Whole,
            _ => {
                checker
                    .notes
                    .wrong(at, "expected exactly one of `are` and `whole: true`");
                Notifiers::Whole
            }
        }
    }
}

impl Keys for Notifiers {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::Are(are) => line.list("are", are),
            Self::Whole => line.key("whole", true),
        }
    }
}
