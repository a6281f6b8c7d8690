// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operation on a memory block costs, in instructions of the guest.
//!
//! One guest, one CPU, one block that goes through the same operations again and again. Each is one write to a sysfs file by a
//! program of the guest's (`memrig-cost`) that executes a marker before and behind it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::json;

use super::{
    bench::qmp,
    inside,
    prepare::{Emulator, Prepared},
    stage::{Keys, not_ready},
    trouble::Trouble,
};
use crate::{
    base::{Arch, ByteSize, Errno, ui::Ui},
    record::{CostMethod, CostRecord, OperationCost, steady},
    rig::{
        cache::{Cache, CacheError},
        guest::{BootLimits, Guest},
        host,
        machine::{Accel, Clock, Counter, Hotplug, Logs, MachineSpec, Standby, StartOptions},
        qemu::{CounterError, Counting},
    },
};

/// What is measured, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostOptions {
    /// How often each operation is done.
    pub repetitions: u32,
    /// How often each is done before that, without being counted: the first ones grow caches and fill lists.
    pub warm_up: u32,
    /// `memory_hotplug.memmap_on_memory` at boot.
    pub memmap_on_memory: bool,
}

impl Default for CostOptions {
    fn default() -> Self {
        Self {
            repetitions: 20,
            warm_up: 3,
            memmap_on_memory: false,
        }
    }
}

impl CostOptions {
    /// The word for what is varied.
    pub fn variant(&self) -> String {
        format!("memmap_on_memory={}", self.on_or_off())
    }

    fn on_or_off(&self) -> &'static str {
        if self.memmap_on_memory { "on" } else { "off" }
    }
}

/// Why there is no cost.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// The kernel did something wrong.
    #[error("{0}")]
    Kernel(String),
    /// memrig, QEMU or the host broke; nothing is known about the kernel.
    #[error("{0}")]
    Bench(String),
    /// The kernel does not have what is to be measured.
    #[error("{0}")]
    Lacking(String),
}

/// Why it is not known how instructions can be counted.
#[derive(Debug, thiserror::Error)]
pub enum CountingError {
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The plugin.
    #[error(transparent)]
    Counter(#[from] CounterError),
}

/// Finds out how instructions are counted with a QEMU: by our plugin, compiled for it; or by the guest's clock, if it does not load it or
/// there is no compiler. Says so if it is the clock.
///
/// Takes a second, and blocks.
///
/// # Errors
/// The plugin does not compile, or the cache cannot be written.
pub fn counting(emulator: &Emulator, ui: &Ui) -> Result<Counting, CountingError> {
    let counting = match host::install_packages(&["gcc", "libc6-dev"], ui) {
        Ok(()) => Counting::of(&emulator.qemu.binary, &Cache::open(ui)?)?,
        Err(error) => Counting::GuestTime {
            why: error.to_string(),
        },
    };
    if let Counting::GuestTime { why } = &counting {
        ui.warning(&format!(
            "instructions are counted by the guest's clock, which also counts idle time: {why}"
        ));
    }
    Ok(counting)
}

impl From<Trouble> for CostError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Kernel { message, .. } => Self::Kernel(message),
            Trouble::Bench { message } => Self::Bench(message),
            Trouble::Lacking { message } => Self::Lacking(message),
        }
    }
}

/// Memory at boot.
const MEMORY: ByteSize = ByteSize::gib(1);

/// Memory for later: on s390x two blocks at least, on x86_64 room for one.
const MORE: ByteSize = ByteSize::gib(1);

