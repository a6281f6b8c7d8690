// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the model predicts of one step, worked out on a ledger.

use std::collections::BTreeSet;

use super::{
    AddBy, BlockId, BlockLedger, BlockState, FreeTolerance, Generation, Hypervisor, Ledger, Mismatch, Model,
    OnlineKind, Op, RamRange, RemoveBy, Storage, Tolerance, Zone, ZoneCounters, ZoneId, choose,
    compare::{FREE_TOLERANCE, NODE_TOLERANCE, SHRINK_TOLERANCE, compare},
    model::Memmap,
    span,
};
use base::{Arch, PAGE_SIZE, Pages};

/// What the model predicts of a step.
#[derive(Debug)]
pub struct Prediction {
    /// The model after it: what a ledger does not show is remembered.
    pub model: Model,
    /// The ledger that must be seen.
    pub ledger: Ledger,
}

impl Prediction {
    pub(super) fn new(model: &Model, before: &Ledger) -> Self {
        Self {
            model: model.clone(),
            ledger: before.clone(),
        }
    }

    pub(super) fn run(&mut self, op: &Op) {
        if !matches!(op, Op::Several(_)) && self.model.refusal(&self.ledger, op).is_some() {
            return;
        }
        match op {
            Op::Nothing => {}
            Op::Online { block, kind, .. } => self.online(*block, *kind),
            Op::Offline { block, .. } => self.offline(*block),
            Op::SetAutoOnline(policy) => self.ledger.auto_online = *policy,
            Op::KeepStorage(keeps) => self.model.keeps_storage = *keeps,
            Op::SetMemmapOnMemory { block, on } => {
                if let Some(storage) = self.ledger.storage.get_mut(block) {
                    storage.memmap_on_memory = *on;
                }
            }
            Op::Add { blocks, by } => match by {
                AddBy::AtBoot => {}
                AddBy::Dimm { id, dimm } => {
                    if let Hypervisor::Dimms(dimms) = &mut self.ledger.hypervisor {
                        dimms.insert(id.clone(), dimm.clone());
                    }
                    let node = self.model.facts.node_of(dimm);
                    self.add(blocks, node, self.model.facts.altmap(blocks.len()));
                }
                AddBy::Probe => {
                    for &block in blocks {
                        self.add(&[block], 0, None);
                    }
                }
                AddBy::Configure => blocks.iter().for_each(|&block| self.configure(block)),
            },
            Op::Remove { blocks, by } => match by {
                RemoveBy::Never => {}
                RemoveBy::Dimm { id } => {
                    if let Hypervisor::Dimms(dimms) = &mut self.ledger.hypervisor {
                        dimms.remove(id);
                    }
                    blocks.iter().for_each(|&block| self.offline(block));
                    blocks.iter().for_each(|&block| self.remove(block));
                }
                RemoveBy::Deconfigure => blocks.iter().for_each(|&block| self.deconfigure(block)),
            },
            Op::UnplugRefused { blocks, busy } => self.unplug_refused(blocks, busy),
            Op::Several(ops) => ops.iter().for_each(|op| self.run(op)),
        }
        self.refresh_valid_zones();
    }

    /// What of `seen`, the ledger after `op` was done in the state `before`, is not as predicted; empty if all is well.
    pub(super) fn check(&self, before: &Ledger, op: &Op, seen: &Ledger) -> Vec<Mismatch> {
        compare(before, &self.ledger, seen, self.tolerance(before, op))
    }

