// SPDX-License-Identifier: MIT OR Apache-2.0
//! `storage`: writes a file of `/sys/firmware/memory/memoryN` as it is; s390x G2.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::{State, Use},
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot, text};
use base::{ByteSize, Errno};
use memory::{Attribute, BlockId, Op};

/// Writes a file of /sys/firmware/memory/memoryN. Exactly one of `config` and `memmap_on_memory`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Storage")]
pub(crate) struct RawStorage {
    /// Which blocks.
    pub(crate) block: BlockRef,
    /// What is written to `config`.
    #[serde(default)]
    pub(crate) config: Option<String>,
    /// What is written to `memmap_on_memory`.
    #[serde(default)]
    pub(crate) memmap_on_memory: Option<String>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
}

/// Writes one file of `/sys/firmware/memory/memoryN`; s390x G2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Which blocks.
    pub block: BlockRef,
    /// Which file.
    pub file: StorageFile,
    /// What is written, as it is.
    pub value: String,
    /// The error that the write must return.
    pub fails: Option<Errno>,
}

/// A file of `/sys/firmware/memory/memoryN` (drivers/s390/char/sclp_mem.c of 6.19 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageFile {
    /// `config`
    Config,
    /// `memmap_on_memory`
    MemmapOnMemory,
}

impl StorageFile {
    /// The file of one block.
    pub fn attribute(self, block: BlockId) -> Attribute {
        match self {
            Self::Config => Attribute::Config(block),
            Self::MemmapOnMemory => Attribute::MemmapOnMemory(block),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::MemmapOnMemory => "memmap_on_memory",
        }
    }
}

impl Word for RawStorage {
    type Step = Storage;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Storage {
        checker.g2("`storage` writes to /sys/firmware/memory", at);
        let good = checker.uses(&self.block, Use::Standby, &at.value("block"));
        let (file, value) = match (&self.config, &self.memmap_on_memory) {
            (Some(value), None) => (StorageFile::Config, value),
            (None, Some(value)) => (StorageFile::MemmapOnMemory, value),
            _ => {
                checker
                    .notes
                    .wrong(at, "expected exactly one of `config` and `memmap_on_memory`");
                return Storage {
                    block: self.block.clone(),
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
            && self.fails.is_none()
            && self.block.index.is_none()
        {
            checker.becomes(&self.block.name, state, at);
        }
        Storage {
            block: self.block.clone(),
            file,
            value: value.clone(),
            fails: self.fails,
        }
    }
}

impl Keys for Storage {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("block", &self.block)?;
        line.text(self.file.name(), &self.value)?;
        line.some("fails", self.fails.as_ref())
    }
}