/// How long one thing in the guest may take, before the factor of its speed.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures what operations on one block cost. Boots one guest, whose logs go to `folder`, and stops it.
///
/// # Errors
/// [`CostError::Lacking`] where the kernel has no memmap_on_memory that was asked for.
pub async fn measure(
    prepared: &Prepared,
    emulator: &Emulator,
    counting: &Counting,
    options: &CostOptions,
    folder: &Path,
) -> Result<CostRecord, CostError> {
    let kernel = &prepared.kernel;
    if let Some(config) = &kernel.config
        && options.memmap_on_memory
        && !config.built_in("MHP_MEMMAP_ON_MEMORY")
    {
        let lacks = "the kernel has no memmap_on_memory: CONFIG_MHP_MEMMAP_ON_MEMORY is not y";
        return Err(CostError::Lacking(lacks.to_owned()));
    }
    let keys = Keys::make().map_err(|error| CostError::Bench(error.to_string()))?;
    let (counts, entries) = (folder.join("counts"), folder.join("counts.entries"));
    let mut spec = spec(prepared, emulator, options);
    spec.initrds.push(keys.ramdisk());
    if let Counting::Plugin(library) = counting {
        spec.counter = Some(Counter {
            library: library.clone(),
            output: counts.clone(),
        });
    }
    let (logs, clock) = (Logs::in_folder(folder), Clock::start());
    let limits = BootLimits::default();
    let booted = Guest::boot(&spec, &logs, clock, StartOptions::default(), &keys.login, limits).await;
    let guest = booted.map_err(|error| not_ready(&error))?;
    let done = in_guest(&guest, kernel.arch, options, &entries).await;
    guest.stop().await;
    let (release, said) = done?;
    let counts = match counting {
        Counting::Plugin(_) => {
            let text =
                fs_err::read_to_string(&counts).map_err(|error| CostError::Bench(error.to_string()))?;
            counted(&text).map_err(CostError::Bench)?
        }
        Counting::GuestTime { .. } => said
            .iter()
            .map(|said| Counted {
                total: nanoseconds(kernel.arch, said.ticks),
                blocks: None,
            })
            .collect(),
    };
    if counts.len() != said.len() {
        return Err(CostError::Bench(format!(
            "the plugin saw {} operations, and the guest did {}",
            counts.len(),
            said.len()
        )));
    }
    Ok(CostRecord {
        kernel: kernel.label.clone(),
        release,
        arch: kernel.arch,
        variant: options.variant(),
        method: match counting {
            Counting::Plugin(_) => CostMethod::Plugin,
            Counting::GuestTime { .. } => CostMethod::GuestTime,
        },
        qemu: emulator.version.clone(),
        operations: sorted(&said, counts, options),
    })
}

/// The machine that is measured on.
fn spec(prepared: &Prepared, emulator: &Emulator, options: &CostOptions) -> MachineSpec {
    let arch = prepared.kernel.arch;
    let mut spec = MachineSpec::new(arch, emulator.qemu.clone());
    spec.kernel = Some(prepared.kernel.image.clone());
    spec.initrds = vec![prepared.initrd.clone()];
    spec.accel = Accel::TcgIcount;
    spec.memory = MEMORY;
    spec.hotplug = match arch {
        Arch::X86_64 => Hotplug::Dimms {
            slots: 2,
            max: MEMORY + MORE,
        },
        Arch::S390x => Hotplug::Standby(Standby {
            size: MORE,
            increment: None,
        }),
    };
    // Where the kernel lies, and how deep its stack is, must not be by chance.
    spec.cmdline = format!(
        "console={} loglevel=8 printk.time=1 memhp_default_state=offline panic_on_oops=0 hung_task_panic=0 nokaslr \
         randomize_kstack_offset=off memory_hotplug.memmap_on_memory={}",
        MachineSpec::console(arch),
        options.on_or_off(),
    );
    spec
}

/// One operation, as the guest tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    name: &'static str,
    errno: u64,
    ticks: u64,
}