    /// How far the ledger after `op`, done in the state `before`, may be from the predicted one.
    pub fn tolerance(&self, before: &Ledger, op: &Op) -> Tolerance {
        let facts = &self.model.facts;
        // Page by page, the mapping of a block and of its memmap takes a page table for each MiB, of half a page, in a page of its own (s390, seen on
        // 7.2.13).
        let tables = if !facts.edat1 && any(op, &|op| matches!(op, Op::Add { .. } | Op::Remove { .. })) {
            (facts.block_size.as_bytes() + facts.memmap_pages().0.unsigned_abs() * PAGE_SIZE) >> 20
        } else {
            0
        };
        let waking = populated(&self.ledger).difference(&populated(before)).count();
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

    /// ACPI puts what it can offline, and then back online by the policy: the former zone is forgotten
    /// (`acpi_scan_try_to_offline`, drivers/acpi/scan.c).
    fn unplug_refused(&mut self, blocks: &[BlockId], busy: &[BlockId]) {
        let online = |ledger: &Ledger, id: &BlockId| {
            ledger
                .blocks
                .get(id)
                .is_some_and(|block| block.state == BlockState::Online)
        };
        let moved: Vec<BlockId> = blocks
            .iter()
            .copied()
            .filter(|id| online(&self.ledger, id) && !busy.contains(id))
            .collect();
        moved.iter().for_each(|&id| self.offline(id));
        moved.iter().for_each(|&id| self.online(id, OnlineKind::Default));
    }

    /// One `add_memory` call for `blocks`, which lie side by side.
    fn add(&mut self, blocks: &[BlockId], node: u32, altmap: Option<Pages>) {
        let facts = self.model.facts.clone();
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return;
        };
        self.ledger.ram.push(RamRange {
            start: first.start(facts.block_size),
            last: BlockId(last.0 + 1).start(facts.block_size) - 1,
            name: "System RAM".to_owned(),
        });
        self.ledger.ram.sort();
        self.bring_up(node);
        let v0 = facts.memmap_pages();
        for &id in blocks {
            let memmap = altmap.map_or(Memmap::System, Memmap::Altmap);
            self.model.memmaps.insert(id, memmap);
            if memmap == Memmap::System {
                self.ledger.free = self.ledger.free - v0;
            }
            // Counted wherever the memmap lies (mm/sparse-vmemmap.c, 6.12).
            self.ledger.nr_memmap = self.ledger.nr_memmap.map(|n| n + v0);
            let block = BlockLedger {
                state: BlockState::Offline,
                online: false,
                valid_zones: Vec::new(),
                removable: facts.hotremove,
                phys_index: id.0,
                phys_device: self.phys_device(id),
                node,
            };
            self.ledger.blocks.insert(id, block);
        }
        if let Some(kind) = self.ledger.auto_online.kind() {
            blocks.iter().for_each(|&id| self.online(id, kind));
        }
    }

    /// A node with its first memory appears in `/proc/zoneinfo`, with the zones that every node has.
    fn bring_up(&mut self, node: u32) {
        if self.ledger.zones.keys().any(|id| id.node == node) {
            return;
        }
        let zones: BTreeSet<Zone> = self.ledger.zones.keys().map(|id| id.zone).collect();
        for zone in zones {
            self.ledger.zones.entry(ZoneId { node, zone }).or_default();
        }
    }

    /// s390: `start >> ilog2(increment)` (`arch_get_memory_phys_device`); 0 elsewhere.
    fn phys_device(&self, id: BlockId) -> u64 {
        let start = id.start(self.model.facts.block_size);
        match (self.model.facts.arch, self.model.facts.increment) {
            (Arch::S390x, Some(increment)) => start >> increment.as_bytes().ilog2(),
            _ => 0,
        }
    }

    fn remove(&mut self, id: BlockId) {
        let facts = self.model.facts.clone();
        let Some(block) = self.ledger.blocks.remove(&id) else {
            return;
        };
        let v0 = facts.memmap_pages();
        match self.model.memmaps.remove(&id) {
            Some(Memmap::Early) => {
                // The memmap was never the page allocator's; now it gets it (free_map_bootmem).
                self.ledger.free = self.ledger.free + v0;
                self.ledger.mem_total = self.ledger.mem_total + v0;
                if let Some(zone) = self.boot_memmap_zone(block.node) {
                    zone.managed = zone.managed + v0;
                }
                self.ledger.nr_memmap_boot = self.ledger.nr_memmap_boot.map(|n| n - v0);
            }
            memmap => {
                if memmap == Some(Memmap::System) {
                    self.ledger.free = self.ledger.free + v0;
                }
                self.ledger.nr_memmap = self.ledger.nr_memmap.map(|n| n - v0);
            }
        }
        let start = id.start(facts.block_size);
        self.cut_ram(start, start + facts.block_size.as_bytes() - 1);
        let node = block.node;
        let gone = !self.ledger.blocks.values().any(|block| block.node == node)
            && !self
                .model
                .boot_zones
                .iter()
                .any(|(id, zone)| id.node == node && zone.present.0 > 0);
        if gone {
            self.ledger.zones.retain(|zone, _| zone.node != node);
        }
    }

    /// The zone in which the boot memmap lies: memblock allocates from the top of the memory that was there at boot.
    fn boot_memmap_zone(&mut self, node: u32) -> Option<&mut ZoneCounters> {
        let filled = self.model.boot_zones.iter().filter(|(id, zone)| {
            id.node == node && zone.managed.0 > 0 && !matches!(id.zone, Zone::Movable | Zone::Device)
        });
        let id = *filled.max_by_key(|(_, zone)| zone.start_pfn)?.0;
        self.ledger.zones.get_mut(&id)
    }

    /// `/proc/iomem` loses a range (`release_mem_region_adjustable`).
    fn cut_ram(&mut self, start: u64, last: u64) {
        let mut left = Vec::new();
        for ram in self.ledger.ram.drain(..) {
            if ram.last < start || last < ram.start {
                left.push(ram);
                continue;
            }
            let part = |start, last| RamRange {
                start,
                last,
                name: ram.name.clone(),
            };
            if ram.start < start {
                left.push(part(ram.start, start - 1));
            }
            if last < ram.last {
                left.push(part(last + 1, ram.last));
            }
        }
        self.ledger.ram = left;
    }

