// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second, slow implementation of the books, chunk of pages by chunk, against which the model is held with random steps.
//!
//! It knows nothing of deltas: every counter is counted from the chunks after each step.

use std::collections::{BTreeMap, BTreeSet};

use super::{facts::AltmapUnit, *};
use base::{Arch, ByteSize, Pages};

/// Bytes of a block.
pub const BLOCK: u64 = 64 << 20;
/// Pages in a chunk: all that changes hands does so in multiples of it.
const CHUNK: u64 = 256;
/// Chunks of a block.
const N: u64 = BLOCK / 4096 / CHUNK;
/// Pages of a block's memmap: 16384 x 64 bytes.
#[cfg(test)]
pub(super) const V0: u64 = 256;
/// Blocks at boot.
pub const CORE: u64 = 4;
/// Blocks that there can be beside them.
pub const BLOCKS: u64 = 12;
/// Bytes of a storage increment.
pub const INCREMENT: u64 = 16 << 20;

/// A guest of this interface generation; `None` on x86_64.
pub fn facts(generation: Option<Generation>, memmap_on_memory: MemmapMode) -> MemoryFacts {
    MemoryFacts {
        arch: if generation.is_some() {
            Arch::S390x
        } else {
            Arch::X86_64
        },
        release: "0".to_owned(),
        cmdline: String::new(),
        block_size: ByteSize::bytes(BLOCK),
        // On x86 a memmap must fill 2 MiB; the larger struct page makes up for the small block.
        struct_page: ByteSize::bytes(if generation.is_some() { 64 } else { 128 }),
        pageblock: Pages(256),
        memmap_on_memory,
        altmap_unit: AltmapUnit::EachBlock,
        generation,
        edat1: true,
        increment: generation.map(|_| ByteSize::bytes(INCREMENT)),
        nr_memmap: true,
        online_policy: OnlinePolicy::ContigZones,
        auto_movable_ratio: 301,
        auto_movable_numa_aware: false,
        movable_node: false,
        auto_online: AutoOnline::Offline,
        hotremove: true,
        firmware_memory: generation == Some(Generation::G2),
        page_owner: false,
        debug_pagealloc: false,
        kasan: false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Use {
    /// The page allocator has it.
    Managed,
    /// A memmap, or the kernel.
    Reserved,
}

/// One block, as the naive books see it.
#[derive(Debug, Clone)]
pub(super) struct Book {
    early: bool,
    altmap: bool,
    /// Number of the add call that made its range in `/proc/iomem`.
    call: u32,
}

/// The memory of one guest.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) facts: MemoryFacts,
    /// By chunk: the zone in which it is online, and what it is used for.
    pages: Vec<Option<(Zone, Use)>>,
    pub(super) books: BTreeMap<u64, Book>,
    /// By chunk: is the storage accessible?
    assigned: Vec<bool>,
    /// Storage stays accessible.
    keeps_storage: bool,
    memmap_choice: BTreeMap<u64, bool>,
    pub(super) dimms: BTreeMap<String, Dimm>,
    auto_online: AutoOnline,
    /// Pages that somebody has allocated, which no step changes.
    taken: i64,
    /// Pages of system memory that hold memmaps.
    memmap_pages: i64,
    pub(super) calls: u32,
    /// Pages that the kernel got when it lost a boot block: their memmap.
    freed_boot: i64,
}

impl World {
    /// A guest with [`CORE`] blocks, that has just booted.
    pub fn new(facts: &MemoryFacts) -> Self {
        let v0 = facts.memmap_pages().0 as u64 / CHUNK;
        let mut world = Self {
            pages: vec![None; ((CORE + BLOCKS) * N) as usize],
            books: BTreeMap::new(),
            assigned: vec![false; ((CORE + BLOCKS) * N) as usize],
            keeps_storage: false,
            memmap_choice: BTreeMap::new(),
            dimms: BTreeMap::new(),
            auto_online: AutoOnline::Offline,
            taken: 3000,
            memmap_pages: 0,
            calls: 0,
            freed_boot: 0,
            facts: facts.clone(),
        };
        let at_boot = matches!(facts.generation, Some(Generation::G0 | Generation::G1));
        for block in 0..CORE + BLOCKS {
            let early = block < CORE;
            world
                .memmap_choice
                .insert(block, !early && facts.altmap(1).is_some());
            if early {
                world.books.insert(
                    block,
                    Book {
                        early,
                        altmap: false,
                        call: 0,
                    },
                );
                for pfn in block * N..(block + 1) * N {
                    let reserved = pfn < CORE * v0;
                    let used = if reserved { Use::Reserved } else { Use::Managed };
                    world.pages[pfn as usize] = Some((Zone::Dma, used));
                    world.assigned[pfn as usize] = true;
                }
            } else if at_boot {
                world.add(&[block], facts.altmap(1).is_some());
            }
        }
        world
    }

    fn add(&mut self, blocks: &[u64], altmap: bool) {
        self.calls += 1;
        for &block in blocks {
            let call = self.calls;
            self.books.insert(
                block,
                Book {
                    early: false,
                    altmap,
                    call,
                },
            );
            if !altmap {
                self.memmap_pages += self.facts.memmap_pages().0;
            }
        }
        if let Some(kind) = self.auto_online.kind() {
            blocks.iter().for_each(|&block| self.online(block, kind));
        }
    }

    fn is_online(&self, block: u64) -> bool {
        self.pages[(block * N) as usize].is_some()
    }

    /// First and last chunk of a zone.
    fn ends(&self, zone: Zone) -> Option<(u64, u64)> {
        let is = |page: &Option<(Zone, Use)>| page.is_some_and(|(z, _)| z == zone);
        let first = self.pages.iter().position(is)? as u64;
        Some((first, self.pages.iter().rposition(is)? as u64))
    }

    fn between(&self, zone: Zone, block: u64) -> bool {
        let touches = |(first, last)| (block * N..(block + 1) * N).any(|pfn| first <= pfn && pfn <= last);
        self.ends(zone).is_some_and(touches)
    }

    fn choice(&self, block: u64, kind: OnlineKind) -> Zone {
        let kernel = if self.between(Zone::Dma, block) {
            Zone::Dma
        } else {
            Zone::Normal
        };
        match kind {
            OnlineKind::Kernel => kernel,
            OnlineKind::Movable => Zone::Movable,
            OnlineKind::Default if !self.between(kernel, block) && self.between(Zone::Movable, block) => {
                Zone::Movable
            }
            OnlineKind::Default => kernel,
        }
    }

    fn storage_follows_state(&self) -> bool {
        matches!(self.facts.generation, Some(Generation::G0 | Generation::G1))
    }

    fn assign(&mut self, block: u64, on: bool) {
        if on || !self.keeps_storage {
            self.assigned[(block * N) as usize..((block + 1) * N) as usize].fill(on);
        }
    }

    fn online(&mut self, block: u64, kind: OnlineKind) {
        let zone = self.choice(block, kind);
        let memmap = if self.books[&block].altmap {
            self.facts.memmap_pages().0 as u64 / CHUNK
        } else {
            0
        };
        for (i, pfn) in (block * N..(block + 1) * N).enumerate() {
            let used = if (i as u64) < memmap {
                Use::Reserved
            } else {
                Use::Managed
            };
            self.pages[pfn as usize] = Some((zone, used));
        }
        if self.storage_follows_state() {
            self.assign(block, true);
        }
    }

    fn offline(&mut self, block: u64) {
        self.pages[(block * N) as usize..((block + 1) * N) as usize].fill(None);
        if self.storage_follows_state() {
            self.assign(block, false);
        }
    }

    fn remove(&mut self, block: u64) {
        let book = self.books.remove(&block).unwrap();
        if book.early {
            self.freed_boot += self.facts.memmap_pages().0;
        } else if !book.altmap {
            self.memmap_pages -= self.facts.memmap_pages().0;
        }
    }

    /// Does the step; returns whether the kernel does it.
    pub fn step(&mut self, op: &Op) -> bool {
        match op {
            Op::Online {
                block,
                kind,
                via_online_file,
            } => {
                if !self.books.contains_key(&block.0) {
                    return false;
                }
                if self.is_online(block.0) {
                    return *via_online_file;
                }
                self.online(block.0, *kind);
            }
            Op::Offline {
                block,
                via_online_file,
            } => {
                if !self.books.contains_key(&block.0) {
                    return false;
                }
                if !self.is_online(block.0) {
                    return *via_online_file;
                }
                self.offline(block.0);
            }
            Op::SetAutoOnline(policy) => self.auto_online = *policy,
            Op::KeepStorage(keeps) => self.keeps_storage = *keeps,
            Op::SetMemmapOnMemory { block, on } => {
                if self.books.contains_key(&block.0) || *on && self.facts.altmap(1).is_none() {
                    return false;
                }
                self.memmap_choice.insert(block.0, *on);
            }
            Op::Add { blocks, by } => {
                let blocks: Vec<u64> = blocks.iter().map(|b| b.0).collect();
                match by {
                    AddBy::Dimm { id, dimm } => {
                        self.dimms.insert(id.clone(), dimm.clone());
                        self.add(&blocks, self.facts.altmap(blocks.len()).is_some());
                    }
                    AddBy::Configure if !self.books.contains_key(&blocks[0]) => {
                        self.assign(blocks[0], true);
                        self.add(&blocks, self.memmap_choice[&blocks[0]]);
                    }
                    _ => {}
                }
            }
            Op::Remove { blocks, by } => match by {
                RemoveBy::Dimm { id } => {
                    self.dimms.remove(id);
                    for block in blocks {
                        self.offline(block.0);
                        self.remove(block.0);
                    }
                }
                _ => {
                    let block = blocks[0].0;
                    if self.books.contains_key(&block) {
                        if self.is_online(block) {
                            return false;
                        }
                        self.assign(block, false);
                        self.remove(block);
                    }
                }
            },
            _ => {}
        }
        true
    }

    fn counters(&self, zone: Zone) -> ZoneCounters {
        let Some((first, last)) = self.ends(zone) else {
            return ZoneCounters::default();
        };
        let mine = self.pages.iter().flatten().filter(|(z, _)| *z == zone);
        let managed = mine.clone().filter(|(_, used)| *used == Use::Managed).count() as i64;
        let boot = if zone == Zone::Dma { self.freed_boot } else { 0 };
        ZoneCounters {
            start_pfn: first * CHUNK,
            spanned: Pages(((last - first + 1) * CHUNK) as i64),
            present: Pages(mine.count() as i64 * CHUNK as i64),
            managed: Pages(managed * CHUNK as i64 + boot),
        }
    }

    fn block(&self, id: u64) -> BlockLedger {
        let valid_zones = match self.pages[(id * N) as usize] {
            Some((zone, _)) => vec![zone],
            None => {
                let mut zones = Vec::new();
                for kind in [OnlineKind::Default, OnlineKind::Kernel, OnlineKind::Movable] {
                    if !zones.contains(&self.choice(id, kind)) {
                        zones.push(self.choice(id, kind));
                    }
                }
                zones
            }
        };
        let s390 = self.facts.generation.is_some();
        BlockLedger {
            state: if self.is_online(id) {
                BlockState::Online
            } else {
                BlockState::Offline
            },
            online: self.is_online(id),
            valid_zones,
            removable: true,
            phys_index: id,
            phys_device: if s390 { id * (BLOCK / INCREMENT) } else { 0 },
            node: 0,
        }
    }

    /// Blocks side by side of one call are one range; boot memory was one range, too.
    fn ram(&self) -> Vec<RamRange> {
        let mut ranges: Vec<(RamRange, u32)> = Vec::new();
        for (&block, book) in &self.books {
            let (start, last) = (block * BLOCK, (block + 1) * BLOCK - 1);
            match ranges.last_mut() {
                Some((range, call)) if *call == book.call && range.last + 1 == start => range.last = last,
                _ => ranges.push((
                    RamRange {
                        start,
                        last,
                        name: "System RAM".to_owned(),
                    },
                    book.call,
                )),
            }
        }
        ranges.into_iter().map(|(range, _)| range).collect()
    }

    fn hypervisor(&self) -> Hypervisor {
        if self.facts.generation.is_none() {
            return Hypervisor::Dimms(self.dimms.clone());
        }
        let pages = (INCREMENT / 4096 / CHUNK) as usize;
        let (mut assigned, mut unassigned_core) = (BTreeSet::new(), BTreeSet::new());
        for (i, increment) in self.assigned.chunks(pages).enumerate() {
            let core = ((i * pages) as u64) < CORE * N;
            let on = increment.iter().all(|page| *page);
            if core && !on {
                unassigned_core.insert(i as u32 + 1);
            } else if !core && on {
                assigned.insert(i as u32 + 1);
            }
        }
        Hypervisor::Standby {
            assigned,
            unassigned_core,
        }
    }

    /// Pages at the start of a block that hold its own memmap.
    pub fn altmap(&self, block: BlockId) -> u64 {
        let own = self.books.get(&block.0).is_some_and(|book| book.altmap);
        if own {
            self.facts.memmap_pages().0 as u64
        } else {
            0
        }
    }

    /// All counters of it.
    pub fn ledger(&self) -> Ledger {
        let zones = [Zone::Dma, Zone::Normal, Zone::Movable];
        let zones: BTreeMap<_, _> = zones
            .into_iter()
            .map(|zone| (ZoneId { node: 0, zone }, self.counters(zone)))
            .collect();
        let managed: Pages = zones.values().map(|zone| zone.managed).sum();
        let v0 = self.facts.memmap_pages();
        let hot = self.books.values().filter(|book| !book.early).count() as i64;
        let early = self.books.len() as i64 - hot;
        let at_boot = (self.freed_boot / v0.0) + early;
        Ledger {
            mem_total: managed,
            free: Pages(managed.0 - self.taken - self.memmap_pages),
            zones,
            nr_memmap: Some(Pages(hot * v0.0)),
            nr_memmap_boot: Some(Pages((at_boot - self.freed_boot / v0.0) * v0.0)),
            blocks: self
                .books
                .keys()
                .map(|&id| (BlockId(id), self.block(id)))
                .collect(),
            storage: if self.facts.generation == Some(Generation::G2) {
                let choices = self.memmap_choice.iter().map(|(&id, &memmap_on_memory)| {
                    let configured = self.books.contains_key(&id);
                    (
                        BlockId(id),
                        Storage {
                            configured,
                            memmap_on_memory,
                        },
                    )
                });
                choices.collect()
            } else {
                BTreeMap::new()
            },
            ram: self.ram(),
            auto_online: self.auto_online,
            isolated: 0,
            tainted: 0,
            hypervisor: self.hypervisor(),
        }
    }
}
