// SPDX-License-Identifier: MIT OR Apache-2.0
//! `offline`: switches blocks off.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot, text, words::Via};
use base::Errno;

/// Switches blocks off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offline {
    /// Which.
    pub block: BlockRef,
    /// Through which file. Default `state`.
    #[serde(default)]
    pub via: Option<Via>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

impl Word for Offline {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.uses(&self.block, Use::There, &at.value("block"));
        self.clone()
    }
}

impl Keys for Offline {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.some("via", self.via.as_ref())?;
        line.some("fails", self.fails.as_ref())
    }
}
