// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a configuration was asked to be, and what of it did not come true.

use std::{collections::BTreeMap, fmt};

use super::fragments::Fragment;
use format::kconfig::{Kconfig, KconfigError};

/// How much it matters that an option is not what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weight {
    /// The bench cannot work, or the user asked for just this.
    Needed(String),
    /// Something is not tested.
    Blind(&'static str),
    /// Nothing is lost.
    Harmless,
}

/// An option that is not what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its name, without `CONFIG_`.
    pub option: String,
    /// What was asked.
    pub asked: String,
    /// What it is.
    pub is: String,
    /// Whether this version and architecture have it at all.
    pub exists: bool,
    /// How much it matters.
    pub(crate) weight: Weight,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.exists {
            "something that it depends on is off"
        } else {
            "this version does not have it"
        };
        write!(
            f,
            "CONFIG_{}={} was asked, and is {} ({why})",
            self.option, self.asked, self.is
        )?;
        match &self.weight {
            Weight::Needed(what) => write!(f, ": {what}"),
            Weight::Blind(what) => write!(f, ": {what}"),
            Weight::Harmless => Ok(()),
        }
    }
}

/// Without these no guest comes to where the bench can talk to it.
const NEEDED: [(&str, &str); 14] = [
    ("BINFMT_ELF", "the guest has no programs"),
    ("BINFMT_SCRIPT", "the guest's init is a script"),
    ("BLK_DEV_INITRD", "the guest has no files"),
    ("DEVTMPFS", "the guest has no devices"),
    ("INET", "the bench talks to the guest over the network"),
    ("MEMORY_HOTPLUG", "there is nothing to test"),
    ("MEMORY_HOTREMOVE", "there is nothing to test"),
    ("NET", "the bench talks to the guest over the network"),
    ("PROC_FS", "the memory state cannot be read"),
    ("RD_GZIP", "the guest has no files"),
    ("SPARSEMEM_VMEMMAP", "there is no memmap_on_memory"),
    ("SYSFS", "the memory state cannot be read"),
    ("UNIX98_PTYS", "the guest has no sessions"),
    ("VIRTIO_NET", "the bench talks to the guest over the network"),
];

/// Without these something is not seen, and nothing says so.
const BLIND: [(&str, &str); 21] = [
    ("ACPI_HOTPLUG_MEMORY", "DIMMs are not noticed"),
    ("ACPI_NUMA", "DIMMs on other nodes are not tested"),
    ("ARCH_MEMORY_PROBE", "the probe file is not tested"),
    ("CGROUPS", "cpusets do not hear of memory"),
    ("COMPACTION", "blocks that are in use never go offline"),
    ("CONTIG_ALLOC", "blocks that are in use never go offline"),
    ("CPUSETS", "cpusets do not hear of memory"),
    ("DEBUG_FS", "nothing can be injected"),
    (
        "DEBUG_VM",
        "memmaps are not poisoned, so that faults of that kind are not seen",
    ),
    ("FAULT_INJECTION", "failing allocations are not tested"),
    (
        "FIRMWARE_MEMMAP",
        "entries of the firmware's memory map are not tested",
    ),
    (
        "HUGETLBFS",
        "memmap_on_memory is refused on blocks of 128 MiB, without a message",
    ),
    ("KALLSYMS_ALL", "notifications cannot be told apart"),
    ("KPROBE_EVENTS", "notifications are not seen"),
    (
        "MEMORY_NOTIFIER_ERROR_INJECT",
        "refusing notifiers are not tested",
    ),
    ("MIGRATION", "blocks that are in use never go offline"),
    ("NUMA", "nodes are not tested"),
    ("PAGE_OWNER", "page_owner is not tested"),
    ("PTDUMP_DEBUGFS", "page tables are not looked at"),
    ("SMP", "races between processors are not tested"),
    ("UNIX", "uevents are not tested"),
];

/// What the fragments ask for together: the last one that names an option says what it is to be.
pub(super) fn asked(fragments: &[Fragment]) -> Result<BTreeMap<String, (String, Fragment)>, KconfigError> {
    let mut asked = BTreeMap::new();
    for fragment in fragments {
        let config = Kconfig::parse(fragment.text)?;
        for (name, _) in config.iter() {
            asked.insert(name.to_owned(), (config.shown(name).into_owned(), *fragment));
        }
    }
    Ok(asked)
}

/// Everything that is not what was asked, by name. `exists` says whether this version has an option.
pub(super) fn lost(
    asked: &BTreeMap<String, (String, Fragment)>,
    config: &Kconfig,
    exists: impl Fn(&str) -> bool,
) -> Vec<Lost> {
    let find = |list: &[(&'static str, &'static str)], name: &str| {
        list.iter()
            .find(|(option, _)| *option == name)
            .map(|(_, what)| *what)
    };
    asked
        .iter()
        .filter(|(name, (wanted, _))| *wanted != *config.shown(name))
        .map(|(name, (wanted, fragment))| {
            let off = wanted == "n";
            let weight = if fragment.subject == Some(name.as_str()) {
                Weight::Needed(format!("`config={}` is not possible here", fragment.name))
            } else if let Some(what) = find(&NEEDED, name).filter(|_| !off) {
                Weight::Needed(what.to_owned())
            } else if let Some(what) = find(&BLIND, name).filter(|_| !off) {
                Weight::Blind(what)
            } else if name == "MEMORY_HOTPLUG_DEFAULT_ONLINE"
                || name.starts_with("MHP_DEFAULT_ONLINE_TYPE") && exists(name)
            {
                Weight::Blind("blocks come online by themselves when they are added")
            } else {
                Weight::Harmless
            };
            Lost {
                option: name.clone(),
                asked: wanted.clone(),
                is: config.shown(name).into_owned(),
                exists: exists(name),
                weight,
            }
        })
        .collect()
}
