// SPDX-License-Identifier: MIT OR Apache-2.0
//! `auto_online`: sets what the kernel does with blocks that are added.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{places::Spot, words::AutoPolicy};

/// Sets what the kernel does with blocks that are added.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoOnlineBlocks {
    /// What.
    pub policy: AutoPolicy,
}

impl Word for AutoOnlineBlocks {
    type Step = Self;

    fn check(&self, _: &mut Checker<'_, '_, '_>, _: &Spot<'_>) -> Self {
        self.clone()
    }
}

impl Keys for AutoOnlineBlocks {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("policy", self.policy)
    }
}