    fn configure(&mut self, id: BlockId) {
        let Some(storage) = self.ledger.storage.get_mut(&id) else {
            return;
        };
        if storage.configured {
            return;
        }
        storage.configured = true;
        let altmap = storage
            .memmap_on_memory
            .then(|| self.model.facts.altmap(1))
            .flatten();
        self.assign(id, true);
        self.add(&[id], 0, altmap);
    }

    fn deconfigure(&mut self, id: BlockId) {
        if let Some(Storage { configured: on, .. }) = self.ledger.storage.get_mut(&id)
            && std::mem::replace(on, false)
        {
            self.assign(id, false);
            self.remove(id);
        }
    }

    /// s390: the block's storage increments are assigned to the guest, or given back.
    fn assign(&mut self, id: BlockId, on: bool) {
        if !on && self.model.keeps_storage {
            return;
        }
        let facts = &self.model.facts;
        let (
            Some(increment),
            Hypervisor::Standby {
                assigned,
                unassigned_core,
            },
        ) = (facts.increment, &mut self.ledger.hypervisor)
        else {
            return;
        };
        for number in facts.increments(id) {
            let core = u64::from(number - 1) * increment.as_bytes() < self.model.core_end;
            match (core, on) {
                (false, true) => assigned.insert(number),
                (false, false) => assigned.remove(&number),
                (true, true) => unassigned_core.remove(&number),
                (true, false) => unassigned_core.insert(number),
            };
        }
    }

    /// V, or 0.
    fn altmap_pages(&self, id: BlockId) -> Pages {
        self.model.altmap(id).unwrap_or_default()
    }

    /// Does going online or offline assign and unassign storage?
    fn storage_follows_state(&self) -> bool {
        matches!(self.model.facts.generation, Some(Generation::G0 | Generation::G1))
    }

    fn online(&mut self, id: BlockId, kind: OnlineKind) {
        let facts = self.model.facts.clone();
        let node = match self.ledger.blocks.get(&id) {
            Some(block) if block.state == BlockState::Offline => block.node,
            _ => return,
        };
        let zone = choose::zone_for(&self.model, &self.ledger, id, node, kind);
        let (n, usable) = (facts.block_pages(), facts.block_pages() - self.altmap_pages(id));
        let counters = self.ledger.zones.entry(ZoneId { node, zone }).or_default();
        span::grow(counters, &id.pfns(facts.block_size));
        counters.present = counters.present + n;
        counters.managed = counters.managed + usable;
        self.ledger.mem_total = self.ledger.mem_total + usable;
        self.ledger.free = self.ledger.free + usable;
        if let Some(block) = self.ledger.blocks.get_mut(&id) {
            block.state = BlockState::Online;
            block.online = true;
            block.valid_zones = if facts.hotremove { vec![zone] } else { Vec::new() };
        }
        if self.storage_follows_state() {
            self.assign(id, true);
        }
    }

    fn offline(&mut self, id: BlockId) {
        let facts = self.model.facts.clone();
        let Some(zone) = self.ledger.blocks.get(&id).and_then(BlockLedger::zone) else {
            return;
        };
        if let Some(block) = self.ledger.blocks.get_mut(&id) {
            block.state = BlockState::Offline;
            block.online = false;
        }
        let (n, usable) = (facts.block_pages(), facts.block_pages() - self.altmap_pages(id));
        let boot_span = self.model.boot_zones.get(&zone).map_or(0..0, ZoneCounters::span);
        let online = span::online_in(&self.ledger, &facts, zone, &boot_span);
        if let Some(counters) = self.ledger.zones.get_mut(&zone) {
            span::shrink(counters, &id.pfns(facts.block_size), &online);
            counters.present = counters.present - n;
            counters.managed = counters.managed - usable;
        }
        self.ledger.mem_total = self.ledger.mem_total - usable;
        self.ledger.free = self.ledger.free - usable;
        if self.storage_follows_state() {
            self.assign(id, false);
        }
    }

    /// The zones that offline blocks could go to follow the spans of the zones.
    fn refresh_valid_zones(&mut self) {
        let offline: Vec<_> = self.ledger.in_state(BlockState::Offline).collect();
        for id in offline {
            let node = self.ledger.blocks.get(&id).map_or(0, |block| block.node);
            let zones = choose::valid_zones(&self.model, &self.ledger, id, node);
            if let Some(block) = self.ledger.blocks.get_mut(&id) {
                block.valid_zones = zones;
            }
        }
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
