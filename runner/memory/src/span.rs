// SPDX-License-Identifier: MIT OR Apache-2.0
//! How zones grow and shrink: mm/memory_hotplug.c, the same in 6.1, 6.12 and 7.2.

use std::ops::Range;

use super::{BlockState, Ledger, MemoryFacts, ZoneCounters, ZoneId};
use base::Pages;

fn set(zone: &mut ZoneCounters, span: Range<u64>) {
    zone.start_pfn = span.start;
    zone.spanned = Pages((span.end - span.start) as i64);
}

/// The zone spans `pfns` too (`resize_zone_range`).
pub(super) fn grow(zone: &mut ZoneCounters, pfns: &Range<u64>) {
    let old = zone.span();
    let span = if old.is_empty() {
        pfns.clone()
    } else {
        old.start.min(pfns.start)..old.end.max(pfns.end)
    };
    set(zone, span);
}

/// The zone loses `pfns` (`shrink_zone_span`): at an edge it shrinks to the next memory that is online in it, in the middle
/// it stays as it is. `online` is what is left online in the zone.
pub(super) fn shrink(zone: &mut ZoneCounters, pfns: &Range<u64>, online: &[Range<u64>]) {
    let old = zone.span();
    let left = online
        .iter()
        .map(|range| range.start.max(old.start)..range.end.min(old.end))
        .filter(|range| !range.is_empty());
    let span = if old.start == pfns.start {
        left.map(|range| range.start).min().map(|start| start..old.end)
    } else if old.end == pfns.end {
        left.map(|range| range.end).max().map(|end| old.start..end)
    } else {
        Some(old)
    };
    set(zone, span.unwrap_or(0..0));
}

/// Page frames that are online in a zone; of a boot block in several zones, the part that the zone spanned at boot.
pub(super) fn online_in(
    ledger: &Ledger,
    facts: &MemoryFacts,
    id: ZoneId,
    boot_span: &Range<u64>,
) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    for (block, state) in &ledger.blocks {
        if state.state != BlockState::Online || state.node != id.node {
            continue;
        }
        let pfns = block.pfns(facts.block_size);
        match state.valid_zones.as_slice() {
            [zone] if *zone == id.zone => found.push(pfns),
            [] => found.push(pfns.start.max(boot_span.start)..pfns.end.min(boot_span.end)),
            _ => {}
        }
    }
    found
}
