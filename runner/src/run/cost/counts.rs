// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the plugin wrote, and what repeats of it.

use std::collections::BTreeMap;

use super::{CostOptions, plan::Said};
use crate::{
    base::Arch,
    record::{OperationCost, steady},
};

/// Functions that are left out of the count, with all that they call: what they find to do depends on what else is in the guest, and moved the
/// counts of one operation by hundreds of instructions (Debian 6.12, x86_64).
pub(super) const LEFT_OUT: [&str; 16] = [
    // Which task comes next, and how long ago the last one ran.
    "__schedule",
    "try_to_wake_up",
    // How many workers have nothing to do.
    "worker_enter_idle",
    "worker_leave_idle",
    // Which object is at hand, and how many slabs are partly free.
    "__kmalloc[a-z_]*",
    "kmalloc_trace",
    "kmem_cache_alloc[a-z_]*",
    "kmem_cache_free",
    "kfree",
    // What lies around the object that is copied.
    "__check_object_size",
    "__kmem_cache_do_shrink",
    "__kmem_cache_shrink",
    "flush_all_cpus_locked",
    // Whether the clock has gone on since the file was written before.
    "file_update_time",
    "inode_needs_update_time",
    // Whether random numbers are left.
    "get_random_u[0-9]*",
];

/// Stops what the kernel does once a second, and has programs lie where they always do: a text on two pages costs more to
/// write. Prints where the kernel is entered, and where functions begin that are left out.
pub(super) fn quiet_script() -> String {
    format!(
        "echo 3600 > /proc/sys/vm/stat_interval\n\
         echo 0 > /proc/sys/kernel/randomize_va_space\n\
         grep -E ' (asm_(sysvec|exc)_.*|asm_(common|spurious)_interrupt|(ext|io|mcck)_int_handler|pgm_check_handler|({})([.].*)?)$' \
         /proc/kallsyms",
        LEFT_OUT.join("|")
    )
}

/// The file of the plugin that says where these are, from lines of /proc/kallsyms.
pub(super) fn entry_points(symbols: &str) -> String {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (Some(address), Some("t" | "T"), Some(name)) = (words.next(), words.next(), words.next()) else {
            return None;
        };
        let kind = if name.starts_with("asm_exc_") || name == "pgm_check_handler" {
            'e'
        } else if name.starts_with("asm_") || name.ends_with("_int_handler") {
            'i'
        } else {
            'c'
        };
        Some(format!("{kind} {address}\n"))
    };
    symbols.lines().filter_map(entry).collect()
}

/// Guest time of ticks of the processor's clock, where one instruction takes a nanosecond.
pub(super) fn nanoseconds(arch: Arch, ticks: u64) -> u64 {
    match arch {
        Arch::X86_64 => ticks,
        // Bit 51 of the TOD clock is a microsecond.
        Arch::S390x => ticks.saturating_mul(125) / 512,
    }
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// Instructions.
    pub(super) total: u64,
    /// Those of each block of code, by its address; at 0 is what makes up the total.
    pub(super) blocks: Option<BTreeMap<u64, i64>>,
}

/// Reads what the plugin wrote (`guest-images/qemu/plugin/cost.c`).
pub(super) fn counted(text: &str) -> Result<Vec<Counted>, String> {
    let mut counts = Vec::new();
    let mut blocks: BTreeMap<u64, i64> = BTreeMap::new();
    for line in text.lines() {
        let wrong = || format!("the plugin's count does not read: `{line}`");
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("b"), Some(address), Some(count), None) => {
                let address = u64::from_str_radix(address, 16).map_err(|_| wrong())?;
                *blocks.entry(address).or_default() += count.parse::<i64>().map_err(|_| wrong())?;
            }
            (Some("="), Some(total), None, None) => {
                let total: u64 = total.parse().map_err(|_| wrong())?;
                let rest = i64::try_from(total).map_err(|_| wrong())? - blocks.values().sum::<i64>();
                *blocks.entry(0).or_default() += rest;
                counts.push(Counted {
                    total,
                    blocks: Some(std::mem::take(&mut blocks)),
                });
            }
            _ => return Err(wrong()),
        }
    }
    match blocks.is_empty() {
        true => Ok(counts),
        false => Err("the plugin's last count has no end".to_owned()),
    }
}

/// Takes away the first count, which is that of a loop of a known length: a plugin that counts wrongly is found out in each guest.
pub(super) fn without_loop(arch: Arch, mut counts: Vec<Counted>) -> Result<Vec<Counted>, String> {
    // 1000 turns, and the marker (guest-images/rootfs/cost-ARCH.S).
    let known = match arch {
        Arch::X86_64 => 2001,
        Arch::S390x => 1001,
    };
    match counts.first() {
        Some(first) if first.total == known => Ok(counts.split_off(1)),
        first => Err(format!(
            "the plugin counts {} instructions for a loop of {known}",
            first.map_or(0, |first| first.total)
        )),
    }
}

