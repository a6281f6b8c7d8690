// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine is made of, without running it.

use std::{collections::BTreeMap, path::PathBuf};

use base::{Arch, ByteSize};

/// A QEMU binary and what is known of it. Facts are found by asking it, never by its version string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The binary; a bare name is looked up in `PATH`.
    pub binary: PathBuf,
    /// The file for `-bios`. On s390x it is needed even with a kernel; `None` takes the one that QEMU brings along.
    pub firmware: Option<PathBuf>,
    /// It was built with seccomp, so that `-sandbox` can be used.
    pub sandbox: bool,
    /// It knows `rom=off` of a memory backend (8.2 and later), so that a private mapping needs no writable file.
    pub rom_off: bool,
}

impl Qemu {
    /// A binary of which nothing is known but its path: no sandbox, no firmware of ours.
    pub fn plain(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            firmware: None,
            sandbox: false,
            rom_off: false,
        }
    }
}

/// How the guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accel {
    /// Translated by QEMU. Works everywhere.
    #[default]
    Tcg,
    /// Translated, and guest time is the number of instructions (`-icount shift=0,sleep=off`). Needs one CPU.
    TcgIcount,
    /// Run by the host. Only where [`super::super::accel`] saw a guest really run.
    Kvm,
}

/// What memory can be added while the guest runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hotplug {
    /// None.
    #[default]
    None,
    /// x86_64: room for pc-dimm devices, which are plugged by QMP.
    Dimms {
        /// How many can be plugged at a time; at most 256.
        slots: u32,
        /// The most memory that the machine can have, boot memory included.
        max: ByteSize,
    },
    /// s390x: standby memory, which the guest takes by itself. Needs our QEMU.
    Standby(Standby),
}

/// SCLP standby memory of an s390x machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// Size of all standby memory.
    pub size: ByteSize,
    /// Size of a storage increment; `None` lets QEMU take the smallest power of two that fits. Linux' memory block is the
    /// larger of it and of a section.
    pub increment: Option<ByteSize>,
}

/// The guest's RAM as files, so that a stopped guest can be cloned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFiles {
    /// The file of each of `MachineSpec::memories`, by its id.
    pub paths: BTreeMap<String, PathBuf>,
    /// Changes go to the files (the template) or stay with this machine (a clone).
    pub(crate) shared: bool,
}

/// A QEMU plugin that counts the guest's instructions (`guest-images/qemu/plugin/cost.c`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The plugin, compiled for the QEMU that loads it.
    pub library: PathBuf,
    /// The file to which it adds a line for each marker that the guest executes.
    pub output: PathBuf,
}

/// A property of an object in the machine that is set before the guest's first instruction, and that QEMU's command line has no word for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// QEMU's path of the object, such as `/machine/sclp/standby-memory`.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: serde_json::Value,
}

/// The description of a machine.
///
/// Two machines with the same description see the same hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// The guest's architecture.
    pub arch: Arch,
    /// What emulates it.
    pub qemu: Qemu,
    /// The kernel's image; `None` runs the firmware alone.
    pub kernel: Option<PathBuf>,
    /// Initial ramdisks; the kernel sees them one after the other as one.
    pub initrds: Vec<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Memory at boot. With [`MachineSpec::nodes`], the sum of theirs.
    pub memory: ByteSize,
    /// Memory for later.
    pub hotplug: Hotplug,
    /// x86_64: boot memory of each NUMA node. All CPUs are in node 0; one that could come later is in each node that nothing else
    /// would name to the guest. Empty: no NUMA.
    pub nodes: Vec<ByteSize>,
    /// Number of CPUs, at least 1.
    pub cpus: u32,
    /// Features that they lack, by QEMU's names.
    pub cpus_lack: Vec<&'static str>,
    /// How instructions are run.
    pub accel: Accel,
    /// What counts the guest's instructions. Needs one CPU that is translated.
    pub counter: Option<Counter>,
    /// The plugin that notes which code runs (`guest-images/qemu/plugin/cover.c`), compiled for the QEMU that loads it. Needs CPUs that are translated;
    /// see [`Machine::translated`](super::Machine::translated).
    pub cover: Option<PathBuf>,
    /// RAM in files; `None` is anonymous memory.
    pub memory_files: Option<MemoryFiles>,
    /// It has a network card whose only use is one forwarded port to the guest's port 22.
    pub network: bool,
    /// It has a line: a serial port to the guest that needs no network.
    pub line: bool,
    /// It waits for a state over QMP (`migrate-incoming`) instead of booting, and is given no kernel: that is in the memory that comes with the state.
    pub incoming: bool,
    /// What is set before the guest's first instruction.
    pub properties: Vec<Property>,
    /// More arguments for QEMU, as they are.
    pub extra: Vec<String>,
}

