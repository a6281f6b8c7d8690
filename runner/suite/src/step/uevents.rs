// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uevents`: looks at the uevents since the last step that acts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot, words::Uevent};

/// Looks at the uevents of blocks since the last step that acts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uevents {
    /// Which blocks; each must have sent the same. They may be removed by now.
    pub block: BlockRef,
    /// Which events, in order.
    pub are: Vec<Uevent>,
}

impl Word for Uevents {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.uses(&self.block, Use::Past, &at.value("block"));
        self.clone()
    }
}

impl Keys for Uevents {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.list("are", &self.are)
    }
}
