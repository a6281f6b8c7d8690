// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the scripts print in a guest with these facts and counters: the way back of reading them.

use std::fmt::Write as _;

use super::{Generation, Ledger, MemmapMode, MemoryFacts, OnlinePolicy, facts::AltmapUnit};
use base::Arch;

impl Ledger {
    /// What [`LEDGER_SCRIPT`](super::LEDGER_SCRIPT) prints; what the hypervisor has handed out is none of it.
    pub fn print(&self) -> String {
        let mut text = String::new();
        let mut line = |file: &str, content: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{file}:{content}");
        };
        let flag = |on: bool| u8::from(on).to_string();
        for (at, (id, zone)) in self.zones.iter().enumerate() {
            let free = if at == 0 { self.free.0 } else { 0 };
            line("/proc/zoneinfo", format!("Node {}, zone {:>8}", id.node, id.zone));
            for (word, value) in [
                ("nr_free_pages", free),
                ("spanned", zone.spanned.0),
                ("present", zone.present.0),
                ("managed", zone.managed.0),
                ("start_pfn:", zone.start_pfn as i64),
            ] {
                line("/proc/zoneinfo", format!("  {word} {value}"));
            }
        }
        line("/proc/meminfo", format!("MemTotal: {} kB", self.mem_total.0 * 4));
        for (word, pages) in [
            ("nr_memmap_pages", self.nr_memmap),
            ("nr_memmap_boot_pages", self.nr_memmap_boot),
        ] {
            if let Some(pages) = pages {
                line("/proc/vmstat", format!("{word} {}", pages.0));
            }
        }
        for ram in &self.ram {
            line(
                "/proc/iomem",
                format!("{:08x}-{:08x} : {}", ram.start, ram.last, ram.name),
            );
        }
        line("auto_online_blocks", self.auto_online.to_string());
        line("/proc/sys/kernel/tainted", self.tainted.to_string());
        for (id, block) in &self.blocks {
            for (file, content) in [
                ("state", block.state.to_string()),
                ("online", flag(block.online)),
                ("valid_zones", block.valid_zones_text()),
                ("removable", flag(block.removable)),
                ("phys_index", format!("{:08x}", block.phys_index)),
                ("phys_device", block.phys_device.to_string()),
            ] {
                line(&format!("{id}/{file}"), content);
            }
        }
        for (id, storage) in &self.storage {
            let file = |name: &str| format!("/sys/firmware/memory/{id}/{name}");
            line(&file("config"), flag(storage.configured));
            line(&file("memmap_on_memory"), flag(storage.memmap_on_memory));
        }
        let nodes = self
            .blocks
            .iter()
            .map(|(id, block)| format!(" {id}/node{}", block.node));
        line("nodes", nodes.collect());
        line("end", String::new());
        text
    }
}

impl MemoryFacts {
    /// What [`SYMBOLS_SCRIPT`](super::SYMBOLS_SCRIPT) prints, and what [`FACTS_SCRIPT`](super::FACTS_SCRIPT) does.
    pub fn print(&self) -> (String, String) {
        let symbols = [
            ("memory_subsys_online", true),
            ("sclp_config_mem_store", self.generation == Some(Generation::G2)),
            (
                "count_memory_range_altmaps_cb",
                self.altmap_unit == AltmapUnit::EachBlock,
            ),
            ("kasan_report", self.kasan),
        ];
        let there = symbols.iter().filter(|(_, there)| *there);
        let symbols = there.map(|(symbol, _)| format!("symbol:{symbol}\n")).collect();
        let machine = match self.arch {
            Arch::X86_64 => "x86_64",
            Arch::S390x => "s390x",
        };
        let parameter =
            |name: &str, value: &str| format!("/sys/module/memory_hotplug/parameters/{name}:{value}");
        let mode = match self.memmap_on_memory {
            MemmapMode::Absent => None,
            MemmapMode::Off => Some("N"),
            MemmapMode::On => Some("Y"),
            MemmapMode::Force => Some("force"),
        };
        let policy = match self.online_policy {
            OnlinePolicy::ContigZones => "contig-zones",
            OnlinePolicy::AutoMovable => "auto-movable",
        };
        let aware = if self.auto_movable_numa_aware { "Y" } else { "N" };
        let some = |there: bool, text: &str| there.then(|| text.to_owned());
        let lines = [
            Some(format!("machine:{machine}")),
            Some(format!("/proc/sys/kernel/osrelease:{}", self.release)),
            Some(format!("/proc/cmdline:{}", self.cmdline)),
            Some(format!(
                "/sys/devices/system/memory/block_size_bytes:{:x}",
                self.block_size.as_bytes()
            )),
            Some(format!(
                "/sys/devices/system/memory/auto_online_blocks:{}",
                self.auto_online
            )),
            mode.map(|mode| parameter("memmap_on_memory", mode)),
            Some(parameter("online_policy", policy)),
            Some(parameter(
                "auto_movable_ratio",
                &self.auto_movable_ratio.to_string(),
            )),
            Some(parameter("auto_movable_numa_aware", aware)),
            Some(format!(
                "/proc/pagetypeinfo:Pages per block: {}",
                self.pageblock.0
            )),
            some(self.nr_memmap, "/proc/vmstat:nr_memmap_pages 0"),
            Some(format!(
                "/proc/cpuinfo:features: esan3 zarch{}",
                if self.edat1 { " edat" } else { "" }
            )),
            Some(format!("vmcoreinfo:SIZE(page)={}", self.struct_page.as_bytes())),
            some(self.firmware_memory, "firmware_memory:1"),
            some(self.hotremove, "valid_zones:1"),
            Some("end:".to_owned()),
        ];
        let lines = lines.into_iter().flatten().map(|line| line + "\n");
        (symbols, lines.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BlockId, OnlineKind, Op,
        naive::{CORE, World, facts},
    };

    const GUESTS: [(Option<Generation>, MemmapMode); 5] = [
        (None, MemmapMode::Off),
        (None, MemmapMode::On),
        (Some(Generation::G0), MemmapMode::Absent),
        (Some(Generation::G1), MemmapMode::On),
        (Some(Generation::G2), MemmapMode::Force),
    ];

    #[test]
    fn a_ledger_that_was_printed_reads_back() {
        for (generation, mode) in GUESTS {
            let mut world = World::new(&facts(generation, mode));
            world.step(&Op::Online {
                block: BlockId(CORE),
                kind: OnlineKind::Movable,
                via_online_file: false,
            });
            let ledger = world.ledger();
            let read = Ledger::parse(&ledger.print(), ledger.hypervisor.clone());
            assert_eq!(read.as_ref(), Ok(&ledger), "{generation:?}");
        }
    }

    #[test]
    fn facts_that_were_printed_read_back() {
        for (generation, mode) in GUESTS {
            let facts = facts(generation, mode);
            let (symbols, lines) = facts.print();
            let read = MemoryFacts::parse(&(symbols + &lines), facts.increment);
            assert_eq!(read.as_ref(), Ok(&facts), "{generation:?}");
        }
    }
}
