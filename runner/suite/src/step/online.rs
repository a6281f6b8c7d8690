// SPDX-License-Identifier: MIT OR Apache-2.0
//! `online`: switches blocks on.

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
    names::BlockRef,
    places::Spot,
    text,
    words::{Via, ZoneChoice},
};
use base::Errno;

/// Switches blocks on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Online {
    /// Which.
    pub block: BlockRef,
    /// In which zone. Default: the kernel's choice.
    #[serde(default)]
    pub zone: Option<ZoneChoice>,
    /// Through which file. Default `state`.
    #[serde(default)]
    pub via: Option<Via>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

impl Word for Online {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.uses(&self.block, Use::There, &at.value("block"));
        if self.via == Some(Via::Online)
            && let Some(zone @ (ZoneChoice::Kernel | ZoneChoice::Movable)) = self.zone
        {
            let message =
                format!("the file `online` takes no zone, so that `zone: {zone}` cannot be asked for");
            let hint = Some("leave out `via: online`".to_owned());
            checker.notes.wrong_but(&at.value("zone"), message, hint);
        }
        self.clone()
    }
}

impl Keys for Online {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.some("zone", self.zone.as_ref())?;
        line.some("via", self.via.as_ref())?;
        line.some("fails", self.fails.as_ref())
    }
}
