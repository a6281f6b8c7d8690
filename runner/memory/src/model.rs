// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model: what the ledger must be after a step.

use std::collections::BTreeMap;

use super::{
    BlockId, BlockState, Generation, Hypervisor, Ledger, MemoryFacts, Op, Prediction, ZoneCounters, ZoneId,
};
use base::Pages;

/// Where the memmap of a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memmap {
    /// In memory that was there at boot, laid out before the page allocator ran.
    Early,
    /// In pages of the page allocator.
    System,
    /// In the block's own first pages, so many (V).
    Altmap(Pages),
}

/// Predicts ledgers of one guest from its facts, and remembers what a ledger does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub(super) facts: MemoryFacts,
    pub(super) memmaps: BTreeMap<BlockId, Memmap>,
    /// Zones as they were at boot.
    pub(super) boot_zones: BTreeMap<ZoneId, ZoneCounters>,
    /// s390: end of the core storage, in bytes.
    pub(super) core_end: u64,
    /// s390: the hypervisor takes no storage back.
    pub(super) keeps_storage: bool,
}

impl Model {
    /// A model of a guest that has just booted, whose ledger is `boot`.
    pub fn new(facts: MemoryFacts, boot: &Ledger) -> Self {
        let core_end = boot.ram.first().map_or(0, |ram| ram.last + 1);
        let memmap = |block: BlockId| {
            let start = block.start(facts.block_size);
            let call = match (&boot.hypervisor, facts.generation) {
                // A standby block was added at boot by a call of its own.
                (_, Some(Generation::G0 | Generation::G1)) => (start >= core_end).then_some(1),
                // A DIMM plugged before boot is added by ACPI, not by the firmware's memory map.
                (Hypervisor::Dimms(dimms), None) => dimms
                    .values()
                    .find(|dimm| (dimm.address..dimm.address + dimm.size.as_bytes()).contains(&start))
                    .map(|dimm| (dimm.size.as_bytes() / facts.block_size.as_bytes()) as usize),
                _ => None,
            };
            match call.map(|blocks| facts.altmap(blocks)) {
                None => Memmap::Early,
                Some(None) => Memmap::System,
                Some(Some(v)) => Memmap::Altmap(v),
            }
        };
        Self {
            memmaps: boot.blocks.keys().map(|&id| (id, memmap(id))).collect(),
            boot_zones: boot.zones.clone(),
            core_end,
            keeps_storage: false,
            facts,
        }
    }

    #[cfg(test)]
    pub(crate) fn facts(&self) -> &MemoryFacts {
        &self.facts
    }

    /// V: pages of the block that hold its own memmap; `None` if its memmap lies elsewhere or the block is not there.
    pub fn altmap(&self, block: BlockId) -> Option<Pages> {
        match self.memmaps.get(&block) {
            Some(Memmap::Altmap(v)) => Some(*v),
            _ => None,
        }
    }

    /// What must be so after `op` is done in the state `before` (as it was seen).
    ///
    /// What the kernel refuses (see `Model::refusal`) changes nothing.
    pub fn predict(&self, before: &Ledger, op: &Op) -> Prediction {
        let mut predicted = Prediction::new(self, before);
        predicted.run(op);
        predicted
    }

    /// The step that a refused unplug of a DIMM's `blocks` was, by what was seen after it.
    ///
    /// Which block could not go offline is not known before; of all possibilities this takes the one that explains `seen`
    /// best. If nothing explains it, the mismatches remain: hand them to [`compare`](super::compare).
    pub fn unplug_refused(&self, before: &Ledger, seen: &Ledger, blocks: &[BlockId]) -> Op {
        let online: Vec<BlockId> = blocks
            .iter()
            .copied()
            .filter(|id| {
                before
                    .blocks
                    .get(id)
                    .is_some_and(|b| b.state == BlockState::Online)
            })
            .collect();
        let some_busy = |busy: Vec<BlockId>| Op::UnplugRefused {
            blocks: blocks.to_vec(),
            busy,
        };
        // All subsets of few blocks; of many, all, and each one alone.
        let candidates: Vec<Vec<BlockId>> = if online.len() <= 8 {
            (1..1_u32 << online.len())
                .rev()
                .map(|set| {
                    let chosen = online.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
                    chosen.map(|(_, id)| *id).collect()
                })
                .collect()
        } else {
            let alone = online.iter().map(|&id| vec![id]);
            std::iter::once(online.clone()).chain(alone).collect()
        };
        self.likeliest(before, seen, candidates.into_iter().map(some_busy))
    }
}
