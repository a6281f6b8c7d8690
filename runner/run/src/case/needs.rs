// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a case means something on the guest that booted. What is not so makes a skip that names the fact.

use std::time::Duration;

use super::{guest::UnderTest, inside, trouble::Trouble};
use crate::plan::Job;
use memory::{Generation, MemmapMode, MemoryFacts};
use suite::{Case, MemmapOnMemory};

fn words<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}

fn generation_words(list: &[Generation]) -> String {
    words(
        &list
            .iter()
            .map(|generation| format!("{generation:?}"))
            .collect::<Vec<_>>(),
    )
}

fn word(mode: MemmapMode) -> &'static str {
    match mode {
        MemmapMode::Absent => "absent",
        MemmapMode::Off => "off",
        MemmapMode::On => "on",
        MemmapMode::Force => "force",
    }
}

/// Compares what the case needs, and what its variant asks for, with the facts of the guest.
pub(super) async fn check(
    case: &Case,
    job: &Job,
    facts: &MemoryFacts,
    guest: &impl UnderTest,
    limit: Duration,
) -> Result<(), Trouble> {
    if let Some(message) = lacking(case, job, facts) {
        return Err(Trouble::Lacking { message });
    }
    for path in &case.needs.files {
        let script = format!("test -e {}", base::exec::shell_quote(path));
        if inside::exec(guest, &script, limit).await?.code != 0 {
            return Err(Trouble::Lacking {
                message: format!("needs {path} in the guest, and it is not there"),
            });
        }
    }
    Ok(())
}

/// Why a case means nothing on a kernel of this interface generation.
pub(super) fn generation(case: &Case, seen: Generation) -> Option<String> {
    let wanted = case
        .needs
        .generation
        .as_ref()
        .filter(|wanted| !wanted.contains(&seen))?;
    Some(format!(
        "needs interface generation {}, and the kernel is {seen:?}",
        generation_words(wanted)
    ))
}

fn lacking(case: &Case, job: &Job, facts: &MemoryFacts) -> Option<String> {
    let mode = facts.memmap_on_memory;
    if let Some(asked) = job.variant.memmap_on_memory() {
        // A kernel without the parameter behaves as one that has it off.
        let same = asked.mode() == mode || (asked == MemmapOnMemory::Off && mode == MemmapMode::Absent);
        if !same {
            return Some(match mode {
                MemmapMode::Absent => {
                    format!(
                        "the kernel has no parameter memory_hotplug.memmap_on_memory that could be {asked}"
                    )
                }
                mode => format!(
                    "memory_hotplug.memmap_on_memory was set to {asked}, and the kernel reads it back as {}",
                    word(mode)
                ),
            });
        }
    }
    if let Some(modes) = &case.needs.memmap_on_memory
        && !modes.iter().any(|asked| asked.mode() == mode)
    {
        return Some(format!(
            "needs memory_hotplug.memmap_on_memory {}, and it is {}",
            words(modes),
            word(mode)
        ));
    }
    if let Some(message) = facts.generation.and_then(|seen| generation(case, seen)) {
        return Some(message);
    }
    if let Some(range) = &case.needs.kernels
        && !range.contains(&facts.release)
    {
        return Some(format!(
            "needs a kernel in {range}, and this is {}",
            facts.release
        ));
    }
    None
}
