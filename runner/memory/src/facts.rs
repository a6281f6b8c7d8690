// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel is like, as far as its memory hotplug goes: found in the guest, never taken from a version string.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{AutoOnline, BlockId, Dimm};
use base::{Arch, ByteSize, PAGE_SIZE, Pages};

/// The shell script that prints which functions a kernel has, the first part of what [`MemoryFacts::parse`] reads. It runs in any guest
/// of the kernel, as root.
pub const SYMBOLS_SCRIPT: &str = include_str!("../../../guest-images/rootfs/symbols.sh");

/// The shell script that prints the rest. It runs in the guest, as root, once after boot.
pub const FACTS_SCRIPT: &str = include_str!("../../../guest-images/rootfs/facts.sh");

/// Which hotplug interface an s390 kernel has.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Generation {
    /// Standby blocks are there from boot on, without memmap_on_memory (to 6.8).
    G0,
    /// The same with memmap_on_memory, MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE (6.9 to 6.18).
    G1,
    /// Blocks come and go through `/sys/firmware/memory` (from 6.19 on).
    G2,
}

/// The module parameter `memory_hotplug.memmap_on_memory`, as it reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemmapMode {
    /// The kernel has no such parameter.
    Absent,
    /// `N`.
    Off,
    /// `Y`.
    On,
    /// `force` (from 6.6 on): the memmap is rounded up to whole pageblocks.
    Force,
}

/// What of an `add_memory` call gets its memmap from itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AltmapUnit {
    /// Only calls of exactly one block (6.1: mm/memory_hotplug.c `mhp_supports_memmap_on_memory`).
    WholeCall,
    /// Every block of a call for itself (from 6.8 on: `create_altmaps_and_memory_blocks`).
    EachBlock,
}

/// `memory_hotplug.online_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnlinePolicy {
    /// A block inherits the zone that lies around it.
    ContigZones,
    /// By the ratio of movable to kernel memory.
    AutoMovable,
}

/// Facts of one kernel in one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFacts {
    /// Architecture.
    pub arch: Arch,
    /// `uname -r`; never used to decide anything.
    pub release: String,
    /// `/proc/cmdline`.
    pub(crate) cmdline: String,
    /// `block_size_bytes`.
    pub block_size: ByteSize,
    /// `sizeof(struct page)`.
    pub(crate) struct_page: ByteSize,
    /// `pageblock_nr_pages`.
    pub(crate) pageblock: Pages,
    /// memmap_on_memory.
    pub memmap_on_memory: MemmapMode,
    /// What of an add call can carry its own memmap.
    pub(crate) altmap_unit: AltmapUnit,
    /// Interface generation on s390; `None` on x86, which has one interface.
    pub generation: Option<Generation>,
    /// s390: the CPU has EDAT-1; without it 6.9 to 6.18 never use memmap_on_memory (drivers/s390/char/sclp_cmd.c, 6.12).
    /// `true` on x86.
    pub(crate) edat1: bool,
    /// s390: size of a storage increment, from the hypervisor; `None` on x86 or without standby memory.
    pub increment: Option<ByteSize>,
    /// `/proc/vmstat` has nr_memmap_pages.
    pub(crate) nr_memmap: bool,
    /// How the zone of a plain `online` is chosen.
    pub(crate) online_policy: OnlinePolicy,
    /// `memory_hotplug.auto_movable_ratio`, in percent.
    pub(crate) auto_movable_ratio: i64,
    /// `memory_hotplug.auto_movable_numa_aware`; `false` without NUMA.
    pub(crate) auto_movable_numa_aware: bool,
    /// `movable_node` on the command line.
    pub(crate) movable_node: bool,
    /// `auto_online_blocks` after boot.
    pub(crate) auto_online: AutoOnline,
    /// Blocks have `valid_zones` and can be offlined (CONFIG_MEMORY_HOTREMOVE).
    pub(crate) hotremove: bool,
    /// `/sys/firmware/memory` is there.
    pub(crate) firmware_memory: bool,
    /// `page_owner=on`: onlining allocates from system memory and counts it in nr_memmap_pages.
    pub(crate) page_owner: bool,
    /// `debug_pagealloc=on`: memory is mapped page by page, so that page tables take much.
    pub(crate) debug_pagealloc: bool,
    /// KASAN: onlining allocates shadow memory.
    pub(crate) kasan: bool,
}

