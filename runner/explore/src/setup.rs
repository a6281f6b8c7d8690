// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines and command lines on which sequences are drawn.

use base::Arch;

/// A machine and a command line, in the words of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// What it is called: the id of its case.
    pub name: &'static str,
    /// The key `machine` of a case.
    pub(crate) machine: &'static str,
    /// Words for the command line.
    pub(crate) cmdline: &'static [&'static str],
    /// memory_hotplug.memmap_on_memory, where it is asked for.
    pub(crate) memmap_on_memory: Option<&'static str>,
}

const X86_64: &str = "{ memory: 1GiB, hotplug: 2GiB }";
const S390X: &str = "{ memory: 1GiB, hotplug: 2GiB, increment: 64MiB }";

const fn plain(name: &'static str, machine: &'static str) -> Setup {
    Setup {
        name,
        machine,
        cmdline: &[],
        memmap_on_memory: None,
    }
}

static ON_X86_64: [Setup; 6] = [
    plain("plain", X86_64),
    Setup {
        memmap_on_memory: Some("on"),
        ..plain("memmap", X86_64)
    },
    plain("nodes", "{ memory: 1GiB, hotplug: 2GiB, nodes: 2 }"),
    Setup {
        cmdline: &["movable_node"],
        ..plain("movable-node", X86_64)
    },
    Setup {
        cmdline: &["memory_hotplug.online_policy=auto-movable"],
        memmap_on_memory: Some("on"),
        ..plain("auto-movable", X86_64)
    },
    plain("cpus", "{ memory: 1GiB, hotplug: 2GiB, cpus: 2 }"),
];

static ON_S390X: [Setup; 6] = [
    plain("plain", S390X),
    Setup {
        memmap_on_memory: Some("on"),
        ..plain("memmap", S390X)
    },
    Setup {
        memmap_on_memory: Some("on"),
        ..plain("increments", "{ memory: 1GiB, hotplug: 2GiB, increment: 4MiB }")
    },
    Setup {
        cmdline: &["movable_node"],
        ..plain("movable-node", S390X)
    },
    Setup {
        cmdline: &["memory_hotplug.online_policy=auto-movable"],
        ..plain("auto-movable", S390X)
    },
    plain(
        "cpus",
        "{ memory: 1GiB, hotplug: 2GiB, increment: 64MiB, cpus: 2 }",
    ),
];

/// Those of an architecture, the simplest first.
pub fn setups(arch: Arch) -> &'static [Setup] {
    match arch {
        Arch::X86_64 => &ON_X86_64,
        Arch::S390x => &ON_S390X,
    }
}
