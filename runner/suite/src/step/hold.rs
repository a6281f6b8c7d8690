// SPDX-License-Identifier: MIT OR Apache-2.0
//! `hold`: has pages of blocks in use, until `free` lets them go.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{
    names::{BlockName, BlockRef},
    places::Spot,
    words::Holding,
};

/// Has pages of blocks in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Which: all that zone Movable has.
    pub block: BlockRef,
    /// How.
    pub by: Holding,
    /// What a later `free` calls it.
    #[serde(rename = "as")]
    pub name: BlockName,
}

impl Word for Hold {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.uses(&self.block, Use::There, &at.value("block"));
        if self.by == Holding::Hugetlb {
            checker.x86_64("pages of hugetlb come out of zone Movable", &at.value("by"));
        }
        if checker.held.insert(self.name.clone(), true) == Some(true) {
            let message = format_args!("`{}` is held already", self.name);
            let hint = Some("free it first, or take another name".to_owned());
            checker.notes.wrong_but(&at.value("as"), message, hint);
        }
        self.clone()
    }
}

impl Keys for Hold {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.key("by", self.by)?;
        line.key("as", &self.name)
    }
}
