// SPDX-License-Identifier: MIT OR Apache-2.0
//! How things stand in a guest, as far as the next step depends on it.

use crate::pick::Pick;
use base::Errno;
use memory::{AddBy, BlockId, BlockState, Generation, Hypervisor, Ledger, MemoryFacts, Model, Op};
use suite::{BlockName, BlockRef, CaseMachine};

/// Blocks that an `add` brought, and that were not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they are called.
    pub name: BlockName,
    /// Their numbers; none of a DIMM that the kernel refused.
    pub blocks: Vec<BlockId>,
}

/// A guest between two steps.
#[derive(Debug)]
pub struct Moment<'a> {
    /// What is known of it.
    pub facts: &'a MemoryFacts,
    /// The model.
    pub model: &'a Model,
    /// What was read last.
    pub ledger: &'a Ledger,
    /// The machine.
    pub machine: &'a CaseMachine,
    /// What has a name.
    pub groups: Vec<Group>,
    /// Blocks of the memory at boot, ascending.
    pub boot: Vec<BlockId>,
}

impl Moment<'_> {
    pub(crate) fn is_g2(&self) -> bool {
        self.facts.generation == Some(Generation::G2)
    }

    /// Whether storage follows the state of a block.
    pub(crate) fn is_by_state(&self) -> bool {
        matches!(self.facts.generation, Some(Generation::G0 | Generation::G1))
    }

    pub(crate) fn state(&self, block: BlockId) -> Option<BlockState> {
        self.ledger.blocks.get(&block).map(|block| block.state)
    }

    /// The errno with which the model says that something is refused.
    pub(crate) fn refusal(&self, op: &Op) -> Option<Errno> {
        self.model.refusal(self.ledger, op)
    }

    /// Whether `1` can be written to `memmap_on_memory` of a block that is not configured (G2).
    pub(crate) fn takes_altmap(&self) -> bool {
        let free = self
            .ledger
            .storage
            .iter()
            .find(|(_, storage)| !storage.configured);
        free.is_some_and(|(block, _)| {
            let op = Op::SetMemmapOnMemory {
                block: *block,
                on: true,
            };
            self.refusal(&op).is_none()
        })
    }

    /// Whether a block that is configured needs its storage.
    pub(crate) fn configures(&self, block: BlockId) -> bool {
        let op = Op::Add {
            blocks: vec![block],
            by: AddBy::Configure,
        };
        !self.ledger.has(&op)
    }

    /// The blocks of the groups, each with the words for it. `all` also has those that the kernel does not show.
    pub(crate) fn blocks(&self, all: bool) -> Vec<(BlockRef, BlockId)> {
        let of = |group: &Group| {
            let one = group.blocks.len() == 1;
            let reference = |(index, block): (usize, &BlockId)| {
                let name = group.name.clone();
                let index = (!one).then_some(index as u32);
                (BlockRef { name, index }, *block)
            };
            group.blocks.iter().enumerate().map(reference).collect::<Vec<_>>()
        };
        let blocks = self.groups.iter().flat_map(of);
        blocks
            .filter(|(_, block)| all || self.state(*block).is_some())
            .collect()
    }

    /// One block of those that are so, or one of all where nothing legal is wanted.
    pub(crate) fn one(
        &self,
        pick: Pick,
        legal: bool,
        all: bool,
        is_so: impl Fn(BlockId) -> bool,
    ) -> Option<(BlockRef, BlockId)> {
        let mut blocks = self.blocks(all);
        if legal {
            blocks.retain(|(_, block)| is_so(*block));
        }
        pick.of(&blocks).cloned()
    }

    /// Whether a block has standby storage, used or not.
    pub(crate) fn has_storage(&self, block: BlockId) -> bool {
        self.ledger.has_storage(block, self.facts)
    }

    /// How many blocks all DIMMs have together, in whole blocks and parts of them.
    pub(crate) fn plugged(&self) -> u64 {
        let Hypervisor::Dimms(dimms) = &self.ledger.hypervisor else {
            return 0;
        };
        let size = self.facts.block_size.as_bytes();
        let blocks = dimms.values().map(|dimm| dimm.size.as_bytes().div_ceil(size));
        blocks.sum()
    }

    /// Whether so many standby blocks lie side by side that have no name.
    pub(crate) fn has_standby(&self, count: u32) -> bool {
        let named = |block: &BlockId| self.groups.iter().any(|group| group.blocks.contains(block));
        let is_boot = |block: &BlockId| self.boot.contains(block);
        let free: Vec<BlockId> = match self.is_g2() {
            true => {
                let storage = self.ledger.storage.iter();
                let free = storage.filter(|(_, storage)| !storage.configured);
                free.map(|(block, _)| *block)
                    .filter(|block| !named(block))
                    .collect()
            }
            false => {
                let blocks = self.ledger.blocks.keys().copied();
                blocks.filter(|block| !is_boot(block) && !named(block)).collect()
            }
        };
        let mut run = 0;
        let mut last: Option<BlockId> = None;
        for block in free {
            run = match last {
                Some(last) if last.0 + 1 == block.0 => run + 1,
                _ => 1,
            };
            last = Some(block);
            if run >= count {
                return true;
            }
        }
        false
    }
}
