// SPDX-License-Identifier: MIT OR Apache-2.0
//! `assigned`: looks at the standby storage that is assigned.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot};

/// Looks at the standby storage that is assigned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// The blocks whose storage is assigned; `[]` for none.
    pub are: Vec<BlockRef>,
}

impl Word for Assigned {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.s390x("`assigned` looks at standby memory", at);
        for (i, block) in self.are.iter().enumerate() {
            checker.uses(block, Use::Past, &at.value("are").item(i));
        }
        self.clone()
    }
}

impl Keys for Assigned {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.list("are", &self.are)
    }
}