/// Does everything in the guest; returns its release, and all operations in order.
async fn in_guest(
    guest: &Guest,
    arch: Arch,
    options: &CostOptions,
    entries: &Path,
) -> Result<(String, Vec<Said>), CostError> {
    let limit = guest.speed.scale(LIMIT);
    let symbols = inside::exec(guest, &quiet_script(), limit).await?.text();
    fs_err::write(entries, entry_points(&symbols)).map_err(|error| CostError::Bench(error.to_string()))?;
    let look = async || Ok::<_, CostError>(Look::of(&inside::exec(guest, LOOK, limit).await?.text()));
    let mut seen = look().await?;
    if options.memmap_on_memory && !["Y", "force"].contains(&seen.memmap.as_str()) {
        return Err(CostError::Lacking(format!(
            "the kernel has no memmap_on_memory: its parameter reads `{}`",
            seen.memmap
        )));
    }
    if arch == Arch::X86_64 {
        for number in 0..2 {
            plug(guest, number, seen.block_size).await?;
        }
        // The guest's ACPI takes them in a thread of its own.
        let appear = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let seen = look().await?;
                if seen.offline.len() >= 2 {
                    return Ok::<_, CostError>(seen);
                }
            }
        };
        seen = tokio::time::timeout(limit, appear).await.map_err(|_| {
            CostError::Kernel("two plugged DIMMs did not make two memory blocks".to_owned())
        })??;
    }
    let plan = planned(&seen)
        .ok_or_else(|| CostError::Lacking("the guest has no two blocks that are offline".to_owned()))?;
    let rounds = options.warm_up + options.repetitions;
    let output = inside::exec(guest, &script(&plan, rounds), limit).await?;
    let said = said(&plan.round, &output.text()).map_err(CostError::Bench)?;
    if let Some(refused) = said.iter().find(|said| said.errno != 0) {
        let errno = u16::try_from(refused.errno).ok().and_then(Errno::from_number);
        let errno = errno.map_or_else(|| refused.errno.to_string(), |errno| errno.to_string());
        return Err(CostError::Kernel(format!(
            "{} of a block failed with {errno}",
            refused.name
        )));
    }
    if said.len() != plan.round.len() * rounds as usize {
        return Err(CostError::Bench(format!(
            "the guest did {} operations of {}: {}",
            said.len(),
            plan.round.len() * rounds as usize,
            output.error_text().trim_end()
        )));
    }
    Ok((seen.release, said))
}

/// Plugs a DIMM of one block.
async fn plug(guest: &Guest, number: u32, size: ByteSize) -> Result<(), Trouble> {
    let (id, memory) = (format!("dimm{number}"), format!("memory-dimm{number}"));
    let backend = json!({ "qom-type": "memory-backend-ram", "id": memory, "size": size.as_bytes() });
    qmp(guest, "object-add", backend).await?;
    let dimm = json!({ "driver": "pc-dimm", "id": id, "memdev": memory });
    qmp(guest, "device_add", dimm).await.map(drop)
}

/// Functions that are left out of the count, with all that they call: what they find to do depends on what else is in the guest, and moved the
/// counts of one operation by hundreds of instructions (Debian 6.12, x86_64).
const LEFT_OUT: [&str; 13] = [
    // Which task comes next, and how long ago the last one ran.
    "__schedule",
    "try_to_wake_up",
    // Which object is at hand, and how many slabs are partly free.
    "__kmalloc[a-z_]*",
    "kmalloc_trace",
    "kmem_cache_alloc[a-z_]*",
    "kmem_cache_free",
    "kfree",
    "__kmem_cache_do_shrink",
    "__kmem_cache_shrink",
    "flush_all_cpus_locked",
    // Whether the clock has gone on since the file was written before.
    "file_update_time",
    "inode_needs_update_time",
    // Whether random numbers are left.
    "get_random_u[0-9]*",
];

/// Stops what the kernel does once a second, and prints where it is entered and where functions begin that are left out.
fn quiet_script() -> String {
    format!(
        "echo 3600 > /proc/sys/vm/stat_interval\n\
         grep -E ' (asm_(sysvec|exc)_.*|asm_(common|spurious)_interrupt|(ext|io|mcck)_int_handler|pgm_check_handler|({})([.].*)?)$' \
         /proc/kallsyms",
        LEFT_OUT.join("|")
    )
}

