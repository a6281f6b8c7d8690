// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger: all counters of a guest's memory at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{AddBy, AutoOnline, BlockId, BlockState, Generation, MemoryFacts, Op, RemoveBy, Zone, ZoneId};
use base::{ByteSize, Pages};

/// What a guest has in [`LEDGER_FILE`]: prints what [`Ledger::parse`] reads.
pub const LEDGER: &str = include_str!("../../../guest-images/rootfs/ledger");

/// Where a guest has [`LEDGER`], from its root.
pub const LEDGER_FILE: &str = "bin/memrig-ledger";

/// The shell script that runs [`LEDGER`]. A shell that reads it from its own file system is spared having it sent.
pub const LEDGER_SCRIPT: &str = ". /bin/memrig-ledger";

/// What [`LEDGER_SCRIPT`] prints last.
pub const LEDGER_END: &str = "\nend:\n";

/// Counters of one zone, from `/proc/zoneinfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ZoneCounters {
    /// First page frame; 0 while the zone spans nothing.
    pub start_pfn: u64,
    /// Pages from the first to the last.
    pub spanned: Pages,
    /// Those that are memory.
    pub present: Pages,
    /// Those that the page allocator has.
    pub managed: Pages,
}

impl ZoneCounters {
    /// The page frames that the zone spans.
    pub(crate) fn span(&self) -> std::ops::Range<u64> {
        self.start_pfn..self.start_pfn + self.spanned.0.unsigned_abs()
    }
}

/// What sysfs says about one memory block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLedger {
    /// `state`.
    pub state: BlockState,
    /// `online`.
    pub online: bool,
    /// `valid_zones`: of an online block its zone; of an offline block first the default zone, then the others that it
    /// could go to. Empty for `none` (several zones) and where the kernel has no such file.
    pub valid_zones: Vec<Zone>,
    /// `removable`.
    pub removable: bool,
    /// `phys_index`.
    pub phys_index: u64,
    /// `phys_device`.
    pub phys_device: u64,
    /// NUMA node, from the link `nodeM`; 0 without NUMA.
    pub node: u32,
}

impl BlockLedger {
    /// The zone of an online block; `None` if it is not online or lies in several zones.
    pub fn zone(&self) -> Option<ZoneId> {
        match (self.state, self.valid_zones.as_slice()) {
            (BlockState::Online, [zone]) => Some(ZoneId {
                node: self.node,
                zone: *zone,
            }),
            _ => None,
        }
    }

    /// `valid_zones` as the kernel prints it.
    pub(crate) fn valid_zones_text(&self) -> String {
        if self.valid_zones.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self.valid_zones.iter().map(|zone| zone.name()).collect();
        names.join(" ")
    }
}

/// What `/sys/firmware/memory` says about one block (s390 G2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// `config`.
    pub configured: bool,
    /// `memmap_on_memory`.
    pub memmap_on_memory: bool,
}

/// A top-level `System RAM` range of `/proc/iomem` (also `System RAM (kmem)` below a device).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RamRange {
    /// First address.
    pub start: u64,
    /// Last address (inclusive, as the kernel prints it).
    pub last: u64,
    /// Its name there.
    pub name: String,
}

/// A pc-dimm, as QMP `query-memory-devices` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimm {
    /// First physical address.
    pub address: u64,
    /// Size.
    pub size: ByteSize,
    /// Slot.
    pub slot: u32,
    /// NUMA node.
    pub node: u32,
}

impl fmt::Display for Dimm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {:#x}, slot {}, node {}",
            self.size, self.address, self.slot, self.node
        )
    }
}

/// What the hypervisor has handed out; observed outside of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hypervisor {
    /// s390: storage increments by number (increment n starts at (n - 1) times the increment size).
    Standby {
        /// Standby increments that are assigned.
        assigned: BTreeSet<u32>,
        /// Core increments that the guest has given back.
        unassigned_core: BTreeSet<u32>,
    },
    /// x86: plugged DIMMs by QEMU's id.
    Dimms(BTreeMap<String, Dimm>),
}

/// All counters of a guest's memory at one moment. Records have it: a field that is new needs a default, for those without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// `MemTotal`.
    pub mem_total: Pages,
    /// Free pages by the exact meter: `nr_free_pages` and every per-CPU `count:` of all zones.
    pub free: Pages,
    /// Zones that `/proc/zoneinfo` lists, empty ones included.
    pub zones: BTreeMap<ZoneId, ZoneCounters>,
    /// `nr_memmap_pages`: memmap of hot-added memory, wherever it lies (from 6.11 on).
    pub nr_memmap: Option<Pages>,
    /// `nr_memmap_boot_pages` (from 6.11 on).
    pub nr_memmap_boot: Option<Pages>,
    /// Memory blocks.
    pub blocks: BTreeMap<BlockId, BlockLedger>,
    /// `/sys/firmware/memory`; empty if not there.
    pub storage: BTreeMap<BlockId, Storage>,
    /// `System RAM` in `/proc/iomem`, in order.
    pub ram: Vec<RamRange>,
    /// `auto_online_blocks`.
    pub auto_online: AutoOnline,
    /// Pageblocks of type Isolate in `/proc/pagetypeinfo`; 0 after every operation.
    pub isolated: u64,
    /// `/proc/sys/kernel/tainted`.
    pub tainted: u64,
    /// What the hypervisor has handed out.
    pub hypervisor: Hypervisor,
}