/// Why a guest's facts could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The script did not print it.
    #[error("the guest does not show `{0}`")]
    Missing(&'static str),
    /// It printed something else.
    #[error("the guest shows `{key}` as `{text}`: {why}")]
    Bad {
        /// Which fact.
        key: &'static str,
        /// The text.
        text: String,
        /// What is wrong.
        why: String,
    },
}

/// Pages of a huge page in the middle of the page tables, by which a block's memmap must be aligned for altmap.
const fn pmd_bytes(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 => 2 << 20,
        Arch::S390x => 1 << 20,
    }
}

impl MemoryFacts {
    /// The numbers of the storage increments that a block consists of, ascending; none where there are no increments. Increment n starts at (n - 1) times
    /// its size.
    pub fn increments(&self, block: BlockId) -> Range<u32> {
        let Some(increment) = self.increment else {
            return 0..0;
        };
        let size = increment.as_bytes();
        let first = block.start(self.block_size) / size;
        let end = BlockId(block.0 + 1).start(self.block_size).div_ceil(size);
        first as u32 + 1..end as u32 + 1
    }

    /// Reads the output of [`SYMBOLS_SCRIPT`] and, after it, of [`FACTS_SCRIPT`]; `increment` is what the hypervisor says (s390).
    ///
    /// # Errors
    /// The guest does not show something that is needed, or it cannot be read.
    pub fn parse(text: &str, increment: Option<ByteSize>) -> Result<Self, FactsError> {
        let shown = Shown::new(text)?;
        let machine = shown.one("machine")?;
        let arch: Arch = machine.parse().map_err(bad("machine", machine))?;
        let cmdline = shown.one("/proc/cmdline")?.to_owned();
        let has_word = |word: &str| cmdline.split_whitespace().any(|w| w == word);
        if !shown.symbol("memory_subsys_online") {
            return Err(FactsError::Missing("memory_subsys_online in /proc/kallsyms"));
        }
        let page_size = shown.one("/proc/self/smaps").unwrap_or("KernelPageSize: 4 kB");
        if page_size.split_whitespace().nth(1) != Some("4") {
            return Err(bad("/proc/self/smaps", page_size)("expected pages of 4 kB"));
        }
        let mode = match shown.one(MEMMAP_PARAMETER) {
            Err(_) => MemmapMode::Absent,
            Ok("N") => MemmapMode::Off,
            Ok("Y") => MemmapMode::On,
            Ok("force") => MemmapMode::Force,
            Ok(other) => return Err(bad(MEMMAP_PARAMETER, other)("expected N, Y or force")),
        };
        let online_policy = match shown.one(POLICY_PARAMETER) {
            Err(_) | Ok("contig-zones") => OnlinePolicy::ContigZones,
            Ok("auto-movable") => OnlinePolicy::AutoMovable,
            Ok(other) => {
                return Err(bad(POLICY_PARAMETER, other)(
                    "expected contig-zones or auto-movable",
                ));
            }
        };
        let firmware_memory = shown.one("firmware_memory").is_ok();
        let generation = (arch == Arch::S390x).then(|| {
            if firmware_memory || shown.symbol("sclp_config_mem_store") {
                Generation::G2
            } else if mode == MemmapMode::Absent {
                Generation::G0
            } else {
                Generation::G1
            }
        });
        let splits = shown.symbol("count_memory_range_altmaps_cb")
            || shown.symbol("create_altmaps_and_memory_blocks")
            || shown.symbol("remove_memory_blocks_and_altmaps");
        let auto_online = shown.one(AUTO_ONLINE)?;
        Ok(Self {
            arch,
            release: shown.one("/proc/sys/kernel/osrelease")?.to_owned(),
            block_size: ByteSize::bytes(shown.number(BLOCK_SIZE, "", 16)?),
            struct_page: ByteSize::bytes(shown.number("vmcoreinfo", "SIZE(page)=", 10)?),
            pageblock: Pages(shown.number("/proc/pagetypeinfo", "Pages per block:", 10)? as i64),
            memmap_on_memory: mode,
            altmap_unit: if splits {
                AltmapUnit::EachBlock
            } else {
                AltmapUnit::WholeCall
            },
            generation,
            edat1: arch == Arch::X86_64
                || shown
                    .one("/proc/cpuinfo")?
                    .split_whitespace()
                    .any(|feature| feature == "edat"),
            increment,
            nr_memmap: shown.one("/proc/vmstat").is_ok(),
            online_policy,
            auto_movable_ratio: match shown.one(RATIO_PARAMETER) {
                Err(_) => 0,
                Ok(text) => text.parse().map_err(bad(RATIO_PARAMETER, text))?,
            },
            auto_movable_numa_aware: shown.one(NUMA_PARAMETER) == Ok("Y"),
            movable_node: has_word("movable_node"),
            auto_online: auto_online.parse().map_err(bad(AUTO_ONLINE, auto_online))?,
            hotremove: shown.one("valid_zones").is_ok(),
            firmware_memory,
            page_owner: has_word("page_owner=on"),
            debug_pagealloc: has_word("debug_pagealloc=on"),
            kasan: shown.symbol("kasan_report"),
            cmdline,
        })
    }