/// The costs of each operation, without the warm-up.
pub(super) fn sorted(said: &[Said], counts: Vec<Counted>, options: &CostOptions) -> Vec<OperationCost> {
    let mut operations: Vec<(&str, Vec<Counted>)> = Vec::new();
    for (said, count) in said.iter().zip(counts) {
        match operations.iter_mut().find(|(name, _)| *name == said.name) {
            Some((_, counts)) => counts.push(count),
            None => operations.push((said.name, vec![count])),
        }
    }
    let cost = |(name, mut counts): (&str, Vec<Counted>)| {
        counts.drain(..counts.len().min(options.warm_up as usize));
        let samples = counts.iter().map(|count| count.total).collect();
        let blocks: Option<Vec<_>> = counts.into_iter().map(|count| count.blocks).collect();
        OperationCost {
            name: name.to_owned(),
            samples,
            steady: blocks.and_then(|blocks| steady(&blocks)),
        }
    };
    operations.into_iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::plan::{said, tests::g2},
        *,
    };

    #[test]
    fn counts_are_read_whole_or_not_at_all() {
        let text = "b ffffffff81000000 990\nb 400078 20\n= 1003\nb 400078 10\nb 400078 5\n= 15\n";
        let counts = counted(text).unwrap();
        assert_eq!(counts[0].total, 1003);
        let blocks = counts[0].blocks.clone().unwrap();
        assert_eq!(
            blocks,
            BTreeMap::from([(0, -7), (0x40_0078, 20), (0xffff_ffff_8100_0000, 990)])
        );
        // QEMU may have translated a block twice.
        assert_eq!(counts[1].blocks, Some(BTreeMap::from([(0, 0), (0x40_0078, 15)])));
        assert_eq!(counted(""), Ok(vec![]));
        for wrong in [
            "b 400078 20\n",
            "b 400078\n= 3\n",
            "= x\n",
            "= -3\n",
            "b 1 2 3\n= 2\n",
            "1 7\n",
        ] {
            assert!(counted(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_clock_of_s390x_has_4096_units_a_microsecond() {
        assert_eq!(nanoseconds(Arch::S390x, 4096), 1000);
        assert_eq!(nanoseconds(Arch::X86_64, 4096), 4096);
    }

    #[test]
    fn a_plugin_that_counts_wrongly_is_found_out() {
        let counts = |first| counted(&format!("= {first}\n= 7\n")).unwrap();
        assert_eq!(
            without_loop(Arch::X86_64, counts(2001)),
            Ok(counted("= 7\n").unwrap())
        );
        assert_eq!(
            without_loop(Arch::S390x, counts(1001)),
            Ok(counted("= 7\n").unwrap())
        );
        assert_eq!(
            without_loop(Arch::X86_64, counts(2000)).unwrap_err(),
            "the plugin counts 2000 instructions for a loop of 2001"
        );
        assert!(without_loop(Arch::S390x, Vec::new()).is_err());
    }

    #[test]
    fn the_warm_up_is_left_out_of_each_operation() {
        let options = CostOptions {
            repetitions: 2,
            warm_up: 1,
            memmap_on_memory: true,
        };
        let said = said(&g2(), &"0 0\n".repeat(12)).unwrap();
        let count = |total: u64| Counted {
            total,
            blocks: Some(BTreeMap::from([(0, total as i64)])),
        };
        let costs = sorted(&said, (0..12).map(count).collect(), &options);
        assert_eq!(
            (costs[0].samples.as_slice(), costs[0].steady),
            (&[4, 8][..], Some(4))
        );
        assert_eq!(
            (costs[3].name.as_str(), costs[3].samples.as_slice()),
            ("remove", &[7, 11][..])
        );
        assert_eq!(options.variant(), "memmap_on_memory=on");
        let timed = |total| Counted { total, blocks: None };
        assert_eq!(
            sorted(&said, (0..12).map(timed).collect(), &options)[0].steady,
            None
        );
    }

    #[test]
    fn the_plugin_is_told_where_the_kernel_is_entered() {
        let symbols = "ffffffff82000b10 T asm_exc_page_fault\nffffffff82000cd0 T asm_sysvec_apic_timer_interrupt\n\
                       0000000000b1c2d0 T pgm_check_handler\n0000000000b1c4f0 T ext_int_handler\n\
                       00000000003b0010 t __kmem_cache_do_shrink.isra.0\n00000000003b0020 d __schedule\nbroken\n";
        assert_eq!(
            entry_points(symbols),
            "e ffffffff82000b10\ni ffffffff82000cd0\ne 0000000000b1c2d0\ni 0000000000b1c4f0\nc 00000000003b0010\n"
        );
    }
}