/// The file of the plugin that says where these are, from lines of /proc/kallsyms.
fn entry_points(symbols: &str) -> String {
    let mut entries = String::new();
    for line in symbols.lines() {
        let mut words = line.split_whitespace();
        let (Some(address), Some("t" | "T"), Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let kind = if name.starts_with("asm_exc_") || name == "pgm_check_handler" {
            'e'
        } else if name.starts_with("asm_") || name.ends_with("_int_handler") {
            'i'
        } else {
            'c'
        };
        entries += &format!("{kind} {address}\n");
    }
    entries
}

/// Prints what [`Look`] reads.
const LOOK: &str = "\
echo release:$(uname -r)
echo memmap:$(cat /sys/module/memory_hotplug/parameters/memmap_on_memory 2> /dev/null)
cd /sys/devices/system/memory
echo block_size:$(cat block_size_bytes)
for block in memory[0-9]*; do [ \"$(cat $block/state)\" = offline ] && echo offline:$block; done
cd /sys/firmware/memory 2> /dev/null || exit 0
for block in memory[0-9]*; do [ \"$(cat $block/config)\" = 0 ] && echo unconfigured:$block; done
exit 0";

/// What can be measured in a guest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Look {
    release: String,
    memmap: String,
    block_size: ByteSize,
    offline: Vec<String>,
    unconfigured: Vec<String>,
}

impl Look {
    fn of(text: &str) -> Self {
        let mut look = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match key {
                "release" => value.clone_into(&mut look.release),
                "memmap" => value.clone_into(&mut look.memmap),
                // A size that does not read is refused by QEMU, as 0.
                "block_size" => {
                    look.block_size = ByteSize::bytes(u64::from_str_radix(value, 16).unwrap_or(0))
                }
                "offline" => look.offline.push(value.to_owned()),
                "unconfigured" => look.unconfigured.push(value.to_owned()),
                _ => {}
            }
        }
        look
    }
}

/// One write to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Operation {
    name: &'static str,
    file: String,
    text: &'static str,
}

/// Two blocks: one that goes online and stays, and one that goes through the operations.
///
/// Without the first, each online would be the first of its zone: the kernel then stops all CPUs to build its lists of zones, writes
/// numbers to its log, and allocates, all of which costs now more and now less.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    stays: Vec<Operation>,
    round: Vec<Operation>,
}

/// What is done, after which the second block is as before; `None` without two blocks.
fn planned(seen: &Look) -> Option<Plan> {
    let write = |name, file: String, text| Operation { name, file, text };
    let state = |block: &str| format!("/sys/devices/system/memory/{block}/state");
    let config = |block: &str| format!("/sys/firmware/memory/{block}/config");
    let online = |block: &str| write("online", state(block), "online_movable");
    let offline = |block: &str| write("offline", state(block), "offline");
    if let [first, second, ..] = seen.unconfigured.as_slice() {
        return Some(Plan {
            stays: vec![write("add", config(first), "1"), online(first)],
            round: vec![
                write("add", config(second), "1"),
                online(second),
                offline(second),
                write("remove", config(second), "0"),
            ],
        });
    }
    let [first, second, ..] = seen.offline.as_slice() else {
        return None;
    };
    Some(Plan {
        stays: vec![online(first)],
        round: vec![online(second), offline(second)],
    })
}

/// The script that does the operations so many times, in one process: what is started in between would move pages about.
fn script(plan: &Plan, rounds: u32) -> String {
    let mut script = String::new();
    for Operation { file, text, .. } in &plan.stays {
        script += &format!("echo {text} > {file} || exit\n");
    }
    script += &format!("memrig-cost {rounds}");
    for Operation { file, text, .. } in &plan.round {
        script += &format!(" {file} {text}");
    }
    // A pipe would wake its reader.
    script + " > /tmp/cost\ncat /tmp/cost\n"
}