    /// The node that a DIMM comes to. The machine names its proximity domains as its nodes are numbered, and the kernel numbers them in that order
    /// (drivers/acpi/numa/srat.c `acpi_map_pxm_to_node`); told to ignore that, it has one node.
    pub(crate) fn node_of(&self, dimm: &Dimm) -> u32 {
        let ignored = |word: &str| ["numa=off", "numa=noacpi"].contains(&word);
        if self.cmdline.split_whitespace().any(ignored) {
            0
        } else {
            dimm.node
        }
    }

    /// Pages of one block.
    pub fn block_pages(&self) -> Pages {
        self.block_size.pages()
    }

    /// V0: pages that the memmap of one block takes.
    pub(crate) fn memmap_pages(&self) -> Pages {
        Pages(self.memmap_bytes().div_ceil(PAGE_SIZE) as i64)
    }

    fn memmap_bytes(&self) -> u64 {
        self.block_pages().0.unsigned_abs() * self.struct_page.as_bytes()
    }

    /// V: pages that each block of an add call keeps for its own memmap; `None` if the memmap comes from system memory.
    ///
    /// The caller of `add_memory` is taken to ask for it, as ACPI and SCLP do. `call_blocks` is the number of blocks of the
    /// call. After `mhp_supports_memmap_on_memory` (mm/memory_hotplug.c, 6.12; 6.1 has the same conditions for one
    /// block), and s390's `MHP_NONE` without EDAT-1 (drivers/s390/char/sclp_cmd.c, 6.12).
    pub(crate) fn altmap(&self, call_blocks: usize) -> Option<Pages> {
        let pageblock = self.pageblock.0.unsigned_abs();
        let v0 = self.memmap_pages().0.unsigned_abs();
        let v = match self.memmap_on_memory {
            MemmapMode::Absent | MemmapMode::Off => return None,
            MemmapMode::On => v0,
            MemmapMode::Force => v0.next_multiple_of(pageblock),
        };
        let asked = match self.generation {
            None | Some(Generation::G2) => true,
            Some(Generation::G1) => self.edat1,
            Some(Generation::G0) => false,
        };
        let bytes = self.memmap_bytes();
        let used = asked
            && (call_blocks == 1 || self.altmap_unit == AltmapUnit::EachBlock)
            && bytes.is_multiple_of(PAGE_SIZE)
            && v.is_multiple_of(pageblock)
            && v != self.block_pages().0.unsigned_abs()
            && bytes.is_multiple_of(pmd_bytes(self.arch));
        used.then_some(Pages(v as i64))
    }
}

