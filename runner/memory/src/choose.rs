// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which zone a block goes to: mm/memory_hotplug.c (`zone_for_pfn_range`), the same in 6.1, 6.12 and 7.2.

use std::ops::Range;

use super::{
    BlockId, BlockState, Hypervisor, Ledger, Model, OnlineKind, OnlinePolicy, Zone, ZoneId, model::Memmap,
};

fn spans(ledger: &Ledger, node: u32, zone: Zone, pfns: &Range<u64>) -> bool {
    ledger.zones.get(&ZoneId { node, zone }).is_some_and(|zone| {
        let span = zone.span();
        span.start < pfns.end && pfns.start < span.end
    })
}

/// The first kernel zone below Normal that overlaps the range, else Normal (`default_kernel_zone_for_pfn`).
fn kernel_zone(ledger: &Ledger, node: u32, pfns: &Range<u64>) -> Zone {
    [Zone::Dma, Zone::Dma32]
        .into_iter()
        .find(|&zone| spans(ledger, node, zone, pfns))
        .unwrap_or(Zone::Normal)
}

/// The zone that a block goes to.
pub(super) fn zone_for(model: &Model, ledger: &Ledger, id: BlockId, node: u32, kind: OnlineKind) -> Zone {
    let pfns = id.pfns(model.facts.block_size);
    let kernel = kernel_zone(ledger, node, &pfns);
    let movable = match (kind, model.facts.online_policy) {
        (OnlineKind::Kernel, _) => false,
        (OnlineKind::Movable, _) => true,
        (OnlineKind::Default, OnlinePolicy::AutoMovable) => auto_movable(model, ledger, id, node),
        (OnlineKind::Default, OnlinePolicy::ContigZones) => {
            let in_kernel = spans(ledger, node, kernel, &pfns);
            let in_movable = spans(ledger, node, Zone::Movable, &pfns);
            if in_kernel == in_movable {
                model.facts.movable_node
            } else {
                in_movable
            }
        }
    };
    if movable { Zone::Movable } else { kernel }
}

/// Pages of the DIMM that a block belongs to, and those of it that are online in Movable; `None` if part of it is online in
/// a kernel zone. A block of no DIMM stands for itself.
fn group(model: &Model, ledger: &Ledger, id: BlockId) -> Option<(i64, i64)> {
    let block = model.facts.block_size;
    let Hypervisor::Dimms(dimms) = &ledger.hypervisor else {
        return Some((block.pages().0, 0));
    };
    let range = dimms
        .values()
        .map(|dimm| dimm.address..dimm.address + dimm.size.as_bytes())
        .find(|range| range.contains(&id.start(block)));
    let Some(range) = range else {
        return Some((block.pages().0, 0));
    };
    let mut movable = 0;
    for (id, state) in &ledger.blocks {
        if range.contains(&id.start(block)) && state.state == BlockState::Online {
            if state.valid_zones != [Zone::Movable] {
                return None;
            }
            movable += block.pages().0;
        }
    }
    Some((((range.end - range.start) / base::PAGE_SIZE) as i64, movable))
}

/// Does the policy auto-movable choose Movable (`auto_movable_zone_for_pfn`)?
fn auto_movable(model: &Model, ledger: &Ledger, id: BlockId, node: u32) -> bool {
    let facts = &model.facts;
    let Some((size, online)) = group(model, ledger, id) else {
        return false;
    };
    // Kernel memory counts only if it was there at boot: what was added later may go again.
    let hot_kernel = |nodes: &dyn Fn(u32) -> bool| -> i64 {
        let blocks = ledger.blocks.iter().filter(|(id, block)| {
            nodes(block.node)
                && block.zone().is_some_and(|zone| zone.zone != Zone::Movable)
                && model.memmaps.get(id).is_some_and(|m| *m != Memmap::Early)
        });
        blocks.count() as i64 * facts.block_pages().0
    };
    let allows = |nodes: &dyn Fn(u32) -> bool| {
        let (mut movable, mut kernel) = (0, 0);
        for (id, zone) in ledger.zones.iter().filter(|(id, _)| nodes(id.node)) {
            match id.zone {
                Zone::Movable => movable += zone.present.0,
                _ => kernel += zone.present.0,
            }
        }
        let early = kernel - hot_kernel(nodes);
        movable + size - online <= facts.auto_movable_ratio * early / 100
    };
    facts.auto_movable_ratio != 0
        && allows(&|_| true)
        && (!facts.auto_movable_numa_aware || allows(&|n| n == node))
}

/// `valid_zones` of an offline block: the default zone, then the others (`valid_zones_show`, drivers/base/memory.c).
pub(super) fn valid_zones(model: &Model, ledger: &Ledger, id: BlockId, node: u32) -> Vec<Zone> {
    if !model.facts.hotremove {
        return Vec::new();
    }
    let mut zones = Vec::new();
    for kind in [OnlineKind::Default, OnlineKind::Kernel, OnlineKind::Movable] {
        let zone = zone_for(model, ledger, id, node, kind);
        if !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    zones
}
