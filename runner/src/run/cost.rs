// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operation on a memory block costs, in instructions of the guest.
//!
//! One guest, one CPU, one block that goes through the same operations again and again. Each is one write to a sysfs file by a
//! program of the guest's (`memrig-cost`) that executes a marker before and behind it.

use std::{path::Path, time::Duration};

use serde_json::json;

use super::{
    bench::qmp,
    inside,
    prepare::{Emulator, Prepared},
    stage::{Keys, not_ready},
    trouble::Trouble,
};
use crate::{
    base::{Arch, ByteSize, Errno},
    record::{CostMethod, CostRecord, OperationCost},
    rig::{
        guest::{BootLimits, Guest},
        machine::{Accel, Clock, Counter, Hotplug, Logs, MachineSpec, Standby, StartOptions},
        qemu::Counting,
        scratch::Scratch,
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
    let scratch = Scratch::new().map_err(|error| CostError::Bench(error.to_string()))?;
    let counts = scratch.path().join("counts");
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
    let done = in_guest(&guest, kernel.arch, options).await;
    guest.stop().await;
    let (release, said) = done?;
    let samples = match counting {
        Counting::Plugin(_) => {
            let text =
                fs_err::read_to_string(&counts).map_err(|error| CostError::Bench(error.to_string()))?;
            between_markers(&text).map_err(CostError::Bench)?
        }
        Counting::GuestTime { .. } => said
            .iter()
            .map(|said| nanoseconds(kernel.arch, said.ticks))
            .collect(),
    };
    if samples.len() != said.len() {
        return Err(CostError::Bench(format!(
            "the plugin saw {} operations, and the guest did {}",
            samples.len(),
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
        operations: sorted(&said, &samples, options),
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
            slots: 1,
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
) -> Result<(String, Vec<Said>), CostError> {
    let limit = guest.speed.scale(LIMIT);
    let look = async || Ok::<_, CostError>(Look::of(&inside::exec(guest, LOOK, limit).await?.text()));
    let mut seen = look().await?;
    if options.memmap_on_memory && !["Y", "force"].contains(&seen.memmap.as_str()) {
        return Err(CostError::Lacking(format!(
            "the kernel has no memmap_on_memory: its parameter reads `{}`",
            seen.memmap
        )));
    }
    if arch == Arch::X86_64 {
        plug(guest, seen.block_size).await?;
        // The guest's ACPI takes it in a thread of its own.
        let appears = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let seen = look().await?;
                if !seen.offline.is_empty() {
                    return Ok::<_, CostError>(seen);
                }
            }
        };
        seen = tokio::time::timeout(limit, appears)
            .await
            .map_err(|_| CostError::Kernel("a plugged DIMM made no memory block".to_owned()))??;
    }
    let operations = operations(&seen)
        .ok_or_else(|| CostError::Lacking("the guest has no block that is offline".to_owned()))?;
    let rounds = options.warm_up + options.repetitions;
    let output = inside::exec(guest, &script(&operations, rounds), limit).await?;
    let said = said(&operations, &output.text()).map_err(CostError::Bench)?;
    if let Some(refused) = said.iter().find(|said| said.errno != 0) {
        let errno = u16::try_from(refused.errno).ok().and_then(Errno::from_number);
        let errno = errno.map_or_else(|| refused.errno.to_string(), |errno| errno.to_string());
        return Err(CostError::Kernel(format!(
            "{} of a block failed with {errno}",
            refused.name
        )));
    }
    if said.len() != operations.len() * rounds as usize {
        return Err(CostError::Bench(format!(
            "the guest did {} operations of {}: {}",
            said.len(),
            operations.len() * rounds as usize,
            output.error_text().trim_end()
        )));
    }
    Ok((seen.release, said))
}

/// Plugs a DIMM of one block.
async fn plug(guest: &Guest, size: ByteSize) -> Result<(), Trouble> {
    let backend = json!({ "qom-type": "memory-backend-ram", "id": "memory-dimm", "size": size.as_bytes() });
    qmp(guest, "object-add", backend).await?;
    let dimm = json!({ "driver": "pc-dimm", "id": "dimm", "memdev": "memory-dimm" });
    qmp(guest, "device_add", dimm).await.map(drop)
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

/// What is done to a block in one round, after which it is as before; `None` without a block.
fn operations(seen: &Look) -> Option<Vec<Operation>> {
    let write = |name, file: String, text| Operation { name, file, text };
    let state = |block: &str| format!("/sys/devices/system/memory/{block}/state");
    if let Some(block) = seen.unconfigured.first() {
        let config = format!("/sys/firmware/memory/{block}/config");
        return Some(vec![
            write("add", config.clone(), "1"),
            write("online", state(block), "online_movable"),
            write("offline", state(block), "offline"),
            write("remove", config, "0"),
        ]);
    }
    let block = seen.offline.first()?;
    Some(vec![
        write("online", state(block), "online_movable"),
        write("offline", state(block), "offline"),
    ])
}

/// The script that does the operations so many times. The guest comes to rest before each of them: where nothing runs its clock
/// jumps to the next timer, so that a second of it is short.
fn script(operations: &[Operation], rounds: u32) -> String {
    let mut script = format!("i=0\nwhile [ $i -lt {rounds} ]; do\n");
    for Operation { file, text, .. } in operations {
        script += &format!("sleep 1\nmemrig-cost {file} {text}\n");
    }
    script + "i=$((i+1))\ndone\n"
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

/// The instructions between each marker 1 and the marker 2 behind it.
fn between_markers(text: &str) -> Result<Vec<u64>, String> {
    let mut counts = Vec::new();
    let mut first = None;
    for line in text.lines() {
        let numbers = line
            .split_once(' ')
            .and_then(|(marker, count)| Some((marker.parse::<u8>().ok()?, count.parse::<u64>().ok()?)));
        match (numbers, first) {
            (Some((1, count)), None) => first = Some(count),
            (Some((2, count)), Some(begun)) if count > begun => {
                counts.push(count - begun);
                first = None;
            }
            _ => return Err(format!("the plugin's markers are out of order at `{line}`")),
        }
    }
    match first {
        None => Ok(counts),
        Some(_) => Err("the plugin's last marker has no end".to_owned()),
    }
}

/// The samples of each operation, without the warm-up.
fn sorted(said: &[Said], samples: &[u64], options: &CostOptions) -> Vec<OperationCost> {
    let mut costs: Vec<OperationCost> = Vec::new();
    for (said, sample) in said.iter().zip(samples) {
        match costs.iter_mut().find(|cost| cost.name == said.name) {
            Some(cost) => cost.samples.push(*sample),
            None => costs.push(OperationCost {
                name: said.name.to_owned(),
                samples: vec![*sample],
            }),
        }
    }
    for cost in &mut costs {
        cost.samples
            .drain(..cost.samples.len().min(options.warm_up as usize));
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn g2() -> Vec<Operation> {
        let seen =
            "release:7.2.0\nmemmap:Y\nblock_size:8000000\nunconfigured:memory8\nunconfigured:memory9\n";
        let seen = Look::of(seen);
        assert_eq!(seen.block_size, ByteSize::mib(128));
        operations(&seen).unwrap()
    }

    #[test]
    fn a_block_that_can_be_added_is_added_and_removed_in_each_round() {
        let names: Vec<&str> = g2().iter().map(|operation| operation.name).collect();
        assert_eq!(names, ["add", "online", "offline", "remove"]);
        let seen = Look::of("release:6.12\nmemmap:\nblock_size:10000000\noffline:memory4\noffline:memory5\n");
        let files: Vec<String> = operations(&seen)
            .unwrap()
            .into_iter()
            .map(|operation| operation.file)
            .collect();
        assert_eq!(files, ["/sys/devices/system/memory/memory4/state"; 2]);
        assert_eq!(operations(&Look::of("release:6.12\n")), None);
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
    fn counts_are_between_the_markers_and_nothing_may_be_missing() {
        assert_eq!(
            between_markers("1 10\n2 2011\n1 5000\n2 7001\n"),
            Ok(vec![2001, 2001])
        );
        assert_eq!(between_markers(""), Ok(vec![]));
        for wrong in [
            "1 10\n",
            "2 10\n",
            "1 10\n1 11\n2 12\n",
            "1 10\n2 9\n",
            "1 10\n3 11\n",
            "1 x\n",
        ] {
            assert!(between_markers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_warm_up_is_left_out_of_each_operation() {
        let options = CostOptions {
            repetitions: 2,
            warm_up: 1,
            memmap_on_memory: true,
        };
        let text = "0 0\n".repeat(12);
        let said = said(&g2(), &text).unwrap();
        let samples: Vec<u64> = (0..12).collect();
        let costs = sorted(&said, &samples, &options);
        assert_eq!(costs[0].samples, [4, 8]);
        assert_eq!(
            (costs[3].name.as_str(), costs[3].samples.as_slice()),
            ("remove", &[7, 11][..])
        );
        assert_eq!(options.variant(), "memmap_on_memory=on");
    }
}
