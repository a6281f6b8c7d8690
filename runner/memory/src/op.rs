// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done to a guest's memory.

use serde::{Deserialize, Serialize};

use super::{AutoOnline, BlockId, Dimm, OnlineKind};

/// One thing done to a guest, that succeeded (but for [`Op::Nothing`] and [`Op::UnplugRefused`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Memory blocks are added.
    Add {
        /// The blocks that it makes; empty for a DIMM that the kernel does not take (its size is no multiple of the block
        /// size): the hypervisor then still shows the DIMM.
        blocks: Vec<BlockId>,
        /// How.
        by: AddBy,
    },
    /// Memory blocks are removed. A DIMM's blocks that are online are put offline first, by the kernel.
    Remove {
        /// The blocks that go; for a DIMM that made no blocks, empty.
        blocks: Vec<BlockId>,
        /// How.
        by: RemoveBy,
    },
    /// A block is put online.
    Online {
        /// The block.
        block: BlockId,
        /// The word written; [`OnlineKind::Default`] if `via_online_file`.
        kind: OnlineKind,
        /// Written `1` to the file `online`, not a word to `state`.
        via_online_file: bool,
    },
    /// A block is put offline.
    Offline {
        /// The block.
        block: BlockId,
        /// Written `0` to the file `online`, not a word to `state`.
        via_online_file: bool,
    },
    /// `auto_online_blocks` is written.
    SetAutoOnline(AutoOnline),
    /// `/sys/firmware/memory/memoryN/memmap_on_memory` is written (s390 G2).
    SetMemmapOnMemory {
        /// The block.
        block: BlockId,
        /// The value.
        on: bool,
    },
    /// s390: from here on the hypervisor takes no storage back, or does again. The kernel passes over that
    /// (`sclp_mem_change_state`, drivers/s390/char/sclp_cmd.c, 6.1 and 6.12; sclp_mem.c, 7.2).
    KeepStorage(bool),
    /// x86: the unplug of a DIMM was refused, because some of its blocks could not go offline. Those that could come back
    /// online by the policy, not to their former zone.
    UnplugRefused {
        /// The DIMM's blocks.
        blocks: Vec<BlockId>,
        /// Those that could not go offline; [`super::Model::unplug_refused`] finds them.
        busy: Vec<BlockId>,
    },
    /// An operation that was refused, or that only reads: nothing may change.
    Nothing,
    /// Several in order, observed once at the end.
    Several(Vec<Op>),
}

/// The ways memory is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddBy {
    /// x86: a pc-dimm is plugged; one `add_memory` call for all its blocks.
    Dimm {
        /// QEMU's id of the device.
        id: String,
        /// Where and how large.
        dimm: Dimm,
    },
    /// s390 G2: `1` written to `config` of each block; one `add_memory` call a block.
    Configure,
    /// x86: the address of each block written to `probe`; one `add_memory` call a block.
    Probe,
    /// s390 G0, G1: the blocks are there since boot; nothing is executed.
    AtBoot,
}

/// The ways memory is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoveBy {
    /// x86: the pc-dimm is unplugged.
    Dimm {
        /// QEMU's id of the device.
        id: String,
    },
    /// s390 G2: `0` written to `config` of each block.
    Deconfigure,
    /// s390 G0, G1: nothing is executed.
    Never,
}

impl Op {
    /// Number of block-sized steps in it, by which the tolerance of the free pages grows; at least 1.
    pub(crate) fn weight(&self) -> u32 {
        match self {
            Self::Add { blocks, .. } | Self::Remove { blocks, .. } | Self::UnplugRefused { blocks, .. } => {
                (blocks.len() as u32).max(1)
            }
            Self::Several(ops) => ops.iter().map(Self::weight).sum::<u32>().max(1),
            _ => 1,
        }
    }
}
