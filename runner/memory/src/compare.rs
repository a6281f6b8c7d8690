// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is against what must be.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Hypervisor, Ledger};
use base::Pages;

/// How far the free pages may be from the prediction after one step on one block, in pages.
///
/// Idle noise of the meter is 2 pages; page tables, `struct memory_block` and sysfs take less than 32.
pub(crate) const FREE_TOLERANCE: Pages = Pages(32);

/// How many more pages may be free after a step that puts blocks offline: MEM_GOING_OFFLINE makes the slab allocator give back
/// its empty slabs (mm/slub.c `slab_mem_going_offline_callback`). Seen: up to 97 the first time, then nothing.
pub(crate) const SHRINK_TOLERANCE: Pages = Pages(224);

/// How many fewer pages may be free after a step that gives a node its first memory: every slab cache gets its part for the
/// node (mm/slub.c `slab_mem_going_online_callback`), and kswapd and kcompactd start. Seen: 43.
pub(crate) const NODE_TOLERANCE: Pages = Pages(96);

/// How far the free pages may be from the prediction, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeTolerance {
    /// So many fewer: a leak looks like this.
    pub below: Pages,
    /// So many more.
    pub(crate) above: Pages,
}

/// How much of what earlier steps took or gave beside the prediction may come back in one step, in pages: what the first step of its kind
/// may take. With all that a step may move by itself it stays under the 512 pages that the memmap of the smallest block has.
const COMING_BACK: Pages = Pages(128);

impl FreeTolerance {
    /// The tolerance of a step before which the free pages had drifted from the predictions by `drift` (fewer: negative). What was taken
    /// for a while comes back: seen on Debian 7.2, x86_64, 47 pages in an online, which the add before it had taken.
    pub fn after(self, drift: Pages) -> Self {
        let back = |pages: Pages| pages.clamp(Pages(0), COMING_BACK);
        Self {
            below: self.below + back(drift),
            above: self.above + back(-drift),
        }
    }

    /// The tolerance while the kernel reclaims: what it gets back by that nobody can predict, and a leak is one all the same.
    pub fn reclaiming(self) -> Self {
        Self {
            above: Pages(i64::MAX),
            ..self
        }
    }
}

/// What may differ, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tolerance {
    /// Free pages; `None`: not compared, because the guest's command line makes the kernel allocate for itself.
    pub free: Option<FreeTolerance>,
    /// Is `nr_memmap_pages` compared? `page_owner=on` adds to it.
    pub(crate) nr_memmap: bool,
    /// Are the taints compared that a fault leaves? Not where the kernel's log says what they come from.
    pub taint: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            free: Some(FreeTolerance {
                below: FREE_TOLERANCE,
                above: FREE_TOLERANCE,
            }),
            nr_memmap: true,
            taint: true,
        }
    }
}

/// The taints that a fault leaves, by bit and letter (Documentation/admin-guide/tainted-kernels.rst). All others say what was loaded, or
/// what somebody asked for.
const FAULTS: [(u32, char); 5] = [(4, 'M'), (5, 'B'), (7, 'D'), (9, 'W'), (14, 'L')];

/// The letters of those that are set; `none` without any.
fn faults(tainted: u64) -> String {
    let letters: String = FAULTS
        .iter()
        .filter(|(bit, _)| tainted >> bit & 1 == 1)
        .map(|(_, letter)| letter)
        .collect();
    if letters.is_empty() {
        "none".to_owned()
    } else {
        letters
    }
}

/// One value of a ledger. A record has it as text, see `record::MismatchRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A count, in the mismatch's unit.
    Count(i64),
    /// A word or a list.
    Text(String),
    /// It is not there.
    Absent,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(n) => n.fmt(f),
            Self::Text(text) => f.pad(text),
            Self::Absent => f.pad("absent"),
        }
    }
}

