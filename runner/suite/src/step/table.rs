// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of the language: the one place that has all of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    action::Action,
    add::{Add, RawAdd},
    assigned::Assigned,
    auto_online::AutoOnlineBlocks,
    busy::{Busy, Free, RawFree},
    checker::Checker,
    configure::{Configure, Deconfigure},
    cpu::{Cpu, RawCpu},
    guest::{Guest, RawGuest},
    hold::Hold,
    line::Line,
    load::{Load, RawLoad},
    log::{Log, RawLog},
    node::Node,
    notifiers::{Notifiers, RawNotifiers},
    offline::Offline,
    online::Online,
    pages::Pages,
    parallel::{Parallel, RawParallel},
    pressure::{Pressure, RawPressure},
    read::{RawRead, Read},
    refuse_assign::{RawRefuseAssign, RefuseAssign},
    refuse_unassign::{RawRefuseUnassign, RefuseUnassign},
    remove::Remove,
    repeat::RawRepeat,
    storage::{RawStorage, Storage},
    storage_commands::{RawStorageCommands, StorageCommands},
    sweep::RawSweep,
    uevents::Uevents,
    veto::{RawVeto, Veto},
    word::{Keys, Word},
    write::{RawWrite, Write},
};
use crate::{places::Spot, words::FailureKind};

