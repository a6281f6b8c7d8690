// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standby memory of an s390x guest: the blocks that come next, how they are configured, and storage that QEMU refuses.

use serde_json::json;

use super::{
    act::together,
    bench::Bench,
    guest::UnderTest,
    hypervisor::{standby_get, standby_set},
    trouble::Trouble,
};
use base::{ByteSize, Errno};
use format::standby::property;
use memory::{AddBy, Attribute, BlockId, Op};
use suite::{Add, AddResult, Configure, Deconfigure, Extent, RefuseAssign, RefuseUnassign, Storage};

impl<G: UnderTest> Bench<'_, G> {
    /// The lowest run of `count` standby blocks that no step has named yet; `shown` are all that the kernel shows, of which `candidates` can be
    /// taken.
    async fn next_standby(
        &self,
        count: u32,
        shown: usize,
        candidates: Vec<BlockId>,
    ) -> Result<Vec<BlockId>, Trouble> {
        let taken = |block: &BlockId| {
            self.names
                .values()
                .any(|named| !named.gone && named.blocks.contains(block))
        };
        let mut run: Vec<BlockId> = Vec::new();
        for block in candidates.into_iter().filter(|block| !taken(block)) {
            if run.last().is_some_and(|last| last.0 + 1 != block.0) {
                run.clear();
            }
            run.push(block);
            if run.len() == count as usize {
                return Ok(run);
            }
        }
        let standby = standby_get(self.guest, property::STANDBY_SIZE).await?;
        let standby = standby.as_u64().ok_or_else(|| {
            Trouble::bench(format!(
                "QEMU's size of the standby memory does not read: {standby}"
            ))
        })?;
        let block = self.facts.block_size.as_bytes();
        let end = (self.machine.memory.as_bytes() + standby) / block;
        let there = end.saturating_sub(self.first_standby().0);
        Err(no_standby(count, shown as u64, there, self.facts.block_size))
    }

    /// Takes standby blocks that are there since boot (G0, G1).
    pub(super) async fn take_next(&mut self, add: &Add, more: bool) -> Result<Op, Trouble> {
        let count = self.blocks_of(add)?;
        let shown: Vec<BlockId> = self
            .ledger
            .blocks
            .keys()
            .copied()
            .filter(|block| *block >= self.first_standby())
            .collect();
        let blocks = self.next_standby(count, shown.len(), shown).await?;
        self.named(&add.name, &blocks, None, more);
        Ok(Op::Add {
            blocks,
            by: AddBy::AtBoot,
        })
    }

    /// The first block that lies wholly in standby memory.
    fn first_standby(&self) -> BlockId {
        let core = self.machine.memory.as_bytes();
        BlockId(core.div_ceil(self.facts.block_size.as_bytes()))
    }

    fn blocks_of(&self, add: &Add) -> Result<u32, Trouble> {
        match add.extent {
            Extent::Blocks(blocks) => Ok(blocks),
            Extent::Size(size) => {
                let blocks = size.as_bytes() / self.facts.block_size.as_bytes();
                u32::try_from(blocks)
                    .map_err(|_| Trouble::bench(format!("{size} is too much standby memory")))
            }
        }
    }

    /// Configures the next standby blocks (G2).
    pub(super) async fn configure_next(&mut self, add: &Add, more: bool) -> Result<Op, Trouble> {
        let count = self.blocks_of(add)?;
        let candidates: Vec<BlockId> = self
            .ledger
            .storage
            .iter()
            .filter(|(_, storage)| !storage.configured)
            .map(|(block, _)| *block)
            .collect();
        let shown = self
            .ledger
            .storage
            .keys()
            .filter(|block| **block >= self.first_standby())
            .count();
        let blocks = self.next_standby(count, shown, candidates).await?;
        self.named(&add.name, &blocks, None, more);
        let fails = match add.result {
            AddResult::Fails(errno) => Some(errno),
            _ => None,
        };
        self.configure_blocks(&blocks, add.memmap_on_memory, fails).await
    }

    async fn configure_blocks(
        &mut self,
        blocks: &[BlockId],
        memmap_on_memory: Option<bool>,
        fails: Option<Errno>,
    ) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for &block in blocks {
            if let Some(on) = memmap_on_memory {
                let value = if on { "1" } else { "0" };
                ops.extend(self.ask(Attribute::MemmapOnMemory(block), value, None).await?);
            }
            ops.extend(self.ask(Attribute::Config(block), "1", fails).await?);
        }
        Ok(together(ops))
    }

    pub(super) async fn configure(&mut self, configure: &Configure) -> Result<Op, Trouble> {
        let blocks = self.blocks(&configure.block)?;
        self.configure_blocks(&blocks, configure.memmap_on_memory, configure.fails)
            .await
    }

    pub(super) async fn deconfigure(&mut self, deconfigure: &Deconfigure) -> Result<Op, Trouble> {
        let blocks = self.blocks(&deconfigure.block)?;
        self.deconfigure_blocks(&blocks, deconfigure.fails).await
    }

    pub(super) async fn deconfigure_blocks(
        &mut self,
        blocks: &[BlockId],
        fails: Option<Errno>,
    ) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for &block in blocks {
            ops.extend(self.ask(Attribute::Config(block), "0", fails).await?);
        }
        Ok(together(ops))
    }

    /// Writes one file of `/sys/firmware/memory` as it is.
    pub(super) async fn storage(&mut self, storage: &Storage) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for block in self.blocks(&storage.block)? {
            let attribute = storage.file.attribute(block);
            ops.extend(self.ask(attribute, &storage.value, storage.fails).await?);
        }
        Ok(together(ops))
    }

    pub(super) async fn refuse_assign(&mut self, refuse: &RefuseAssign) -> Result<Op, Trouble> {
        let (all, at, response) = match refuse {
            RefuseAssign::At { nth, response } => (false, *nth, *response),
            RefuseAssign::All { response } => (true, 0, *response),
            RefuseAssign::Off => (false, 0, None),
        };
        self.refuse_with(response).await?;
        self.refuses_assign = refuse.clone();
        standby_set(self.guest, property::REFUSE_ASSIGN, json!(all)).await?;
        standby_set(self.guest, property::REFUSE_ASSIGN_AT, json!(at)).await?;
        Ok(Op::Nothing)
    }

    pub(super) async fn refuse_unassign(&mut self, refuse: &RefuseUnassign) -> Result<Op, Trouble> {
        let (all, response) = match refuse {
            RefuseUnassign::All { response } => (true, *response),
            RefuseUnassign::Off => (false, None),
        };
        self.refuse_with(response).await?;
        self.keeps_storage = all;
        standby_set(self.guest, property::REFUSE_UNASSIGN, json!(all)).await?;
        Ok(Op::KeepStorage(all))
    }

    /// Sets the response code of what QEMU refuses: a step before this one may have had its own.
    async fn refuse_with(&mut self, response: Option<u16>) -> Result<(), Trouble> {
        let response = response.unwrap_or(property::DEFAULT_RESPONSE);
        standby_set(self.guest, property::REFUSE_RESPONSE, json!(response)).await
    }
}

/// Why `count` standby blocks cannot be had: the kernel shows fewer than QEMU has, or the case asks for more.
fn no_standby(count: u32, shown: u64, there: u64, size: ByteSize) -> Trouble {
    if shown < there {
        Trouble::kernel(format!(
            "the kernel shows {shown} standby blocks of {size}, and the machine has {there}"
        ))
    } else {
        Trouble::lasting(format!(
            "the machine has {there} standby blocks of {size}, of which no {count} side by side are left; give it more `hotplug`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::fault::Verdict;

    #[test]
    fn standby_memory_that_the_kernel_does_not_show_is_its_own_doing() {
        let told = |count, shown, there| {
            let trouble = no_standby(count, shown, there, ByteSize::mib(256));
            (trouble.verdict(), trouble.message().to_owned())
        };
        let (verdict, message) = told(1, 0, 8);
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(
            message,
            "the kernel shows 0 standby blocks of 256M, and the machine has 8"
        );
        let (verdict, message) = told(9, 8, 8);
        assert_eq!(verdict, Verdict::Error);
        assert!(
            message.contains("has 8 standby blocks of 256M, of which no 9 side by side"),
            "{message}"
        );
    }
}