/// A counter that is not as predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The counter in the kernel's words, such as `node 0 zone Movable managed` or `memory33 valid_zones`.
    pub counter: String,
    /// Before the step.
    pub before: Reading,
    /// What the model says it must be after the step.
    pub predicted: Reading,
    /// What it is.
    pub seen: Reading,
    /// `pages`, `pfn`, `pageblocks`, or empty for words.
    pub unit: String,
    /// How far `seen` might have been from `predicted`, in `unit`.
    pub tolerance: i64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} must be {}, is {}",
            self.counter, self.before, self.predicted, self.seen
        )?;
        if let (Reading::Count(predicted), Reading::Count(seen)) = (&self.predicted, &self.seen) {
            write!(f, " ({:+} {}", seen - predicted, self.unit)?;
            if self.tolerance > 0 {
                write!(f, ", tolerance {}", self.tolerance)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// Unit and value of one counter.
type Row = (&'static str, Reading);

/// Every value of a ledger that is compared, by its name.
fn rows(ledger: &Ledger) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    let mut pages = |name: String, n: i64| rows.insert(name, ("pages", Reading::Count(n)));
    pages(MEM_TOTAL.to_owned(), ledger.mem_total.0);
    pages(FREE.to_owned(), ledger.free.0);
    if let Some(n) = ledger.nr_memmap {
        pages(NR_MEMMAP.to_owned(), n.0);
    }
    if let Some(n) = ledger.nr_memmap_boot {
        pages("nr_memmap_boot_pages".to_owned(), n.0);
    }
    for (id, zone) in &ledger.zones {
        pages(format!("{id} spanned"), zone.spanned.0);
        pages(format!("{id} present"), zone.present.0);
        pages(format!("{id} managed"), zone.managed.0);
    }
    for (id, zone) in &ledger.zones {
        rows.insert(
            format!("{id} start_pfn"),
            ("pfn", Reading::Count(zone.start_pfn as i64)),
        );
    }
    rows.insert(
        "isolated pageblocks".to_owned(),
        ("pageblocks", Reading::Count(ledger.isolated as i64)),
    );
    let mut text = |name: String, value: String| rows.insert(name, ("", Reading::Text(value)));
    for (id, block) in &ledger.blocks {
        text(format!("{id} state"), block.state.to_string());
        text(format!("{id} online"), u8::from(block.online).to_string());
        text(format!("{id} valid_zones"), block.valid_zones_text());
        text(format!("{id} removable"), u8::from(block.removable).to_string());
        text(format!("{id} phys_index"), format!("{:08x}", block.phys_index));
        text(format!("{id} phys_device"), block.phys_device.to_string());
        text(format!("{id} node"), block.node.to_string());
    }
    for (id, storage) in &ledger.storage {
        text(
            format!("firmware {id} config"),
            u8::from(storage.configured).to_string(),
        );
        text(
            format!("firmware {id} memmap_on_memory"),
            u8::from(storage.memmap_on_memory).to_string(),
        );
    }
    for ram in &ledger.ram {
        text(format!("iomem {:x}-{:x}", ram.start, ram.last), ram.name.clone());
    }
    text(TAINT.to_owned(), faults(ledger.tainted));
    text("auto_online_blocks".to_owned(), ledger.auto_online.to_string());
    match &ledger.hypervisor {
        Hypervisor::Standby {
            assigned,
            unassigned_core,
        } => {
            text("standby increments assigned".to_owned(), ranges(assigned));
            text("core increments not assigned".to_owned(), ranges(unassigned_core));
        }
        Hypervisor::Dimms(dimms) => {
            for (id, dimm) in dimms {
                text(format!("DIMM {id}"), dimm.to_string());
            }
        }
    }
    rows
}

const MEM_TOTAL: &str = "MemTotal";
const FREE: &str = "free (nr_free_pages + pcp count)";
const NR_MEMMAP: &str = "nr_memmap_pages";
const TAINT: &str = "taint by faults";

/// `1-3,8` for {1, 2, 3, 8}; `none` for the empty set.
fn ranges<'a>(numbers: impl IntoIterator<Item = &'a u32>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => parts.push((n, n)),
        }
    }
    if parts.is_empty() {
        return "none".to_owned();
    }
    let part = |(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// Every counter that is not as predicted, in the order of the counters' names.
///
/// Exact but for what `tolerance` names.
pub fn compare(before: &Ledger, predicted: &Ledger, seen: &Ledger, tolerance: Tolerance) -> Vec<Mismatch> {
    let (before, predicted, seen) = (rows(before), rows(predicted), rows(seen));
    let mut names: Vec<&String> = predicted.keys().chain(seen.keys()).collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let free = match (name.as_str(), tolerance.free) {
            (FREE, None) => continue,
            (NR_MEMMAP, _) if !tolerance.nr_memmap => continue,
            (TAINT, _) if !tolerance.taint => continue,
            (FREE, Some(free)) => free,
            _ => FreeTolerance {
                below: Pages(0),
                above: Pages(0),
            },
        };
        let reading = |rows: &BTreeMap<String, Row>| {
            rows.get(name)
                .map_or(Reading::Absent, |(_, reading)| reading.clone())
        };
        let (must, is) = (reading(&predicted), reading(&seen));
        let (equal, allowed) = match (&must, &is) {
            (Reading::Count(a), Reading::Count(b)) => {
                let allowed = if b < a { free.below } else { free.above };
                ((a - b).abs() <= allowed.0, allowed)
            }
            (a, b) => (a == b, Pages(0)),
        };
        if !equal {
            let unit = predicted.get(name).or_else(|| seen.get(name));
            found.push(Mismatch {
                counter: name.clone(),
                before: reading(&before),
                predicted: must,
                seen: is,
                unit: unit.map_or("", |(unit, _)| unit).to_owned(),
                tolerance: allowed.0,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: FreeTolerance = FreeTolerance {
        below: Pages(32),
        above: Pages(32),
    };

    #[test]
    fn what_an_add_took_may_come_back_in_the_online_after_it() {
        assert_eq!(
            STEP.after(Pages(-60)),
            FreeTolerance {
                below: Pages(32),
                above: Pages(92)
            }
        );
        assert_eq!(
            STEP.after(Pages(97)),
            FreeTolerance {
                below: Pages(129),
                above: Pages(32)
            }
        );
        assert_eq!(STEP.after(Pages(0)), STEP);
    }

    proptest! {
        #[test]
        fn no_drift_hides_a_memmap(drift in -100_000_i64..100_000, first in any::<bool>(), node in any::<bool>(), shrink in any::<bool>()) {
            let mut free = STEP;
            free.below = free.below + Pages(96 * i64::from(first)) + Pages(NODE_TOLERANCE.0 * i64::from(node));
            free.above = free.above + Pages(NODE_TOLERANCE.0 * i64::from(node)) + Pages(SHRINK_TOLERANCE.0 * i64::from(shrink));
            let wide = free.after(Pages(drift));
            // 128 MiB in pages of 4 KiB, 64 bytes each.
            let memmap = Pages((128 << 20) / 4096 * 64 / 4096);
            prop_assert!(wide.below < memmap && wide.above < memmap);
            prop_assert!(wide.below >= free.below && wide.above >= free.above);
        }
    }
}
