// SPDX-License-Identifier: MIT OR Apache-2.0
//! `configure` and `deconfigure`: whether standby blocks are configured; s390x G2.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::{State, Use},
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot, text};
use base::Errno;

/// Configures standby blocks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// Which.
    pub block: BlockRef,
    /// Whether the memmap is asked to be in the block. Default: as the kernel has it.
    #[serde(default)]
    pub memmap_on_memory: Option<bool>,
    /// The errno that it must fail with.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

/// Deconfigures standby blocks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deconfigure {
    /// Which.
    pub block: BlockRef,
    /// The errno that it must fail with.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

impl Word for Configure {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.g2("`configure` writes to /sys/firmware/memory", at);
        let good = checker.uses(&self.block, Use::Standby, &at.value("block"));
        if good && self.fails.is_none() && self.block.index.is_none() {
            checker.becomes(&self.block.name, State::Added, at);
        }
        self.clone()
    }
}

impl Keys for Configure {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.some("memmap_on_memory", self.memmap_on_memory.as_ref())?;
        line.some("fails", self.fails.as_ref())
    }
}

impl Word for Deconfigure {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.g2("`deconfigure` writes to /sys/firmware/memory", at);
        let good = checker.uses(&self.block, Use::Standby, &at.value("block"));
        if good && self.fails.is_none() && self.block.index.is_none() {
            checker.becomes(&self.block.name, State::Deconfigured, at);
        }
        self.clone()
    }
}

impl Keys for Deconfigure {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.some("fails", self.fails.as_ref())
    }
}
