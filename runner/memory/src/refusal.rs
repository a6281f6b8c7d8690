// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel refuses, and with which errno.

use super::{AddBy, BlockId, BlockState, Generation, Ledger, Model, Op, RemoveBy, prediction::Prediction};
use base::Errno;

impl Model {
    /// The errno with which the kernel refuses `op` in the state `before`; `None` if it must succeed.
    ///
    /// What depends on the use of pages (EBUSY of an offline) or on injected faults is not known here. Of
    /// [`Op::Several`], the first refusal.
    pub fn refusal(&self, before: &Ledger, op: &Op) -> Option<Errno> {
        let errno = |number| Errno::from_number(number);
        let (enoent, ebusy, einval, eopnotsupp) = (errno(2), errno(16), errno(22), errno(95));
        let state = |id: &BlockId| before.blocks.get(id).map(|block| block.state);
        match op {
            Op::Nothing | Op::SetAutoOnline(_) | Op::KeepStorage(_) | Op::UnplugRefused { .. } => None,
            Op::Online {
                block,
                via_online_file,
                ..
            } => match state(block) {
                None => enoent,
                Some(BlockState::Online) if *via_online_file => None,
                Some(BlockState::Online) => einval,
                Some(_) => None,
            },
            Op::Offline {
                block,
                via_online_file,
            } => match state(block) {
                None => enoent,
                Some(BlockState::Offline) if *via_online_file => None,
                Some(BlockState::Offline) => einval,
                Some(_) => self.offline_refusal(before, *block),
            },
            Op::Add {
                blocks,
                by: AddBy::Probe,
            } => blocks
                .iter()
                .any(|id| before.blocks.contains_key(id))
                .then(|| errno(17))?,
            Op::Add {
                blocks,
                by: AddBy::Configure,
            } => blocks
                .iter()
                .any(|id| !before.storage.contains_key(id))
                .then_some(enoent)?,
            Op::Add { .. } => None,
            Op::Remove {
                blocks,
                by: RemoveBy::Deconfigure,
            } => {
                if blocks.iter().any(|id| !before.storage.contains_key(id)) {
                    enoent
                } else {
                    let busy = |id: &BlockId| state(id).is_some_and(|s| s != BlockState::Offline);
                    blocks.iter().any(busy).then_some(ebusy)?
                }
            }
            Op::Remove { .. } => None,
            Op::SetMemmapOnMemory { block, on } => match before.storage.get(block) {
                None => enoent,
                // The kernel looks at its own ability first (drivers/s390/char/sclp_mem.c, 7.2).
                Some(_) if *on && self.facts.altmap(1).is_none() => eopnotsupp,
                Some(storage) if storage.configured => ebusy,
                Some(_) => None,
            },
            Op::Several(ops) => {
                let mut predicted = Prediction::new(self, before);
                for op in ops {
                    if let Some(errno) = predicted.model.refusal(&predicted.ledger, op) {
                        return Some(errno);
                    }
                    predicted.run(op);
                }
                None
            }
        }
    }

    /// Why an online block cannot go offline whatever lies in it.
    fn offline_refusal(&self, before: &Ledger, id: BlockId) -> Option<Errno> {
        let block = before.blocks.get(&id)?;
        let start = id.start(self.facts.block_size);
        let last = start + self.facts.block_size.as_bytes() - 1;
        // s390 before 6.19: a block that holds standby increments of its own boot memory's end.
        let mixed = matches!(self.facts.generation, Some(Generation::G0 | Generation::G1))
            && (start + 1..=last).contains(&self.core_end);
        // A hole (offline_pages, mm/memory_hotplug.c), or memory of several zones (memory_block_offline).
        let whole = before
            .ram
            .iter()
            .any(|ram| ram.start <= start && last <= ram.last);
        if mixed {
            Errno::from_number(1)
        } else if !whole || block.valid_zones.is_empty() && self.facts.hotremove {
            Errno::from_number(22)
        } else {
            None
        }
    }
}
