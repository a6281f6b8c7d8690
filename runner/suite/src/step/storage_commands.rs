// SPDX-License-Identifier: MIT OR Apache-2.0
//! `storage_commands`: looks at the storage commands that QEMU saw.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot};

/// Looks at the storage commands since the last step that acts.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StorageCommands")]
pub(crate) struct RawStorageCommands {
    /// One for each increment of `block` in ascending order and nothing else; none at all; or any, all of which changed something.
    pub(crate) are: StorageCommand,
    /// Which blocks; not with `none` and `done`. They may be removed by now.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
}

/// Storage commands of the SCLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageCommand {
    /// ASSIGN STORAGE
    Assign,
    /// UNASSIGN STORAGE
    Unassign,
    /// Neither.
    None,
    /// Any, and QEMU did what each of them asks for: it refused none, and none asked for what was so.
    Done,
}

/// The storage commands that QEMU saw since the last step that acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageCommands {
    /// None.
    None,
    /// Any, and each was answered with [`format::standby::DONE`].
    Done,
    /// One ASSIGN for every increment of the blocks, in ascending order, and nothing else.
    Assign(BlockRef),
    /// One UNASSIGN for every increment of the blocks, in ascending order, and nothing else.
    Unassign(BlockRef),
}

impl Word for RawStorageCommands {
    type Step = StorageCommands;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> StorageCommands {
        checker.s390x("`storage_commands` looks at standby memory", at);
        match (self.are, &self.block) {
            (StorageCommand::None, None) => StorageCommands::None,
            (StorageCommand::Done, None) => StorageCommands::Done,
            (StorageCommand::None | StorageCommand::Done, Some(_)) => {
                let word = match self.are {
                    StorageCommand::Done => "done",
                    _ => "none",
                };
                checker
                    .notes
                    .wrong(&at.key("block"), format!("`are: {word}` is about no block"));
                StorageCommands::None
            }
            (_, None) => {
                checker
                    .notes
                    .wrong(at, "the key `block` is missing: the commands of which blocks?");
                StorageCommands::None
            }
            (are, Some(block)) => {
                checker.uses(block, Use::Past, &at.value("block"));
                match are {
                    StorageCommand::Assign => StorageCommands::Assign(block.clone()),
                    _ => StorageCommands::Unassign(block.clone()),
                }
            }
        }
    }
}

impl Keys for StorageCommands {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        let (word, block) = match self {
            Self::None => return line.key("are", "none"),
            Self::Done => return line.key("are", "done"),
            Self::Assign(block) => ("assign", block),
            Self::Unassign(block) => ("unassign", block),
        };
        line.key("are", word)?;
        line.key("block", block)
    }
}
