// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pages`: looks at where the memmap of blocks is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot, words::Memmap};

/// Looks at where the memmap of blocks is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Which blocks.
    pub block: BlockRef,
    /// In the block (`altmap`) or in memory that was there before (`system`).
    pub memmap: Memmap,
}

impl Word for Pages {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.uses(&self.block, Use::There, &at.value("block"));
        self.clone()
    }
}

impl Keys for Pages {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.key("memmap", self.memmap)
    }
}
