// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operation on a memory block costs, in instructions of the guest.
//!
//! One guest, one CPU, one block that goes through the same operations again and again. Each is one write to a sysfs file by a
//! program of the guest's (`memrig-cost`) that executes a marker before and behind it. A DIMM is added and removed by a thread of the
//! kernel's; there the function of the memory hotplug core that it calls is counted as a whole.
//!
//! Seen on Debian 6.12.117, x86_64, with 20 repetitions: onlining and offlining cost the same each time, in each of three boots. Single
//! ones of add and remove spread by up to 80 instructions, most of them in the allocation of numbers (idr) for files of sysfs, and of online on
//! s390x by 128. Neither their lowest nor the most frequent one need repeat from boot to boot; [`record::steady`] did, to the
//! instruction. With a quarter that must agree it was off by 5 once, and with 12 repetitions by up to 33.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    counts::{
        Counted, counted, entry_points, nanoseconds, of_threads, quiet_script, sorted, whole_functions,
        without_known,
    },
    functions::FunctionPlaces,
    operations::{LOOK, Look, Said, planned, said, script},
};
use crate::{
    case::{
        Trouble,
        dimm::{plug, plug_and_eject},
        inside,
    },
    cover::SYMBOLS_SCRIPT,
    plan::spec_of,
    session::{Emulator, Keys, Prepared, boot},
};
use base::{
    Arch, ByteSize, Errno,
    fault::{Blame, Blamed, Verdict},
    ui::Ui,
};
use record::{CostMethod, CostRecord};
use suite::{CaseMachine, GuestClock};
use supply::{
    cache::{Cache, CacheError},
    host,
    qemu::{COMPILER_PACKAGES, Counting, PluginError},
};
use vm::{
    guest::Guest,
    machine::{Clock, Counter, MachineSpec, Wait},
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
    /// Whether what an operation costs is told of each function, too. Nothing is known of that where the guest's clock counts.
    pub by_function: bool,
}

impl Default for CostOptions {
    fn default() -> Self {
        Self {
            repetitions: 20,
            warm_up: 3,
            memmap_on_memory: false,
            by_function: false,
        }
    }
}

impl CostOptions {
    /// The word for what is varied.
    pub fn variant(&self) -> String {
        let on = if self.memmap_on_memory { "on" } else { "off" };
        format!("memmap_on_memory={on}")
    }
}

