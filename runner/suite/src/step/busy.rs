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

/// Ends what a `busy` or a `hold` step started. Exactly one of `busy` and `hold`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Free")]
pub(crate) struct RawFree {
    /// What `busy` called it.
    #[serde(default)]
    pub(crate) busy: Option<BlockName>,
    /// What `hold` called it.
    #[serde(default)]
    pub(crate) hold: Option<BlockName>,
}

/// Ends what another step started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Free {
    /// What `busy` called so.
    Busy(BlockName),
    /// What `hold` called so.
    Hold(BlockName),
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

impl Word for RawFree {
    type Step = Free;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Free {
        let (name, free, word, is) = match (&self.busy, &self.hold) {
            (Some(name), None) => (name, Free::Busy(name.clone()), "busy", "busy"),
            (None, Some(name)) => (name, Free::Hold(name.clone()), "hold", "held"),
            (named, _) => {
                let hint = "such as `free: { hold: pages }` after `hold: { block: b, by: anon, as: pages }`";
                let message = "expected either `busy` or `hold`";
                checker.notes.wrong_but(at, message, Some(hint.to_owned()));
                return Free::Busy(named.clone().unwrap_or_else(BlockName::boot));
            }
        };
        let open = match free {
            Free::Busy(_) => &mut checker.busy,
            Free::Hold(_) => &mut checker.held,
        };
        if open.insert(name.clone(), false) != Some(true) {
            let known = open.iter().filter(|(_, on)| **on);
            let hint = near(name.as_str(), known.map(|(name, _)| name.as_str()));
            let hint = hint.or_else(|| Some(format!("no `{word}` step is open here")));
            let message = format_args!("nothing called `{name}` is {is}");
            checker.notes.wrong_but(&at.value(word), message, hint);
        }
        free
    }
}

impl Keys for Free {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::Busy(name) => line.key("busy", name),
            Self::Hold(name) => line.key("hold", name),
        }
    }
}
