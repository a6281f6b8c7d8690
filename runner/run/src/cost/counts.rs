// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the plugin wrote, and what repeats of it.

use std::collections::BTreeMap;

use super::{functions::FunctionPlaces, measure::CostOptions};
use base::Arch;
use record::{OperationCost, steady, total};

/// Functions that are left out of the count, with all that they call: what they find to do depends on what else is in the guest, and moved the
/// counts of one operation by hundreds of instructions (Debian 6.12, x86_64).
pub(super) const LEFT_OUT: [&str; 19] = [
    // Which task comes next, and how long ago the last one ran.
    "__schedule",
    "try_to_wake_up",
    // What else runs while nobody may look any more, and how many wait for that.
    "synchronize_rcu[a-z_]*",
    "(__)?call_rcu[a-z_]*",
    "kvfree_call_rcu",
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

/// What a thread of the kernel's does when a DIMM is plugged or ejected, and the function of the memory hotplug core that does it (6.1 to 7.3:
/// drivers/acpi/acpi_memhotplug.c calls it, and mm/memory_hotplug.c has it, so that it is not inlined).
pub(super) const WHOLE: [(&str, &str); 2] = [("add", "__add_memory"), ("remove", "__remove_memory")];

/// Stops what the kernel does once a second, and the guest's listener to uevents, which else runs in the middle of operations; and has
/// programs lie where they always do: a text on two pages costs more to write. Prints where the kernel is entered, and where functions begin that are left out or counted as a whole.
pub(super) fn quiet_script() -> String {
    format!(
        "kill $(pidof memrig-uevents) || exit\n\
         echo 3600 > /proc/sys/vm/stat_interval\n\
         echo 0 > /proc/sys/kernel/randomize_va_space\n\
         grep -E ' (asm_(sysvec|exc)_.*|asm_(common|spurious)_interrupt|(ext|io|mcck)_int_handler|pgm_check_handler|({})([.].*)?|{})$' \
         /proc/kallsyms",
        LEFT_OUT.join("|"),
        WHOLE.map(|(_, function)| function).join("|")
    )
}

/// A function of a line of /proc/kallsyms.
fn function(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(address), Some("t" | "T"), Some(name)) => Some((address, name)),
        _ => None,
    }
}

/// The file of the plugin that says where these are, from lines of /proc/kallsyms.
pub(super) fn entry_points(arch: Arch, symbols: &str) -> String {
    let entry = |line: &str| {
        let (address, name) = function(line)?;
        let kind = if name.starts_with("asm_exc_") || name == "pgm_check_handler" {
            'e'
        } else if name.starts_with("asm_") || name.ends_with("_int_handler") {
            'i'
        } else if WHOLE.iter().any(|(_, whole)| *whole == name) {
            // Where a write adds a block, the markers are around all of it.
            (arch == Arch::X86_64).then_some('w')?
        } else {
            'c'
        };
        Some(format!("{kind} {address}\n"))
    };
    symbols.lines().filter_map(entry).collect()
}

