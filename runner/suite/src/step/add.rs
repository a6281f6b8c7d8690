// SPDX-License-Identifier: MIT OR Apache-2.0
//! `add`: brings memory blocks into the guest.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::{Named, State},
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{address::Address, limits, names::BlockName, places::Spot, text};
use base::{ByteSize, Errno};

/// Brings memory blocks into the guest.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Add")]
pub(crate) struct RawAdd {
    /// What later steps call the blocks.
    #[serde(rename = "as")]
    pub(crate) name: BlockName,
    /// Size of the DIMM, where it is not a number of blocks; x86_64. Not together with `blocks`.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) size: Option<ByteSize>,
    /// How many memory blocks of the running kernel. Default 1; up to 524288.
    #[serde(default)]
    pub(crate) blocks: Option<u32>,
    /// How often: so many DIMMs, or runs of standby blocks, under one name. `b.0` is the first block of the first. Default 1; up to 1020.
    #[serde(default)]
    pub(crate) times: Option<u32>,
    /// Where the DIMM is, in bytes from the start of the guest's memory; x86_64. Default: QEMU's choice.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) address: Option<Address>,
    /// NUMA node of the DIMM; x86_64.
    #[serde(default)]
    pub(crate) node: Option<u32>,
    /// Whether the memmap is asked to be in the block; s390x G2. Default: as the kernel has it.
    #[serde(default)]
    pub(crate) memmap_on_memory: Option<bool>,
    /// The errno that configuring must return; s390x G2.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
    /// The guest's kernel refuses the DIMM: no block appears; x86_64.
    #[serde(default)]
    pub(crate) refused: Option<bool>,
    /// QEMU refuses the DIMM with an error that contains this text, which is not empty; x86_64.
    #[serde(default)]
    pub(crate) rejected: Option<String>,
}

/// Adds blocks: x86_64 plugs a DIMM; s390x takes the next free standby blocks, and G2 configures them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What later steps call them.
    pub name: BlockName,
    /// How much.
    pub extent: Extent,
    /// How often, at least 1.
    pub times: u32,
    /// Where the DIMM is; x86_64. QEMU's choice where it is `None`.
    pub address: Option<Address>,
    /// NUMA node of the DIMM; x86_64.
    pub node: Option<u32>,
    /// Whether the memmap is asked to be in the block; s390x G2. The kernel's own default where it is `None`.
    pub memmap_on_memory: Option<bool>,
    /// What comes of it.
    pub result: AddResult,
}

/// How much memory an `add` brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many memory blocks of the running kernel, at least 1.
    Blocks(u32),
    /// So many bytes; x86_64.
    Size(ByteSize),
}

/// What comes of an `add`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddResult {
    /// The blocks appear.
    Added,
    /// Writing `config` fails; s390x G2.
    Fails(Errno),
    /// QEMU plugs the DIMM, the guest's kernel refuses it, and no block appears; x86_64.
    Refused,
    /// QEMU itself refuses, with an error that contains this text; x86_64.
    Rejected(String),
}