const MEMMAP_PARAMETER: &str = "/sys/module/memory_hotplug/parameters/memmap_on_memory";
const POLICY_PARAMETER: &str = "/sys/module/memory_hotplug/parameters/online_policy";
const RATIO_PARAMETER: &str = "/sys/module/memory_hotplug/parameters/auto_movable_ratio";
const NUMA_PARAMETER: &str = "/sys/module/memory_hotplug/parameters/auto_movable_numa_aware";
const AUTO_ONLINE: &str = "/sys/devices/system/memory/auto_online_blocks";
const BLOCK_SIZE: &str = "/sys/devices/system/memory/block_size_bytes";

fn bad<E: std::fmt::Display>(key: &'static str, text: &str) -> impl FnOnce(E) -> FactsError {
    move |why| FactsError::Bad {
        key,
        text: text.to_owned(),
        why: why.to_string(),
    }
}

/// The lines `key:value` of the script's output.
struct Shown<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Shown<'a> {
    fn new(text: &'a str) -> Result<Self, FactsError> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let lines: Vec<_> = lines.map(|(key, value)| (key, value.trim())).collect();
        match lines.last() {
            Some(("end", _)) => Ok(Self(lines)),
            _ => Err(FactsError::Missing("end")),
        }
    }

    fn one(&self, key: &'static str) -> Result<&'a str, FactsError> {
        let found = self.0.iter().find(|(k, _)| *k == key);
        found.map(|(_, value)| *value).ok_or(FactsError::Missing(key))
    }

    fn number(&self, key: &'static str, prefix: &str, radix: u32) -> Result<u64, FactsError> {
        let text = self.one(key)?;
        let digits = text.strip_prefix(prefix).unwrap_or(text).trim();
        match u64::from_str_radix(digits, radix) {
            Ok(0) => Err(bad(key, text)("it is zero")),
            Ok(n) => Ok(n),
            Err(e) => Err(bad(key, text)(e)),
        }
    }

    fn symbol(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(key, value)| *key == "symbol" && *value == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive;

    fn x86(block: ByteSize, pageblock: i64, mode: MemmapMode) -> MemoryFacts {
        MemoryFacts {
            block_size: block,
            struct_page: ByteSize::bytes(64),
            pageblock: Pages(pageblock),
            ..naive::facts(None, mode)
        }
    }

    fn s390(block: ByteSize, pageblock: i64, mode: MemmapMode) -> MemoryFacts {
        MemoryFacts {
            generation: Some(Generation::G1),
            arch: Arch::S390x,
            ..x86(block, pageblock, mode)
        }
    }

    const M128: ByteSize = ByteSize::mib(128);
    const M256: ByteSize = ByteSize::mib(256);

    #[test]
    fn v_is_what_the_table_of_architectures_says() {
        use MemmapMode::*;
        // Architecture, block, pageblock, mode: V. Without HUGETLB_PAGE a pageblock is 1024 pages.
        let cases = [
            (x86(M128, 512, On), Some(512)),
            (x86(M128, 1024, On), None),
            (x86(M128, 1024, Force), Some(1024)),
            (x86(M128, 512, Force), Some(512)),
            (x86(M128, 512, Off), None),
            (x86(M128, 512, Absent), None),
            (s390(M256, 256, On), Some(1024)),
            (s390(M256, 1024, On), Some(1024)),
            (s390(M128, 256, On), Some(512)),
            (s390(M128, 1024, On), None),
            (s390(M128, 1024, Force), Some(1024)),
            (s390(ByteSize::mib(512), 256, On), Some(2048)),
        ];
        for (facts, v) in cases {
            assert_eq!(facts.altmap(1), v.map(Pages), "{facts:?}");
        }
    }

    #[test]
    fn altmap_needs_a_memmap_of_whole_middle_pages() {
        // A struct page of 56 bytes: 7/8 of 2 MiB.
        let mut facts = x86(M128, 64, MemmapMode::On);
        facts.struct_page = ByteSize::bytes(56);
        assert_eq!(facts.memmap_pages(), Pages(448));
        assert_eq!(facts.altmap(1), None);
    }

    #[test]
    fn a_call_of_several_blocks_gets_altmap_only_where_it_is_split() {
        let mut facts = x86(M128, 512, MemmapMode::On);
        assert_eq!(facts.altmap(8), Some(Pages(512)));
        facts.altmap_unit = AltmapUnit::WholeCall;
        assert_eq!(facts.altmap(8), None);
        assert_eq!(facts.altmap(1), Some(Pages(512)));
    }

    #[test]
    fn a_dimm_comes_to_its_node_unless_the_kernel_is_told_to_have_one() {
        let mut facts = x86(M128, 512, MemmapMode::On);
        let dimm = Dimm {
            address: 1 << 32,
            size: M128,
            slot: 0,
            node: 2,
        };
        assert_eq!(facts.node_of(&dimm), 2);
        facts.cmdline = "quiet numa=fake=2".to_owned();
        assert_eq!(facts.node_of(&dimm), 2);
        facts.cmdline = "quiet numa=off".to_owned();
        assert_eq!(facts.node_of(&dimm), 0);
    }

    #[test]
    fn without_edat1_only_the_middle_generation_gives_up() {
        let mut facts = s390(M256, 256, MemmapMode::On);
        facts.edat1 = false;
        assert_eq!(facts.altmap(1), None);
        facts.generation = Some(Generation::G2);
        assert_eq!(facts.altmap(1), Some(Pages(1024)));
        facts.generation = Some(Generation::G0);
        assert_eq!(facts.altmap(1), None);
    }

    const SHOWN: &str = "machine:s390x
/proc/sys/kernel/osrelease:6.12.107
/proc/cmdline:quiet movable_node page_owner=on
/sys/devices/system/memory/block_size_bytes:10000000
/sys/devices/system/memory/auto_online_blocks:online_movable
/sys/module/memory_hotplug/parameters/memmap_on_memory:Y
/sys/module/memory_hotplug/parameters/online_policy:contig-zones
/proc/pagetypeinfo:Pages per block:  256
/proc/vmstat:nr_memmap_pages 8192
/proc/cpuinfo:features\t: esan3 zarch edat vx
vmcoreinfo:SIZE(page)=64
symbol:memory_subsys_online
symbol:sclp_mem_notifier
end:
";

    #[test]
    fn facts_are_read_as_shown() {
        let facts = MemoryFacts::parse(SHOWN, Some(M128)).unwrap();
        assert_eq!(facts.generation, Some(Generation::G1));
        assert_eq!(facts.block_size, M256);
        assert_eq!(facts.altmap_unit, AltmapUnit::WholeCall);
        assert!(facts.edat1 && facts.movable_node && facts.page_owner && facts.nr_memmap);
        assert!(!facts.kasan && !facts.hotremove);
        assert_eq!(facts.auto_online, AutoOnline::OnlineMovable);
    }

    #[test]
    fn the_interface_decides_the_generation_and_not_the_version() {
        let generation = |text: String| MemoryFacts::parse(&text, None).unwrap().generation;
        let without = SHOWN.replace("/sys/module/memory_hotplug/parameters/memmap_on_memory:Y\n", "");
        assert_eq!(generation(without), Some(Generation::G0));
        let with_directory = SHOWN.replace("end:", "firmware_memory:1\nend:");
        assert_eq!(generation(with_directory), Some(Generation::G2));
        let without_standby = SHOWN.replace("sclp_mem_notifier", "sclp_config_mem_store");
        assert_eq!(generation(without_standby), Some(Generation::G2));
    }

    #[test]
    fn what_does_not_show_is_named() {
        let error = |text: &str| MemoryFacts::parse(text, None).unwrap_err().to_string();
        for (line, named) in [
            ("vmcoreinfo:SIZE(page)=64\n", "vmcoreinfo"),
            ("symbol:memory_subsys_online\n", "/proc/kallsyms"),
            ("/proc/pagetypeinfo:Pages per block:  256\n", "/proc/pagetypeinfo"),
            ("end:\n", "end"),
        ] {
            let text = error(&SHOWN.replace(line, ""));
            assert!(text.contains(named), "{text}");
        }
        let text = error(&SHOWN.replace("memory:Y", "memory:perhaps"));
        assert!(text.contains("`perhaps`: expected N, Y or force"), "{text}");
        assert!(error(&SHOWN.replace("SIZE(page)=64", "SIZE(page)=0")).contains("zero"));
    }
}