/// Reads what the script printed: errno and clock of each operation, in hex.
fn said(operations: &[Operation], text: &str) -> Result<Vec<Said>, String> {
    let read = |(index, line): (usize, &str)| {
        let mut words = line.split(' ').map(|word| u64::from_str_radix(word, 16));
        match (words.next(), words.next(), words.next()) {
            (Some(Ok(errno)), Some(Ok(ticks)), None) => Ok(Said {
                name: operations[index % operations.len()].name,
                errno,
                ticks,
            }),
            _ => Err(format!("the guest's count does not read: `{line}`")),
        }
    };
    text.lines().enumerate().map(read).collect()
}

/// Guest time of ticks of the processor's clock, where one instruction takes a nanosecond.
fn nanoseconds(arch: Arch, ticks: u64) -> u64 {
    match arch {
        Arch::X86_64 => ticks,
        // Bit 51 of the TOD clock is a microsecond.
        Arch::S390x => ticks.saturating_mul(125) / 512,
    }
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    /// Instructions.
    total: u64,
    /// Those of each block of code, by its address; at 0 is what makes up the total.
    blocks: Option<BTreeMap<u64, i64>>,
}

/// Reads what the plugin wrote (`guest-images/qemu/plugin/cost.c`).
fn counted(text: &str) -> Result<Vec<Counted>, String> {
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

/// The costs of each operation, without the warm-up.
fn sorted(said: &[Said], counts: Vec<Counted>, options: &CostOptions) -> Vec<OperationCost> {
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
    use super::*;

    fn g2() -> Vec<Operation> {
        let seen =
            "release:7.2.0\nmemmap:Y\nblock_size:8000000\nunconfigured:memory8\nunconfigured:memory9\n";
        let seen = Look::of(seen);
        assert_eq!(seen.block_size, ByteSize::mib(128));
        planned(&seen).unwrap().round
    }

    #[test]
    fn a_block_that_can_be_added_is_added_and_removed_in_each_round() {
        let names: Vec<&str> = g2().iter().map(|operation| operation.name).collect();
        assert_eq!(names, ["add", "online", "offline", "remove"]);
        let seen = Look::of("release:6.12\nmemmap:\nblock_size:10000000\noffline:memory4\noffline:memory5\n");
        let plan = planned(&seen).unwrap();
        let files: Vec<&str> = plan
            .round
            .iter()
            .map(|operation| operation.file.as_str())
            .collect();
        assert_eq!(files, ["/sys/devices/system/memory/memory5/state"; 2]);
        assert_eq!(
            script(&plan, 7).lines().collect::<Vec<_>>(),
            [
                "echo online_movable > /sys/devices/system/memory/memory4/state || exit",
                "memrig-cost 7 /sys/devices/system/memory/memory5/state online_movable \
                 /sys/devices/system/memory/memory5/state offline > /tmp/cost",
                "cat /tmp/cost",
            ]
        );
        assert_eq!(planned(&Look::of("release:6.12\noffline:memory4\n")), None);
    }

    #[test]
    fn what_the_guest_says_goes_to_its_operation() {
        let text = "0000000000000000 0000000000001000\n0000000000000010 00000000000000ff\n";
        let said = said(&g2(), text).unwrap();
        assert_eq!((said[0].name, said[0].errno, said[0].ticks), ("add", 0, 4096));
        assert_eq!((said[1].name, said[1].errno, said[1].ticks), ("online", 16, 255));
        assert_eq!(nanoseconds(Arch::S390x, 4096), 1000);
        for wrong in ["sh: memrig-cost: not found\n", "0\n", "0 0 0\n"] {
            assert!(super::said(&g2(), wrong).is_err(), "{wrong}");
        }
    }

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
