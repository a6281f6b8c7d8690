// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the blocks that a step names are there at that point of the case.

use super::checker::Checker;
use crate::{
    error::near,
    names::{BlockName, BlockRef},
    places::Spot,
};

/// What is known of the blocks of a name at one point of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// They are there.
    Added,
    /// A standby block that is not configured.
    Deconfigured,
    /// The DIMM is plugged, but the kernel has refused it.
    Refused,
    /// They were there.
    Removed,
    /// Adding them failed.
    Failed,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) state: State,
    /// How many blocks; `None` where the size is in bytes.
    pub(super) blocks: Option<u32>,
    /// How many DIMMs, or runs of standby blocks.
    pub(super) times: u32,
    /// Line of the step that led to the state.
    pub(super) line: usize,
}

/// What a step does with blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// They must be there.
    There,
    /// They must have a directory in /sys/firmware/memory.
    Standby,
    /// It only asks what happened to them.
    Past,
}

impl Checker<'_, '_, '_> {
    /// From here on the blocks of a name are so.
    pub(super) fn becomes(&mut self, name: &BlockName, state: State, at: &Spot<'_>) {
        let line = self.notes.line(at);
        if let Some(named) = self.names.get_mut(name) {
            *named = Named {
                state,
                line,
                ..*named
            };
        }
    }

    /// Whether the blocks can be used so; if not, it is noted.
    pub(super) fn uses(&mut self, block: &BlockRef, how: Use, at: &Spot<'_>) -> bool {
        if block.name.is_boot() {
            return self.uses_boot(block, how, at);
        }
        let Some(Named {
            state, blocks, line, ..
        }) = self.names.get(&block.name).copied()
        else {
            let known: Vec<_> = self.names.keys().map(BlockName::as_str).collect();
            let hint = near(block.name.as_str(), known)
                .or_else(|| Some(format!("add it first: `- add: {{ as: {} }}`", block.name)));
            self.notes.wrong_but(
                at,
                format_args!("no step before this one adds `{}`", block.name),
                hint,
            );
            return false;
        };
        if let (Some(index), Some(blocks)) = (block.index, blocks)
            && index >= blocks
        {
            let last = blocks.saturating_sub(1);
            let hint = Some(format!(
                "the last one is `{}.{last}`; more are added by `blocks:` in line {line}",
                block.name
            ));
            self.notes
                .wrong_but(at, format_args!("`{}` has no block {index}", block.name), hint);
            return false;
        }
        let (what, hint) = match (state, how) {
            (State::Added, _)
            | (State::Deconfigured, Use::Standby | Use::Past)
            | (State::Removed, Use::Past) => {
                return true;
            }
            (State::Deconfigured, Use::There) => ("deconfigured", "configure it first"),
            (State::Removed, _) => ("removed", "add it again first"),
            (State::Refused, _) => (
                "refused by the kernel",
                "it has no blocks; it can only be removed",
            ),
            (State::Failed, _) => ("expected to fail when it is added", "it has no blocks"),
        };
        let message = format_args!(
            "`{}` is not there any more: it is {what} in line {line}",
            block.name
        )
        .to_string();
        let message = if matches!(state, State::Refused | State::Failed) {
            format!("`{}` is not there: it is {what} in line {line}", block.name)
        } else {
            message
        };
        self.notes.wrong_but(at, message, Some(hint.to_owned()));
        false
    }

    /// A block of the memory at boot is always there; how many there are only the guest knows.
    fn uses_boot(&mut self, block: &BlockRef, how: Use, at: &Spot<'_>) -> bool {
        let (message, hint) = match (block.index, how) {
            (Some(_), Use::There | Use::Past) => return true,
            (Some(_), Use::Standby) => ("the memory at boot is no standby memory", None),
            (None, _) => (
                "`boot` is all of the memory at boot",
                Some("name one block of it: `boot.3` is memory3".to_owned()),
            ),
        };
        self.notes.wrong_but(at, message, hint);
        false
    }
}