impl MachineSpec {
    /// A machine with 1 GiB, one CPU, a network card and a line, that boots nothing yet.
    pub fn new(arch: Arch, qemu: Qemu) -> Self {
        Self {
            arch,
            qemu,
            kernel: None,
            initrds: Vec::new(),
            cmdline: String::new(),
            memory: ByteSize::gib(1),
            hotplug: Hotplug::None,
            nodes: Vec::new(),
            cpus: 1,
            cpus_lack: Vec::new(),
            accel: Accel::Tcg,
            counter: None,
            cover: None,
            memory_files: None,
            network: true,
            line: true,
            incoming: false,
            properties: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// The console's name for the kernel's `console=`.
    pub fn console(arch: Arch) -> &'static str {
        match arch {
            Arch::X86_64 => "ttyS0",
            Arch::S390x => "ttysclp0",
        }
    }

    /// The kernel's words for a console that is there before the real one, which it replaces: `arch/x86/kernel/early_printk.c`,
    /// `arch/s390/kernel/early_printk.c`, Linux 6.1 to 7.2.
    pub fn early_console(arch: Arch) -> &'static str {
        match arch {
            Arch::X86_64 => "earlyprintk=serial,ttyS0,115200",
            Arch::S390x => "earlyprintk=sclp",
        }
    }

    /// The memories that the machine starts with, as QEMU's ids and sizes: RAM or that of each NUMA node, and standby memory.
    pub(crate) fn memories(&self) -> Vec<(String, ByteSize)> {
        let mut memories = Vec::new();
        if self.nodes.is_empty() {
            memories.push(("ram".to_owned(), self.memory));
        }
        // A node without memory has no file.
        let nodes = self.nodes.iter().enumerate();
        let nodes = nodes.filter(|(_, size)| **size != ByteSize::bytes(0));
        memories.extend(nodes.map(|(node, size)| (format!("ram{node}"), *size)));
        if let Hotplug::Standby(standby) = &self.hotplug {
            memories.push(("standby".to_owned(), standby.size));
        }
        memories
    }

    /// The same machine as it boots by itself: no files of memory, and no state that it waits for.
    #[must_use]
    pub(crate) fn booting(&self) -> Self {
        Self {
            memory_files: None,
            incoming: false,
            ..self.clone()
        }
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`SpecError`] says what contradicts what.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let other = |what| {
            Err(SpecError::Arch {
                arch: self.arch,
                what,
            })
        };
        match (&self.hotplug, self.arch) {
            (Hotplug::Dimms { .. }, Arch::S390x) => return other("pc-dimm slots"),
            (Hotplug::Standby(_), Arch::X86_64) => return other("standby memory"),
            (Hotplug::Standby(_), _) if self.accel == Accel::Kvm => return other("standby memory under KVM"),
            (Hotplug::Dimms { max, .. }, _) if *max <= self.memory => {
                return Err(SpecError::NoRoom {
                    max: *max,
                    memory: self.memory,
                });
            }
            _ => {}
        }
        if !self.nodes.is_empty() {
            if self.arch == Arch::S390x {
                return other("NUMA nodes");
            }
            let sum = self
                .nodes
                .iter()
                .fold(ByteSize::bytes(0), |sum, size| sum + *size);
            if sum != self.memory {
                return Err(SpecError::Nodes {
                    sum,
                    memory: self.memory,
                });
            }
        }
        if let Some(files) = &self.memory_files
            && let Some((id, _)) = self
                .memories()
                .into_iter()
                .find(|(id, _)| !files.paths.contains_key(id))
        {
            return Err(SpecError::NoFile(id));
        }
        if self.counter.is_some() && self.accel == Accel::Kvm {
            return other("counted instructions under KVM");
        }
        if self.cover.is_some() && self.accel == Accel::Kvm {
            return other("code that is seen under KVM");
        }
        let counted = self.accel == Accel::TcgIcount || self.counter.is_some();
        if self.cpus == 0 || (counted && self.cpus != 1) {
            return Err(SpecError::Cpus(self.cpus));
        }
        Ok(())
    }
}

/// Why a description cannot be a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The architecture has no such thing.
    #[error("{arch} has no {what}")]
    Arch {
        /// The architecture.
        arch: Arch,
        /// What it does not have.
        what: &'static str,
    },
    /// Hotplug without room for it.
    #[error("at most {max} of memory leaves nothing to plug in beside the {memory} at boot")]
    NoRoom {
        /// The most memory.
        max: ByteSize,
        /// Memory at boot.
        memory: ByteSize,
    },
    /// The nodes do not add up.
    #[error("the nodes have {sum} together, the machine has {memory}")]
    Nodes {
        /// What the nodes have.
        sum: ByteSize,
        /// What the machine has.
        memory: ByteSize,
    },
    /// Memory in files, and one of them has none.
    #[error("the memory `{0}` has no file")]
    NoFile(String),
    /// Too few CPUs, or too many for icount.
    #[error("a machine with {0} CPUs: it needs at least one, and exactly one where instructions are counted")]
    Cpus(u32),
}