/// Why there is no cost.
#[derive(Debug, thiserror::Error)]
pub enum NoCost {
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
    Counter(#[from] PluginError),
}

impl Blamed for CountingError {
    fn blame(&self) -> Blame {
        match self {
            Self::Cache(error) => error.blame(),
            Self::Counter(_) => Blame::Bench,
        }
    }
}

/// Finds out how instructions are counted with a QEMU: by our plugin, compiled for it; or by the guest's clock, if it does not load it or
/// there is no compiler. Says so if it is the clock.
///
/// Takes a second, and blocks.
///
/// # Errors
/// The plugin does not compile, or the cache cannot be written.
pub fn counting(emulator: &Emulator, ui: &Ui) -> Result<Counting, CountingError> {
    let counting = match host::install_packages(&COMPILER_PACKAGES, ui) {
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

impl From<Trouble> for NoCost {
    fn from(trouble: Trouble) -> Self {
        let message = trouble.message().to_owned();
        match trouble.verdict() {
            Verdict::Fail | Verdict::Known => Self::Kernel(message),
            Verdict::Skip => Self::Lacking(message),
            Verdict::Error | Verdict::Pass => Self::Bench(message),
        }
    }
}

/// Memory at boot.
const MEMORY: ByteSize = ByteSize::gib(1);

/// Memory for later: on s390x two blocks at least, on x86_64 room for one.
const MORE: ByteSize = ByteSize::gib(1);

/// What a guest that is measured on can use at the most, in bytes.
pub(super) fn most_memory() -> ByteSize {
    MEMORY + MORE
}

/// How long one thing in the guest may take, before the factor of its speed.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures what operations on one block cost. Boots one guest, whose logs go to `folder`, and stops it.
///
/// # Errors
/// [`NoCost::Lacking`] where the kernel has no memmap_on_memory that was asked for.
pub async fn measure(
    prepared: &Prepared,
    emulator: &Emulator,
    counting: &Counting,
    options: &CostOptions,
    folder: &Path,
) -> Result<CostRecord, NoCost> {
    let kernel = &prepared.kernel;
    if let Some(config) = &kernel.config
        && options.memmap_on_memory
        && !config.built_in("MHP_MEMMAP_ON_MEMORY")
    {
        let lacks = "the kernel has no memmap_on_memory: CONFIG_MHP_MEMMAP_ON_MEMORY is not y";
        return Err(NoCost::Lacking(lacks.to_owned()));
    }
    let keys = Keys::make().map_err(|error| NoCost::Bench(error.to_string()))?;
    let (counts, entries) = (folder.join("counts"), folder.join("counts.entries"));
    let mut spec = spec(prepared, emulator, options, keys.ramdisk());
    if let Counting::Plugin(library) = counting {
        spec.counter = Some(Counter {
            library: library.clone(),
            output: counts.clone(),
        });
    }
    let booted = boot(&spec, folder, Clock::start(), &keys).await;
    let guest = booted.map_err(|error| Trouble::not_ready(&error))?;
    let done = in_guest(&guest, kernel.arch, counting, options, &entries).await;
    guest.stop().await;
    let Done {
        release,
        said,
        symbols,
        places,
    } = done?;
    let mut by_threads = Vec::new();
    let counts = match counting {
        Counting::Plugin(_) => {
            let text = fs_err::read_to_string(&counts).map_err(|error| NoCost::Bench(error.to_string()))?;
            let counts = counted(&text).map_err(NoCost::Bench)?;
            let (whole, marked): (Vec<_>, Vec<_>) =
                counts.into_iter().partition(|count| count.function.is_some());
            if kernel.arch == Arch::X86_64 {
                let functions = whole_functions(&symbols);
                by_threads =
                    of_threads(whole, &functions, options, places.as_ref()).map_err(NoCost::Bench)?;
            }
            without_known(kernel.arch, marked).map_err(NoCost::Bench)?
        }
        Counting::GuestTime { .. } => said
            .iter()
            .map(|said| Counted {
                total: nanoseconds(kernel.arch, said.ticks),
                blocks: None,
                function: None,
            })
            .collect(),
    };
    if counts.len() != said.len() {
        return Err(NoCost::Bench(format!(
            "the plugin saw {} operations, and the guest did {}",
            counts.len(),
            said.len()
        )));
    }
    let mut operations = sorted(
        said.iter().map(|said| said.name).zip(counts),
        options,
        places.as_ref(),
    );
    operations.extend(by_threads);
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
        operations,
    })
}

/// The machine that is measured on, booted as those of cases are.
fn spec(prepared: &Prepared, emulator: &Emulator, options: &CostOptions, keys: PathBuf) -> MachineSpec {
    let machine = CaseMachine {
        memory: MEMORY,
        hotplug: MORE,
        slots: 3,
        increment: None,
        cpus: 1,
        clock: GuestClock::Instructions,
        nodes: 1,
        dist: Vec::new(),
        edat1: true,
        max_element_id: 1,
        element_response: None,
    };
    // Where the kernel lies, and how deep its stack is, must not be by chance.
    let words = [
        "nokaslr".to_owned(),
        "randomize_kstack_offset=off".to_owned(),
        format!("memory_hotplug.{}", options.variant()),
    ];
    let ramdisks = vec![prepared.initrd.clone(), keys];
    spec_of(&machine, &words, prepared, emulator, ramdisks)
}

/// What was done in a guest.
struct Done {
    release: String,
    /// All operations that were writes, in order.
    said: Vec<Said>,
    /// Lines of its /proc/kallsyms.
    symbols: String,
    /// Where its functions lie, if that was asked for.
    places: Option<FunctionPlaces>,
}

/// Does everything in the guest.
async fn in_guest(
    guest: &Guest,
    arch: Arch,
    counting: &Counting,
    options: &CostOptions,
    entries: &Path,
) -> Result<Done, NoCost> {
    let limit = guest.speed.scale(LIMIT);
    let quiet = inside::exec(guest, &quiet_script(), limit).await?;
    let symbols = quiet.text();
    if quiet.code != 0 {
        return Err(NoCost::Bench(format!(
            "making the guest quiet ended with {}: {}",
            quiet.code,
            quiet.error_text().trim_end()
        )));
    }
    let points = entry_points(arch, &symbols);
    fs_err::write(entries, points).map_err(|error| NoCost::Bench(error.to_string()))?;
    let look = async || Ok::<_, NoCost>(Look::of(&inside::exec(guest, LOOK, limit).await?.text()));
    let mut seen = look().await?;
    if options.memmap_on_memory && !["Y", "force"].contains(&seen.memmap.as_str()) {
        return Err(NoCost::Lacking(format!(
            "the kernel has no memmap_on_memory: its parameter reads `{}`",
            seen.memmap
        )));
    }
    if arch == Arch::X86_64 {
        for number in 0..2 {
            plug(guest, &format!("dimm{number}"), seen.block_size).await?;
        }
        // The guest's ACPI takes them in a thread of its own.
        let appear = async {
            loop {
                guest.machine.rest(Duration::from_millis(100)).await;
                let seen = look().await?;
                if seen.offline.len() >= 2 {
                    return Ok::<_, NoCost>(seen);
                }
            }
        };
        seen = match guest.machine.wait_for(appear, limit).await {
            Ok(seen) => seen?,
            Err(Wait::Ended(end)) => return Err(Trouble::ended(&end).into()),
            Err(Wait::Deadline(_)) => {
                let message = "two plugged DIMMs did not make two memory blocks";
                return Err(NoCost::Kernel(message.to_owned()));
            }
            Err(wait @ Wait::Starved { .. }) => {
                return Err(NoCost::Bench(format!("plugging two DIMMs: {wait}")));
            }
        };
    }
    let plan = planned(&seen)
        .ok_or_else(|| NoCost::Lacking("the guest has no two blocks that are offline".to_owned()))?;
    let rounds = options.warm_up + options.repetitions;
    let output = inside::exec(guest, &script(&plan, rounds), limit).await?;
    let said = said(&plan.round, &output.text()).map_err(NoCost::Bench)?;
    if let Some(refused) = said.iter().find(|said| said.errno != 0) {
        let errno = u16::try_from(refused.errno).ok().and_then(Errno::from_number);
        let errno = errno.map_or_else(|| refused.errno.to_string(), |errno| errno.to_string());
        return Err(NoCost::Kernel(format!(
            "{} of a block failed with {errno}",
            refused.name
        )));
    }
    if said.len() != plan.round.len() * rounds as usize {
        return Err(NoCost::Bench(format!(
            "the guest did {} operations of {}: {}",
            said.len(),
            plan.round.len() * rounds as usize,
            output.error_text().trim_end()
        )));
    }
    if arch == Arch::X86_64 && matches!(counting, Counting::Plugin(_)) {
        plug_and_eject(guest, "dimm2", seen.block_size, rounds, limit).await?;
    }
    let places = match options.by_function {
        true => {
            let all = inside::exec(guest, SYMBOLS_SCRIPT, limit).await?.text();
            Some(FunctionPlaces::parse(&all).map_err(NoCost::Bench)?)
        }
        false => None,
    };
    Ok(Done {
        release: seen.release,
        said,
        symbols,
        places,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::nowhere;
    use suite::command_line_words;

    #[test]
    fn it_boots_with_the_words_of_every_case() {
        let rig = nowhere(2);
        for prepared in &rig.kernels {
            let arch = prepared.kernel.arch;
            let spec = spec(
                prepared,
                &rig.emulators[&arch],
                &CostOptions::default(),
                "keys".into(),
            );
            let words: Vec<&str> = spec.cmdline.split(' ').collect();
            let missing = command_line_words(arch, &[]).find(|word| !words.contains(word));
            assert_eq!(missing, None, "{arch}: {}", spec.cmdline);
            assert!(spec.cmdline.ends_with(" memory_hotplug.memmap_on_memory=off"));
            assert_eq!((spec.memory, spec.cpus), (MEMORY, 1));
        }
    }
}