/// Makes the steps of their words: how a suite has them (`RawStep`), and what they are checked into (`Act`, `Look`).
macro_rules! words {
    (
        acts { $($(#[$act_doc:meta])* $act:ident($act_raw:ty => $act_step:ty) = $act_word:literal),+ $(,)? }
        looks { $($(#[$look_doc:meta])* $look:ident($look_raw:ty => $look_step:ty) = $look_word:literal),+ $(,)? }
    ) => {
        /// A step. Its word is the key, what it takes the value: `online: { block: b, zone: movable }`.
        #[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
        #[schemars(rename = "Step")]
        pub(crate) enum RawStep {
            $($(#[$act_doc])* #[serde(rename = $act_word)] $act($act_raw),)+
            $($(#[$look_doc])* #[serde(rename = $look_word)] $look($look_raw),)+
            /// Does steps several times. What they add they must remove.
            #[serde(rename = "repeat")]
            Repeat(RawRepeat),
            /// Does steps with each of their allocations failing once: with the first, then with the second, until none is left. A write that
            /// fails for want of memory returns ENOMEM, or what `fails` allows; nothing has changed then, and the same write again succeeds. One
            /// that succeeds all the same has done what it does. Needs a kernel with CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and
            /// CONFIG_FAULT_INJECTION_DEBUG_FS, as `-k source:debian:SUITE` builds one; others skip the case.
            #[serde(rename = "sweep")]
            Sweep(RawSweep),
        }

        /// A step that acts.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Act {
            $($(#[$act_doc])* $act($act_step)),+
        }

        /// A step that looks.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Look {
            $($(#[$look_doc])* $look($look_step)),+
        }

        impl RawStep {
            pub(super) fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Action {
                match self {
                    $(Self::$act(raw) => Action::Act(Act::$act(raw.check(checker, at))),)+
                    $(Self::$look(raw) => Action::Look(Look::$look(raw.check(checker, at))),)+
                    Self::Repeat(raw) => Action::Repeat(raw.check(checker, at)),
                    Self::Sweep(raw) => Action::Sweep(raw.check(checker, at)),
                }
            }
        }

        impl Act {
            pub(super) fn word(&self) -> &'static str {
                match self {
                    $(Self::$act(_) => $act_word),+
                }
            }
        }

        impl Keys for Act {
            fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
                match self {
                    $(Self::$act(step) => step.keys(line)),+
                }
            }
        }

        impl Look {
            pub(super) fn fails_by(&self) -> FailureKind {
                match self {
                    $(Self::$look(_) => FailureKind::$look),+
                }
            }
        }

        impl Keys for Look {
            fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
                match self {
                    $(Self::$look(step) => step.keys(line)),+
                }
            }
        }
    };
}

words! {
    acts {
        /// Brings memory blocks into the guest. x86_64 plugs a DIMM. s390x takes the next free standby blocks: on G0 and G1 they are
        /// there already and nothing is executed; on G2 they are configured.
        Add(RawAdd => Add) = "add",
        /// Switches blocks on.
        Online(Online => Online) = "online",
        /// Switches blocks off.
        Offline(Offline => Offline) = "offline",
        /// Takes blocks out of the guest. x86_64 unplugs the DIMM, and the kernel offlines its blocks if it can. s390x: nothing on G0
        /// and G1; on G2 the blocks are deconfigured.
        Remove(Remove => Remove) = "remove",
        /// Writes a file in the guest with a single write call: either `block` and `file`, or `path`. A good word that is written to
        /// `state` or `online` of a block counts as that operation.
        Write(RawWrite => Write) = "write",
        /// Lets QEMU refuse to assign storage, from here on; s390x. Exactly one of `at`, `all` and `off`.
        RefuseAssign(RawRefuseAssign => RefuseAssign) = "refuse_assign",
        /// Lets QEMU refuse to take storage back, from here on; s390x. The kernel must go on as if it had been taken: what is off or deconfigured stays
        /// assigned, and is taken into use again. Exactly one of `all` and `off`. Meanwhile no `veto`, `refuse_assign` and `sweep`.
        RefuseUnassign(RawRefuseUnassign => RefuseUnassign) = "refuse_unassign",
        /// Lets the kernel's notifier error injection refuse an operation, from here on. Either `notifier` and `errno`, or `off`.
        Veto(RawVeto => Veto) = "veto",
        /// Sets what the kernel does with blocks that are added (`auto_online_blocks`).
        AutoOnline(AutoOnlineBlocks => AutoOnlineBlocks) = "auto_online",
        /// Fills a block so that it cannot go offline.
        Busy(Busy => Busy) = "busy",
        /// Has pages of blocks in use, until `free` lets them go. After each step that acts, it is looked whether they are all there, held as they were,
        /// in blocks that are online, and the same.
        Hold(Hold => Hold) = "hold",
        /// Ends what a `busy` or a `hold` step started. Exactly one of `busy` and `hold`.
        Free(RawFree => Free) = "free",
        /// Takes memory of the guest until its kernel has little left before it reclaims, or gives it back. Exactly one of `free` and `off`. What is taken is no cache and no
        /// process's, so that nothing the kernel can do gets it back. Until then, more free pages than predicted are no failure: the kernel reclaims.
        Pressure(RawPressure => Pressure) = "pressure",
        /// Has others at work in the guest while the steps behind it are done, or stops them and looks whether all their work went well. Exactly one of `by` and `off`. The free
        /// pages are not compared until they have stopped.
        Load(RawLoad => Load) = "load",
        /// Runs a shell script in the guest.
        Guest(RawGuest => Guest) = "guest",
        /// Configures standby blocks that were added and deconfigured; s390x G2.
        Configure(Configure => Configure) = "configure",
        /// Deconfigures standby blocks; they keep their name. s390x G2.
        Deconfigure(Deconfigure => Deconfigure) = "deconfigure",
        /// Writes a file of /sys/firmware/memory/memoryN as it is; s390x G2. Exactly one of `config` and `memmap_on_memory`.
        Storage(RawStorage => Storage) = "storage",
        /// Switches a CPU of the guest on or off, by its file `online`. Exactly one of `on` and `off`.
        Cpu(RawCpu => Cpu) = "cpu",
        /// Lets several writers switch blocks at the same time, each in a process of its own. What each write returned, and what is there in the end,
        /// must be what one of the orders gives in which the writes can have been done. Wants `machine: { cpus: 2 }` or more.
        Parallel(RawParallel => Parallel) = "parallel",
    }
    looks {
        /// Reads a file in the guest and compares it: either `block` and `file`, or `path`; at least one of `is` and `matches`.
        Read(RawRead => Read) = "read",
        /// Looks at the kernel log since boot. At least one of `has` and `lacks`.
        Log(RawLog => Log) = "log",
        /// Looks at the storage commands that QEMU saw since the last step that acts; s390x.
        StorageCommands(RawStorageCommands => StorageCommands) = "storage_commands",
        /// Looks at which standby storage is assigned: that of these blocks, and no other; s390x.
        Assigned(Assigned => Assigned) = "assigned",
        /// Looks at the notifications of the last step that acts. MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE are expected only of
        /// kernels that have them (6.9 to 6.18), so that one list serves all. Exactly one of `are` and `whole`.
        Notifiers(RawNotifiers => Notifiers) = "notifiers",
        /// Looks at the uevents since the last step that acts.
        Uevents(Uevents => Uevents) = "uevents",
        /// Looks at a NUMA node: what the files of /sys/devices/system/node say of it, the blocks that it has links to, and whether its MemTotal is what its
        /// zones manage; x86_64. At least one key beside `number`.
        Node(Node => Node) = "node",
        /// Looks at where the memmap of online blocks is, in /proc/kpageflags. Only right after they went online.
        Pages(Pages => Pages) = "pages",
    }
}