impl Word for RawAdd {
    type Step = Add;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Add {
        for (key, there) in [
            ("size", self.size.is_some()),
            ("address", self.address.is_some()),
            ("node", self.node.is_some()),
            ("refused", self.refused.is_some()),
            ("rejected", self.rejected.is_some()),
        ] {
            if there {
                checker.x86_64(format_args!("`{key}` is about DIMMs"), &at.key(key));
            }
        }
        for (key, there) in [
            ("memmap_on_memory", self.memmap_on_memory.is_some()),
            ("fails", self.fails.is_some()),
        ] {
            if there {
                checker.g2(
                    format_args!("`{key}` is about /sys/firmware/memory"),
                    &at.key(key),
                );
            }
        }
        if self.size.is_some() && self.blocks.is_some() {
            checker
                .notes
                .wrong(&at.key("blocks"), "`size` and `blocks` exclude each other");
        }
        if self.size.is_some_and(|size| size.as_bytes() == 0) || self.blocks == Some(0) {
            let key = if self.blocks.is_some() { "blocks" } else { "size" };
            checker.notes.wrong(&at.value(key), "nothing would be added");
        }
        if let Some(node) = self.node.filter(|node| *node >= checker.machine.nodes) {
            let hint = match node {
                0..limits::NODES => format!("say `machine: {{ nodes: {} }}`", node + 1),
                _ => format!("a machine has up to {}, the first of which is 0", limits::NODES),
            };
            let hint = Some(hint);
            let message = format_args!("the machine has no node {node}: it has {}", checker.machine.nodes);
            checker.notes.wrong_but(&at.value("node"), message, hint);
        }
        if self.rejected.as_ref().is_some_and(|text| text.trim().is_empty()) {
            let hint = "such as `rejected: not enough space`; the empty text is in every error";
            checker.notes.wrong_but(
                &at.value("rejected"),
                "what QEMU says is empty",
                Some(hint.to_owned()),
            );
        }
        let results = [
            ("fails", self.fails.map(AddResult::Fails)),
            (
                "refused",
                self.refused
                    .filter(|refused| *refused)
                    .map(|_| AddResult::Refused),
            ),
            ("rejected", self.rejected.clone().map(AddResult::Rejected)),
        ];
        let mut results = results
            .into_iter()
            .filter_map(|(key, result)| Some((key, result?)));
        let (first, result) = results.next().unwrap_or(("", AddResult::Added));
        for (key, _) in results {
            checker.notes.wrong(
                &at.key(key),
                format_args!("`{first}` and `{key}` exclude each other"),
            );
        }
        limits::check(
            &[
                ("blocks", self.blocks, limits::BLOCKS),
                ("times", self.times, limits::INCREMENTS),
            ],
            at,
            checker.notes,
        );
        if let Some(size) = self.size.filter(|size| *size > limits::MEMORY) {
            let message = format_args!("{size} is more than the {} that Linux addresses", limits::MEMORY);
            checker.notes.wrong(&at.value("size"), message);
        }
        if let Some(address) = self.address
            && address.as_bytes() >= limits::ADDRESS.as_bytes()
        {
            let message = format_args!("no memory can be at {address}: x86_64 has addresses of 52 bits");
            checker.notes.wrong(&at.value("address"), message);
        }
        let times = self.times.unwrap_or(1);
        if times == 0 {
            checker.notes.wrong(&at.value("times"), "nothing would be added");
        }
        if times > 1 {
            if self.address.is_some() {
                checker
                    .notes
                    .wrong(&at.key("address"), "several DIMMs cannot be at one address");
            }
            if !first.is_empty() {
                let message = format_args!("`{first}` is about one, and `times` adds {times}");
                let hint = "add those that must be there first, and then the one that must not";
                checker
                    .notes
                    .wrong_but(&at.key(first), message, Some(hint.to_owned()));
            }
        }
        if self.name.is_boot() {
            let hint = Some("take another name: `boot.3` is memory3, with which the guest booted".to_owned());
            checker
                .notes
                .wrong_but(&at.value("as"), "`boot` is the memory at boot", hint);
        }
        let extent = match self.size {
            Some(size) => Extent::Size(size),
            None => Extent::Blocks(self.blocks.unwrap_or(1)),
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
        }) = checker.names.get(&self.name)
        {
            let hint = Some(format!(
                "it was added in line {line}; remove it first, or take another name"
            ));
            checker.notes.wrong_but(
                &at.value("as"),
                format_args!("`{}` is added already", self.name),
                hint,
            );
        }
        let blocks = if let Extent::Blocks(blocks) = extent {
            Some(blocks.saturating_mul(times))
        } else {
            None
        };
        let line = checker.notes.line(at);
        let named = Named {
            state,
            blocks,
            times,
            line,
        };
        checker.names.insert(self.name.clone(), named);
        Add {
            name: self.name.clone(),
            extent,
            times,
            address: self.address,
            node: self.node,
            memmap_on_memory: self.memmap_on_memory,
            result,
        }
    }
}

impl Keys for Add {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("as", &self.name)?;
        match self.extent {
            Extent::Blocks(1) => {}
            Extent::Blocks(blocks) => line.key("blocks", blocks)?,
            Extent::Size(size) => line.key("size", size)?,
        }
        if self.times != 1 {
            line.key("times", self.times)?;
        }
        line.some("address", self.address.as_ref())?;
        line.some("node", self.node.as_ref())?;
        line.some("memmap_on_memory", self.memmap_on_memory.as_ref())?;
        match &self.result {
            AddResult::Added => Ok(()),
            AddResult::Fails(errno) => line.key("fails", errno),
            AddResult::Refused => line.key("refused", true),
            AddResult::Rejected(text) => line.text("rejected", text),
        }
    }
}
