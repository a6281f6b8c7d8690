// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the blocks that a step names are there at that point of the case, and what the step makes of them.

use super::{
    check_steps::Checker,
    error::near,
    limits,
    names::{BlockName, BlockRef},
    places::Spot,
    raw_step::{Configure, Deconfigure, RawAdd, RawStorage, Remove},
    step::{Add, AddResult, Extent, Storage, StorageFile},
};
use base::ByteSize;
use memory::{BlockId, Op};

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

#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    state: State,
    /// How many blocks; `None` where the size is in bytes.
    blocks: Option<u32>,
    /// How many DIMMs, or runs of standby blocks.
    times: u32,
    /// Line of the step that led to the state.
    line: usize,
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
    pub(super) fn add(&mut self, raw: &RawAdd, at: &Spot<'_>) -> Add {
        for (key, there) in [
            ("size", raw.size.is_some()),
            ("address", raw.address.is_some()),
            ("node", raw.node.is_some()),
            ("refused", raw.refused.is_some()),
            ("rejected", raw.rejected.is_some()),
        ] {
            if there {
                self.x86_64(format_args!("`{key}` is about DIMMs"), &at.key(key));
            }
        }
        for (key, there) in [
            ("memmap_on_memory", raw.memmap_on_memory.is_some()),
            ("fails", raw.fails.is_some()),
        ] {
            if there {
                self.g2(
                    format_args!("`{key}` is about /sys/firmware/memory"),
                    &at.key(key),
                );
            }
        }
        if raw.size.is_some() && raw.blocks.is_some() {
            self.notes
                .wrong(&at.key("blocks"), "`size` and `blocks` exclude each other");
        }
        if raw.size.is_some_and(|size| size.as_bytes() == 0) || raw.blocks == Some(0) {
            let key = if raw.blocks.is_some() { "blocks" } else { "size" };
            self.notes.wrong(&at.value(key), "nothing would be added");
        }
        if let Some(node) = raw.node.filter(|node| *node >= self.nodes) {
            let hint = match node {
                0..limits::NODES => format!("say `machine: {{ nodes: {} }}`", node + 1),
                _ => format!("a machine has up to {}, the first of which is 0", limits::NODES),
            };
            let hint = Some(hint);
            let message = format_args!("the machine has no node {node}: it has {}", self.nodes);
            self.notes.wrong_but(&at.value("node"), message, hint);
        }
        if raw.rejected.as_ref().is_some_and(|text| text.trim().is_empty()) {
            let hint = "such as `rejected: not enough space`; the empty text is in every error";
            self.notes.wrong_but(
                &at.value("rejected"),
                "what QEMU says is empty",
                Some(hint.to_owned()),
            );
        }
        let results = [
            ("fails", raw.fails.map(AddResult::Fails)),
            (
                "refused",
                raw.refused.filter(|refused| *refused).map(|_| AddResult::Refused),
            ),
            ("rejected", raw.rejected.clone().map(AddResult::Rejected)),
        ];
        let mut results = results
            .into_iter()
            .filter_map(|(key, result)| Some((key, result?)));
        let (first, result) = results.next().unwrap_or(("", AddResult::Added));
        for (key, _) in results {
            self.notes.wrong(
                &at.key(key),
                format_args!("`{first}` and `{key}` exclude each other"),
            );
        }
        limits::check(
            &[
                ("blocks", raw.blocks, limits::BLOCKS),
                ("times", raw.times, limits::INCREMENTS),
            ],
            at,
            self.notes,
        );
        if let Some(size) = raw.size.filter(|size| *size > limits::MEMORY) {
            let message = format_args!("{size} is more than the {} that Linux addresses", limits::MEMORY);
            self.notes.wrong(&at.value("size"), message);
        }
        if let Some(address) = raw.address
            && address.as_bytes() >= limits::ADDRESS.as_bytes()
        {
            let message = format_args!("no memory can be at {address}: x86_64 has addresses of 52 bits");
            self.notes.wrong(&at.value("address"), message);
        }
        let times = raw.times.unwrap_or(1);
        if times == 0 {
            self.notes.wrong(&at.value("times"), "nothing would be added");
        }
        if times > 1 {
            if raw.address.is_some() {
                self.notes
                    .wrong(&at.key("address"), "several DIMMs cannot be at one address");
            }
            if !first.is_empty() {
                let message = format_args!("`{first}` is about one, and `times` adds {times}");
                let hint = "add those that must be there first, and then the one that must not";
                self.notes
                    .wrong_but(&at.key(first), message, Some(hint.to_owned()));
            }
        }
        if raw.name.is_boot() {
            let hint = Some("take another name: `boot.3` is memory3, with which the guest booted".to_owned());
            self.notes
                .wrong_but(&at.value("as"), "`boot` is the memory at boot", hint);
        }
        let extent = match raw.size {
            Some(size) => Extent::Size(size),
            None => Extent::Blocks(raw.blocks.unwrap_or(1)),
        };
        let state = match &result {
            AddResult::Added => State::Added,
            AddResult::Refused => State::Refused,
            AddResult::Fails(_) | AddResult::Rejected(_) => State::Failed,
        };
        if let Some(Named {
            state: State::Added | State::Deconfigured | State::Refused,
            line,
            ..
        }) = self.names.get(&raw.name)
        {
            let hint = Some(format!(
                "it was added in line {line}; remove it first, or take another name"
            ));
            self.notes.wrong_but(
                &at.value("as"),
                format_args!("`{}` is added already", raw.name),
                hint,
            );
        }
        let blocks = if let Extent::Blocks(blocks) = extent {
            Some(blocks.saturating_mul(times))
        } else {
            None
        };
        let line = self.notes.line(at);
        let named = Named {
            state,
            blocks,
            times,
            line,
        };
        self.names.insert(raw.name.clone(), named);
        Add {
            name: raw.name.clone(),
            extent,
            times,
            address: raw.address,
            node: raw.node,
            memmap_on_memory: raw.memmap_on_memory,
            result,
        }
    }

    pub(super) fn remove(&mut self, remove: &Remove, at: &Spot<'_>) {
        let spot = at.value("block");
        let all = BlockRef {
            name: remove.block.clone(),
            index: None,
        };
        if let Some(Named { times: 2.., .. }) = self.names.get(&remove.block)
            && remove.fails.is_some()
        {
            let message = format_args!(
                "`{}` was added several times: which of them must stay?",
                remove.block
            );
            let hint = Some("add the one that must stay by a name of its own".to_owned());
            self.notes.wrong_but(&at.key("fails"), message, hint);
        }
        let refused = self
            .names
            .get(&remove.block)
            .is_some_and(|named| named.state == State::Refused);
        if (refused || self.uses(&all, Use::There, &spot)) && remove.fails.is_none() {
            self.becomes(&remove.block, State::Removed, at);
        }
    }

    fn becomes(&mut self, name: &BlockName, state: State, at: &Spot<'_>) {
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

    pub(super) fn configure(&mut self, configure: &Configure, at: &Spot<'_>) {
        self.g2("`configure` writes to /sys/firmware/memory", at);
        let good = self.uses(&configure.block, Use::Standby, &at.value("block"));
        if good && configure.fails.is_none() && configure.block.index.is_none() {
            self.becomes(&configure.block.name, State::Added, at);
        }
    }

    pub(super) fn deconfigure(&mut self, deconfigure: &Deconfigure, at: &Spot<'_>) {
        self.g2("`deconfigure` writes to /sys/firmware/memory", at);
        let good = self.uses(&deconfigure.block, Use::Standby, &at.value("block"));
        if good && deconfigure.fails.is_none() && deconfigure.block.index.is_none() {
            self.becomes(&deconfigure.block.name, State::Deconfigured, at);
        }
    }

    pub(super) fn storage(&mut self, raw: &RawStorage, at: &Spot<'_>) -> Storage {
        self.g2("`storage` writes to /sys/firmware/memory", at);
        let good = self.uses(&raw.block, Use::Standby, &at.value("block"));
        let (file, value) = match (&raw.config, &raw.memmap_on_memory) {
            (Some(value), None) => (StorageFile::Config, value),
            (None, Some(value)) => (StorageFile::MemmapOnMemory, value),
            _ => {
                self.notes
                    .wrong(at, "expected exactly one of `config` and `memmap_on_memory`");
                return Storage {
                    block: raw.block.clone(),
                    file: StorageFile::Config,
                    value: String::new(),
                    fails: None,
                };
            }
        };
        // Of whatever number the block is, and whatever size, a value asks for the same.
        let state = match file.attribute(BlockId(0)).asks(value, ByteSize::mib(1)) {
            Some(Op::Add { .. }) => Some(State::Added),
            Some(Op::Remove { .. }) => Some(State::Deconfigured),
            _ => None,
        };
        if let Some(state) = state
            && good
            && raw.fails.is_none()
            && raw.block.index.is_none()
        {
            self.becomes(&raw.block.name, state, at);
        }
        Storage {
            block: raw.block.clone(),
            file,
            value: value.clone(),
            fails: raw.fails,
        }
    }
}
