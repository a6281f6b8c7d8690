// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model: what the ledger must be after a step.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BlockId, BlockState, Generation, Hypervisor, Ledger, MemoryFacts, Mismatch, Op, Tolerance, ZoneCounters,
    ZoneId,
    compare::{FREE_TOLERANCE, FreeTolerance, NODE_TOLERANCE, SHRINK_TOLERANCE, compare},
    prediction::Prediction,
};
use base::{PAGE_SIZE, Pages};

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

    /// The ledger that must be seen after `op` is done in the state `before`.
    ///
    /// What the kernel refuses (see `Model::refusal`) changes nothing.
    pub fn predict(&self, before: &Ledger, op: &Op) -> Ledger {
        let mut predicted = Prediction::new(self, before);
        predicted.run(op);
        predicted.ledger
    }

    /// Remembers that `op` was done in the state `before` (as it was seen).
    pub fn commit(&mut self, before: &Ledger, op: &Op) {
        let mut predicted = Prediction::new(self, before);
        predicted.run(op);
        *self = predicted.model;
    }

    /// What of `seen`, the ledger after `op` was done in the state `before`, is not as predicted; empty if all is well.
    pub(crate) fn check(&self, before: &Ledger, op: &Op, seen: &Ledger) -> Vec<Mismatch> {
        let predicted = self.predict(before, op);
        compare(before, &predicted, seen, self.tolerance(before, op))
    }

    /// How far the ledger after `op`, done in the state `before`, may be from the prediction.
    pub fn tolerance(&self, before: &Ledger, op: &Op) -> Tolerance {
        let facts = &self.facts;
        // Page by page, the mapping of a block and of its memmap takes a page table of 2 KiB (s390) per MiB.
        let tables = if !facts.edat1 && any(op, &|op| matches!(op, Op::Add { .. } | Op::Remove { .. })) {
            (facts.block_size.as_bytes() + facts.memmap_pages().0.unsigned_abs() * PAGE_SIZE) >> 21
        } else {
            0
        };
        let waking = populated(&self.predict(before, op))
            .difference(&populated(before))
            .count();
        let below =
            i64::from(op.weight()) * (FREE_TOLERANCE.0 + tables as i64) + waking as i64 * NODE_TOLERANCE.0;
        let below = Pages(below);
        let offlines = any(op, &|op| {
            matches!(
                op,
                Op::Offline { .. } | Op::Remove { .. } | Op::UnplugRefused { .. }
            )
        });
        let above = if offlines { below + SHRINK_TOLERANCE } else { below };
        let exact = !facts.page_owner && !facts.kasan && !facts.debug_pagealloc;
        Tolerance {
            free: exact.then_some(FreeTolerance { below, above }),
            nr_memmap: !facts.page_owner,
            taint: true,
        }
    }

    /// The step that a refused unplug of a DIMM's `blocks` was, by what was seen after it.
    ///
    /// Which block could not go offline is not known before; of all possibilities this takes the one that explains `seen`
    /// best. If nothing explains it, the mismatches remain: hand them to [`compare`].
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
        candidates
            .into_iter()
            .map(some_busy)
            .min_by_key(|op| self.check(before, op, seen).len())
            .unwrap_or(Op::Nothing)
    }
}

/// Nodes with memory in use.
fn populated(ledger: &Ledger) -> BTreeSet<u32> {
    let used = ledger.zones.iter().filter(|(_, zone)| zone.present.0 > 0);
    used.map(|(id, _)| id.node).collect()
}

/// Does a step, or one that it is made of, satisfy `test`?
fn any(op: &Op, test: &dyn Fn(&Op) -> bool) -> bool {
    match op {
        Op::Several(ops) => ops.iter().any(|op| any(op, test)),
        op => test(op),
    }
}
