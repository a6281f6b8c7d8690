// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lists of fixed words that steps and needs choose from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use memory::{AutoOnline, MemmapMode, OnlineKind};

/// Makes an enum whose words in YAML are listed once.
macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word as suites and reports write it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

word_enum!(
    /// In which zone a block goes online.
    ZoneChoice {
        /// The kernel chooses.
        Default = "default",
        /// A zone from which the kernel allocates (`online_kernel`).
        Kernel = "kernel",
        /// The movable zone (`online_movable`).
        Movable = "movable",
    }
);

word_enum!(
    /// Through which file of memoryN a block is switched.
    Via {
        /// `state`: the same state again is refused with EINVAL.
        State = "state",
        /// `online`: 1 and 0; the same state again is no error.
        Online = "online",
    }
);

word_enum!(
    /// What the kernel does with a block that is added (`auto_online_blocks`).
    AutoPolicy {
        /// It stays offline.
        Offline = "offline",
        /// It goes online in the zone of the kernel's choice.
        Online = "online",
        /// It goes online in the kernel's zone.
        Kernel = "kernel",
        /// It goes online in the movable zone.
        Movable = "movable",
    }
);

word_enum!(
    /// State of the parameter `memory_hotplug.memmap_on_memory` of a running kernel.
    MemmapOnMemory {
        /// The kernel has no such parameter.
        Absent = "absent",
        /// The memmap comes from system memory.
        Off = "off",
        /// The memmap is in the block, where its size allows that.
        On = "on",
        /// The memmap is in the block, rounded up to whole pageblocks.
        Force = "force",
    }
);

word_enum!(
    /// Where the memmap of a block is.
    Memmap {
        /// In the block itself.
        Altmap = "altmap",
        /// In memory that was there before.
        System = "system",
    }
);

word_enum!(
    /// A notification of the memory notifier chain (include/linux/memory.h).
    Notifier {
        /// Only 6.9 to 6.18.
        PrepareOnline = "MEM_PREPARE_ONLINE",
        /// Before a block goes online; a callback may refuse.
        GoingOnline = "MEM_GOING_ONLINE",
        /// Online was refused after MEM_GOING_ONLINE.
        CancelOnline = "MEM_CANCEL_ONLINE",
        /// The block is online.
        Online = "MEM_ONLINE",
        /// Before a block goes offline; a callback may refuse.
        GoingOffline = "MEM_GOING_OFFLINE",
        /// Offline was refused after MEM_GOING_OFFLINE.
        CancelOffline = "MEM_CANCEL_OFFLINE",
        /// The block is offline.
        Offline = "MEM_OFFLINE",
        /// Only 6.9 to 6.18.
        FinishOffline = "MEM_FINISH_OFFLINE",
    }
);

word_enum!(
    /// A notification that the kernel's error injection can refuse (lib/memory-notifier-error-inject.c, the same in 6.1 to 7.3).
    Vetoable {
        /// Refuses an online.
        GoingOnline = "MEM_GOING_ONLINE",
        /// Refuses an offline.
        GoingOffline = "MEM_GOING_OFFLINE",
    }
);

word_enum!(
    /// An event that the kernel sends to user space about a memory block.
    Uevent {
        /// The block appeared.
        Add = "add",
        /// It went online.
        Online = "online",
        /// It went offline.
        Offline = "offline",
        /// It is gone.
        Remove = "remove",
    }
);

word_enum!(
    /// What fills a block so that it cannot go offline.
    Filling {
        /// Objects of the kernel that cannot be moved; needs a block of a kernel zone.
        Slab = "slab",
        /// Pages of a file that somebody else holds, so that they cannot be moved; needs the one block of zone Movable. Going offline
        /// then does not end but by a signal: `offline: { block: b, fails: EINTR }` sends one.
        Pin = "pin",
    }
);

word_enum!(
    /// How pages of a block are in use. All are a process's, which waits; but for those in a pipe they keep no block of zone Movable online. Going offline
    /// isolates the block and moves what is on the LRU lists until nothing is left; it gives up for a page that is known to be unmovable (EBUSY) or for a
    /// signal (EINTR), and else never (`offline_pages`, mm/memory_hotplug.c of 6.1, 6.12 and 7.2).
    Holding {
        /// Anonymous pages, small ones. They are moved (`do_migrate_range`, mm/memory_hotplug.c).
        Anon = "anon",
        /// The same, locked by mlock(2). They are moved, since unevictable pages are isolated as others are (`folio_isolate_lru`, mm/vmscan.c; 6.1:
        /// `isolate_lru_page`), and locked where they come to (`remove_migration_pte`, mm/migrate.c, 6.1 to 7.2).
        Mlock = "mlock",
        /// Anonymous pages that are large (THP). They are moved, or split and moved where no other is as large, or where the kernel cannot move such (seen on
        /// 6.1, s390x); khugepaged may make large ones of them again (`migrate_pages`, mm/migrate.c, 6.1 to 7.2).
        Thp = "thp",
        /// One anonymous page for many that were the same (KSM). It is moved and stays one (`folio_migrate_ksm`, mm/ksm.c, 6.1 to 7.2).
        Ksm = "ksm",
        /// Pages of a file of a tmpfs, mapped. They are moved.
        File = "file",
        /// Pages of hugetlb; x86_64, since s390x does not take them from zone Movable (`hugepage_movable_supported`, include/linux/hugetlb.h, 6.1 to 7.2).
        /// They are moved to others of the pool, or to new ones that take their place in it (`alloc_migration_target`, mm/migrate.c).
        Hugetlb = "hugetlb",
        /// Anonymous pages that are registered with io_uring, which pins them for long (FOLL_LONGTERM: io_uring/rsrc.c of 6.1, io_uring/memmap.c of 6.12
        /// and 7.2). They are moved out of zone Movable before that (`check_and_migrate_movable_pages`, mm/gup.c), and stay where they come to.
        Longterm = "longterm",
        /// Anonymous pages that are in a pipe, too, by vmsplice(2). They cannot be moved: the pipe has a reference that no mapping explains
        /// (`iter_to_pipe`, fs/splice.c; `folio_migrate_mapping`, mm/migrate.c, 6.1 to 7.2). Going offline then does not end but by a signal:
        /// `offline: { block: b, fails: EINTR }` sends one.
        Pipe = "pipe",
    }
);