/// The addresses of the functions that are counted as a whole, with the names of what they do.
pub(super) fn whole_functions(symbols: &str) -> BTreeMap<u64, &'static str> {
    let whole = |line: &str| {
        let (address, name) = function(line)?;
        let (operation, _) = WHOLE.into_iter().find(|(_, whole)| *whole == name)?;
        Some((u64::from_str_radix(address, 16).ok()?, operation))
    };
    symbols.lines().filter_map(whole).collect()
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
    /// The address of the function that was counted as a whole; `None` between markers.
    pub(super) function: Option<u64>,
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
            (Some("="), Some(total), function, None) => {
                let total: u64 = total.parse().map_err(|_| wrong())?;
                let rest = i64::try_from(total).map_err(|_| wrong())? - blocks.values().sum::<i64>();
                *blocks.entry(0).or_default() += rest;
                counts.push(Counted {
                    total,
                    blocks: Some(std::mem::take(&mut blocks)),
                    function: function
                        .map(|address| u64::from_str_radix(address, 16).map_err(|_| wrong()))
                        .transpose()?,
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

/// Turns of a child's loop while the counted task waits for it (`guest-images/rootfs/cost-ARCH.S`), of an instruction at least. The wait
/// itself costs a few thousand instructions.
const OTHERS_TURNS: u64 = 100_000;

/// Takes away the first two counts, whose length is known: a plugin that counts wrongly is found out in each guest.
///
/// One is that of a loop. In the other the same loop is behind a wait for another task: without it, what is left out was left out for too
/// long; with as much as the other task executed, for too short. What the kernel does for the wait is not known to the instruction.
pub(super) fn without_known(arch: Arch, mut counts: Vec<Counted>) -> Result<Vec<Counted>, String> {
    // 1000 turns, and the marker.
    let known = match arch {
        Arch::X86_64 => 2001,
        Arch::S390x => 1001,
    };
    let total = |index: usize| counts.get(index).map_or(0, |count| count.total);
    let (alone, waited) = (total(0), total(1));
    if alone != known {
        return Err(format!(
            "the plugin counts {alone} instructions for a loop of {known}"
        ));
    }
    if !(known..known + OTHERS_TURNS).contains(&waited) {
        return Err(format!(
            "the plugin counts {waited} instructions for a wait, in which another task executes {OTHERS_TURNS} or more, and a loop of {known}"
        ));
    }
    Ok(counts.split_off(2))
}

/// The costs of what threads of the kernel's did: each of the functions was called once in each round.
pub(super) fn of_threads(
    counts: Vec<Counted>,
    functions: &BTreeMap<u64, &'static str>,
    options: &CostOptions,
    places: Option<&FunctionPlaces>,
) -> Result<Vec<OperationCost>, String> {
    let rounds = (options.warm_up + options.repetitions) as usize;
    for (operation, function) in WHOLE {
        let called = |count: &&Counted| {
            count
                .function
                .is_some_and(|at| functions.get(&at) == Some(&operation))
        };
        let seen = counts.iter().filter(called).count();
        if seen != rounds {
            return Err(format!(
                "the plugin saw {seen} calls of {function} for {rounds} DIMMs that were plugged and ejected"
            ));
        }
    }
    let named = counts.into_iter().filter_map(|count| {
        let operation = functions.get(&count.function?)?;
        Some((*operation, count))
    });
    Ok(sorted(named, options, places))
}

/// The costs of each operation, without the warm-up, and by function where it is known where those lie.
pub(super) fn sorted(
    counts: impl IntoIterator<Item = (&'static str, Counted)>,
    options: &CostOptions,
    places: Option<&FunctionPlaces>,
) -> Vec<OperationCost> {
    let mut operations: Vec<(&str, Vec<Counted>)> = Vec::new();
    for (operation, count) in counts {
        match operations.iter_mut().find(|(name, _)| *name == operation) {
            Some((_, counts)) => counts.push(count),
            None => operations.push((operation, vec![count])),
        }
    }
    let cost = |(name, mut counts): (&str, Vec<Counted>)| {
        counts.drain(..counts.len().min(options.warm_up as usize));
        let samples = counts.iter().map(|count| count.total).collect();
        let blocks: Option<Vec<_>> = counts.into_iter().map(|count| count.blocks).collect();
        let steady = blocks.and_then(|blocks| steady(&blocks));
        let by_function = places
            .zip(steady.as_ref())
            .map(|(places, blocks)| places.by_function(blocks));
        OperationCost {
            name: name.to_owned(),
            samples,
            steady: steady.as_ref().map(total),
            // None where nobody asked for them, or where nothing is steady.
            functions: by_function.unwrap_or_default(),
        }
    };
    operations.into_iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::operations::{said, tests::g2},
        *,
    };
    use record::ELSEWHERE;

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
        assert_eq!((counts[0].function, counts[1].function), (None, None));
        let whole = counted("b ff10 20\n= 20 ff10\n").unwrap();
        assert_eq!((whole[0].total, whole[0].function), (20, Some(0xff10)));
        assert_eq!(counted(""), Ok(vec![]));
        for wrong in [
            "b 400078 20\n",
            "b 400078\n= 3\n",
            "= x\n",
            "= -3\n",
            "b 1 2 3\n= 2\n",
            "1 7\n",
            "= 3 x\n",
            "= 3 1 2\n",
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
        let checked = |arch, alone, waited| {
            without_known(arch, counted(&format!("= {alone}\n= {waited}\n= 7\n")).unwrap())
        };
        let rest = counted("= 7\n").unwrap();
        assert_eq!(checked(Arch::X86_64, 2001, 7000), Ok(rest.clone()));
        assert_eq!(checked(Arch::S390x, 1001, 7000), Ok(rest));
        assert_eq!(
            checked(Arch::X86_64, 2000, 7000).unwrap_err(),
            "the plugin counts 2000 instructions for a loop of 2001"
        );
        for (arch, waited) in [
            (Arch::X86_64, 2000),
            (Arch::X86_64, 102_001),
            (Arch::S390x, 1000),
            (Arch::S390x, 101_001),
        ] {
            let known = if arch == Arch::X86_64 { 2001 } else { 1001 };
            assert!(
                checked(arch, known, waited)
                    .unwrap_err()
                    .starts_with(&format!("the plugin counts {waited} instructions for a wait")),
            );
        }
        assert!(without_known(Arch::S390x, Vec::new()).is_err());
    }

    #[test]
    fn the_warm_up_is_left_out_of_each_operation() {
        let options = CostOptions {
            repetitions: 2,
            warm_up: 1,
            memmap_on_memory: true,
            by_function: false,
        };
        let said = said(&g2(), &"0 0\n".repeat(12)).unwrap();
        let count = |total: u64| Counted {
            total,
            blocks: Some(BTreeMap::from([(0, total as i64)])),
            function: None,
        };
        let names = || said.iter().map(|said| said.name);
        let costs = sorted(names().zip((0..12).map(count)), &options, None);
        assert_eq!(
            (costs[0].samples.as_slice(), costs[0].steady),
            (&[4, 8][..], Some(4))
        );
        assert_eq!(
            (costs[3].name.as_str(), costs[3].samples.as_slice()),
            ("remove", &[7, 11][..])
        );
        assert_eq!(costs[0].functions, BTreeMap::new());
        assert_eq!(options.variant(), "memmap_on_memory=on");
        let places = FunctionPlaces::default();
        let costs = sorted(names().zip((0..12).map(count)), &options, Some(&places));
        assert_eq!(costs[0].functions, BTreeMap::from([(ELSEWHERE.to_owned(), 4)]));
        let timed = |total| Counted {
            total,
            blocks: None,
            function: None,
        };
        assert_eq!(
            sorted(names().zip((0..12).map(timed)), &options, None)[0].steady,
            None
        );
    }

    #[test]
    fn the_plugin_is_told_where_the_kernel_is_entered() {
        let symbols = "ffffffff82000b10 T asm_exc_page_fault\nffffffff82000cd0 T asm_sysvec_apic_timer_interrupt\n\
                       0000000000b1c2d0 T pgm_check_handler\n0000000000b1c4f0 T ext_int_handler\n\
                       00000000003b0010 t __kmem_cache_do_shrink.isra.0\n00000000003b0020 d __schedule\n\
                       00000000004b0010 T __add_memory\n00000000004b0020 T __remove_memory\nbroken\n";
        let always = "e ffffffff82000b10\ni ffffffff82000cd0\ne 0000000000b1c2d0\ni 0000000000b1c4f0\nc 00000000003b0010\n";
        assert_eq!(entry_points(Arch::S390x, symbols), always);
        assert_eq!(
            entry_points(Arch::X86_64, symbols),
            format!("{always}w 00000000004b0010\nw 00000000004b0020\n")
        );
        assert_eq!(
            whole_functions(symbols),
            BTreeMap::from([(0x4b_0010, "add"), (0x4b_0020, "remove")])
        );
    }

    #[test]
    fn a_call_that_was_not_seen_is_no_cost() {
        let options = CostOptions {
            repetitions: 2,
            warm_up: 1,
            memmap_on_memory: false,
            by_function: false,
        };
        let functions = BTreeMap::from([(0xa, "add"), (0xb, "remove")]);
        let round = "b 1 7\n= 7 a\nb 2 9\n= 9 b\n";
        let costs = of_threads(counted(&round.repeat(3)).unwrap(), &functions, &options, None).unwrap();
        let told: Vec<_> = costs
            .iter()
            .map(|cost| (cost.name.as_str(), cost.samples.len(), cost.steady))
            .collect();
        assert_eq!(told, [("add", 2, Some(7)), ("remove", 2, Some(9))]);
        let fewer = counted(&format!("{}b 1 7\n= 7 a\n", round.repeat(2))).unwrap();
        assert_eq!(
            of_threads(fewer, &functions, &options, None).unwrap_err(),
            "the plugin saw 2 calls of __remove_memory for 3 DIMMs that were plugged and ejected"
        );
    }
}
