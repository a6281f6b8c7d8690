// SPDX-License-Identifier: MIT OR Apache-2.0
//! `remove`: takes blocks out of the guest.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::{Named, State, Use},
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{
    names::{BlockName, BlockRef},
    places::Spot,
    text,
};
use base::Errno;

/// Takes blocks out of the guest: all that the name covers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// What `add` called them.
    pub block: BlockName,
    /// The errno it must fail with. On x86_64 EBUSY means that the guest answers the ejection with _OST status 0x82 and the DIMM
    /// stays; the blocks then are as they were before. On s390x G2 it is the errno of the write.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

impl Word for Remove {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        let spot = at.value("block");
        let all = BlockRef {
            name: self.block.clone(),
            index: None,
        };
        if let Some(Named { times: 2.., .. }) = checker.names.get(&self.block)
            && self.fails.is_some()
        {
            let message = format_args!(
                "`{}` was added several times: which of them must stay?",
                self.block
            );
            let hint = Some("add the one that must stay by a name of its own".to_owned());
            checker.notes.wrong_but(&at.key("fails"), message, hint);
        }
        let refused = checker
            .names
            .get(&self.block)
            .is_some_and(|named| named.state == State::Refused);
        if (refused || checker.uses(&all, Use::There, &spot)) && self.fails.is_none() {
            checker.becomes(&self.block, State::Removed, at);
        }
        self.clone()
    }
}

impl Keys for Remove {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.some("fails", self.fails.as_ref())
    }
}