word_enum!(
    /// What somebody does in the guest while steps are done, again and again.
    Working {
        /// Writes a file of 8 to 71 MiB into a tmpfs, and removes it.
        Cache = "cache",
        /// Fills 8 to 71 MiB of its own memory.
        Anon = "anon",
        /// Starts four processes at once.
        Fork = "fork",
        /// Compacts all memory, by /proc/sys/vm/compact_memory.
        Compaction = "compaction",
        /// Reads kpageflags, kpagecount, pagetypeinfo, zoneinfo and buddyinfo of /proc.
        Pages = "pages",
        /// Reads all files of memory blocks and of nodes in sysfs.
        Sysfs = "sysfs",
        /// Reads page_owner; wants `cmdline: [page_owner=on]`.
        PageOwner = "page-owner",
        /// Reads the kernel's page tables in debugfs.
        PageTables = "page-tables",
    }
);

word_enum!(
    /// Whether a case may start from a clone of a booted guest.
    Boot {
        /// A clone of a guest that was stopped right after boot.
        Clone = "clone",
        /// A guest that boots for this case: for cases about booting.
        Fresh = "fresh",
    }
);

word_enum!(
    /// What the guest's clock goes by.
    GuestClock {
        /// The host's: what takes how long depends on what else the host does.
        Host = "host",
        /// The instructions that the guest executes, a nanosecond for each; where it waits, the clock goes on to its next timer at once.
        /// Durations that the kernel measures are then nearly the same in every boot. The guest is emulated (TCG, icount), and has one CPU.
        Instructions = "instructions",
    }
);

word_enum!(
    /// How a case fails: of a step that looks or runs a script, its own word.
    FailureKind {
        /// An operation returned something else than it must.
        Errno = "errno",
        /// The guest's memory state is not as the model predicts.
        Mismatch = "mismatch",
        /// The kernel's log has a finding that the case does not allow.
        Finding = "finding",
        /// The guest does not answer, while QEMU does.
        Hang = "hang",
        /// The guest's kernel panicked.
        Panic = "panic",
        /// The guest switched itself off, or was reset.
        Reset = "reset",
        /// A script, or a test that it reports.
        Guest = "guest",
        /// A file says something else.
        Read = "read",
        /// A line of the log is missing, or too much.
        Log = "log",
        /// QEMU saw other storage commands.
        StorageCommands = "storage_commands",
        /// Other storage is assigned.
        Assigned = "assigned",
        /// Other notifications were sent.
        Notifiers = "notifiers",
        /// Other uevents were sent.
        Uevents = "uevents",
        /// The memmap is elsewhere.
        Pages = "pages",
        /// A NUMA node is not as it must be.
        Node = "node",
        /// Pages that are held are not where they must be, not held as they were, or not what they were.
        Held = "held",
        /// The work of a load did not go well.
        Load = "load",
    }
);

impl ZoneChoice {
    /// The word to write to `state`.
    pub fn kind(self) -> OnlineKind {
        match self {
            Self::Default => OnlineKind::Default,
            Self::Kernel => OnlineKind::Kernel,
            Self::Movable => OnlineKind::Movable,
        }
    }
}

impl AutoPolicy {
    /// The word to write to `auto_online_blocks`.
    pub fn auto_online(self) -> AutoOnline {
        match self {
            Self::Offline => AutoOnline::Offline,
            Self::Online => AutoOnline::Online,
            Self::Kernel => AutoOnline::OnlineKernel,
            Self::Movable => AutoOnline::OnlineMovable,
        }
    }
}

impl MemmapOnMemory {
    /// The state as the facts of a kernel have it.
    pub fn mode(self) -> MemmapMode {
        match self {
            Self::Absent => MemmapMode::Absent,
            Self::Off => MemmapMode::Off,
            Self::On => MemmapMode::On,
            Self::Force => MemmapMode::Force,
        }
    }
}

impl FailureKind {
    /// Whether the guest is not there any more.
    pub(crate) fn ends_the_guest(self) -> bool {
        matches!(self, Self::Hang | Self::Panic | Self::Reset)
    }

    /// Whether it is the kernel's log that tells of it.
    pub fn is_seen_in_the_log(self) -> bool {
        self == Self::Finding || self.ends_the_guest()
    }
}

impl Notifier {
    /// Whether only the kernels 6.9 to 6.18 send it (c5f1e2d18909 added it, 6.19 took it back).
    pub fn only_6_9_to_6_18(self) -> bool {
        matches!(self, Self::PrepareOnline | Self::FinishOffline)
    }
}