/// Why the output of [`LEDGER_SCRIPT`] is no ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A section is not there, or is empty.
    #[error("the guest's ledger has no `{0}`")]
    Missing(String),
    /// A line does not read.
    #[error("line {line} of the guest's ledger ({section}): `{text}`: {why}")]
    Line {
        /// Which section.
        section: String,
        /// Line number from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// The output ends before its last line, `end:`.
    #[error("the guest's ledger is cut off after line {lines}")]
    CutOff {
        /// Lines that are there.
        lines: usize,
    },
}

impl Ledger {
    /// Reads the output of [`LEDGER_SCRIPT`]; `hypervisor` is what QEMU says at the same time.
    ///
    /// # Errors
    /// A line does not read, something that every kernel shows is missing, or the output is cut off.
    pub fn parse(text: &str, hypervisor: Hypervisor) -> Result<Self, LedgerError> {
        super::read::ledger(text, hypervisor)
    }

    /// Whether what a write asks for is so already, so that taking it changes nothing.
    pub fn has(&self, op: &Op) -> bool {
        let state = |block: &BlockId, state| self.blocks.get(block).is_some_and(|is| is.state == state);
        let configured = |blocks: &[BlockId], on| {
            let is = |block: &BlockId| self.storage.get(block).is_none_or(|is| is.configured == on);
            blocks.iter().all(is)
        };
        match op {
            Op::Online { block, .. } => state(block, BlockState::Online),
            Op::Offline { block, .. } => state(block, BlockState::Offline),
            Op::SetAutoOnline(policy) => self.auto_online == *policy,
            Op::SetMemmapOnMemory { block, on } => self
                .storage
                .get(block)
                .is_some_and(|is| is.memmap_on_memory == *on),
            Op::Add {
                blocks,
                by: AddBy::Configure,
            } => configured(blocks, true),
            Op::Remove {
                blocks,
                by: RemoveBy::Deconfigure,
            } => configured(blocks, false),
            Op::Nothing => true,
            Op::Several(ops) => ops.iter().all(|op| self.has(op)),
            Op::Add { .. } | Op::Remove { .. } | Op::UnplugRefused { .. } | Op::KeepStorage(_) => false,
        }
    }

    /// The pages that the zones of a node manage, which is what its MemTotal says.
    pub fn managed_of(&self, node: u32) -> Pages {
        let zones = self.zones.iter().filter(|(id, _)| id.node == node);
        zones.map(|(_, zone)| zone.managed).sum()
    }

    /// Whether a block has standby storage: one that does not use it may have some left, of an online that was refused halfway, or since none was taken back.
    pub fn has_storage(&self, block: BlockId, facts: &MemoryFacts) -> bool {
        match &self.hypervisor {
            Hypervisor::Dimms(_) => false,
            Hypervisor::Standby { assigned, .. } => {
                let own = facts.increments(block);
                assigned.range(own).next().is_some()
            }
        }
    }

    /// Whether a block has standby storage that it does not use: it is not configured (G2), or offline (G0, G1).
    pub fn has_storage_left(&self, facts: &MemoryFacts) -> bool {
        let has = |block: &BlockId| self.has_storage(*block, facts);
        match facts.generation {
            Some(Generation::G2) => {
                let mut storage = self.storage.iter();
                storage.any(|(block, storage)| !storage.configured && has(block))
            }
            _ => self.in_state(BlockState::Offline).any(|block| has(&block)),
        }
    }

    /// Blocks in a state, in order.
    pub(crate) fn in_state(&self, state: BlockState) -> impl Iterator<Item = BlockId> + '_ {
        let blocks = self.blocks.iter().filter(move |(_, block)| block.state == state);
        blocks.map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemmapMode,
        naive::{BLOCK, CORE, INCREMENT, World, facts},
    };

    #[test]
    fn storage_is_left_where_a_block_does_not_use_it() {
        let standby = BlockId(CORE);
        let each = (BLOCK / INCREMENT) as u32;
        for generation in [Generation::G0, Generation::G1, Generation::G2] {
            let facts = facts(Some(generation), MemmapMode::Off);
            let own = facts.increments(standby);
            assert_eq!(own.len() as u32, each);
            let mut ledger = World::new(&facts).ledger();
            assert!(!ledger.has_storage(standby, &facts) && !ledger.has_storage_left(&facts));
            let Hypervisor::Standby { assigned, .. } = &mut ledger.hypervisor else {
                panic!("no standby storage")
            };
            // The last of this block alone.
            assigned.insert(own.end - 1);
            assert!(ledger.has_storage(standby, &facts) && ledger.has_storage_left(&facts));
            assert!(!ledger.has_storage(BlockId(CORE + 1), &facts));
            // It uses it.
            if let Some(storage) = ledger.storage.get_mut(&standby) {
                storage.configured = true;
            }
            if let Some(block) = ledger.blocks.get_mut(&standby) {
                block.state = BlockState::Online;
            }
            assert!(!ledger.has_storage_left(&facts), "{generation:?}");
        }
        let x86 = facts(None, MemmapMode::Off);
        assert!(x86.increments(standby).is_empty());
        assert!(!World::new(&x86).ledger().has_storage_left(&x86));
    }
}
