// SPDX-License-Identifier: MIT OR Apache-2.0
//! `busy` and `free`: fills a block so that it cannot go offline, and ends that.

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
    error::near,
    names::{BlockName, BlockRef},
    places::Spot,
    words::Filling,
};

/// Fills a block so that it cannot go offline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Busy {
    /// Which; online.
    pub block: BlockRef,
    /// With what.
    pub with: Filling,
    /// What a later `free` calls it.
    #[serde(rename = "as")]
    pub name: BlockName,
}

/// Ends what a `busy` step started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Free {
    /// What `busy` called it.
    pub busy: BlockName,
}

impl Word for Busy {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.uses(&self.block, Use::There, &at.value("block"));
        if checker.busy.insert(self.name.clone(), true) == Some(true) {
            let message = format_args!("`{}` is busy already", self.name);
            let hint = Some("free it first, or take another name".to_owned());
            checker.notes.wrong_but(&at.value("as"), message, hint);
        }
        self.clone()
    }
}

impl Keys for Busy {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.key("with", self.with)?;
        line.key("as", &self.name)
    }
}

impl Word for Free {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        if checker.busy.insert(self.busy.clone(), false) != Some(true) {
            let busy = checker.busy.iter().filter(|(_, on)| **on);
            let known = busy.map(|(name, _)| name.as_str());
            let hint = near(self.busy.as_str(), known);
            let hint = hint.or_else(|| Some("no `busy` step is open here".to_owned()));
            let message = format_args!("nothing called `{}` is busy", self.busy);
            checker.notes.wrong_but(&at.value("busy"), message, hint);
        }
        self.clone()
    }
}

impl Keys for Free {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("busy", &self.busy)
    }
}
