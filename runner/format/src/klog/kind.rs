// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a finding is.

use std::{fmt, str::FromStr, time::Duration};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The sort of event that a report in the kernel's log stands for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// Every kind, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it, as in the record: `kasan`, `addressing-exception`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// The kernel gave up: `Kernel panic - not syncing`.
    Panic = "panic",
    /// A fault in kernel mode that has no kind of its own: page fault, general protection, divide error, double fault.
    Oops = "oops",
    /// `kernel BUG at` and the `BUG:` lines that have no kind of their own.
    Bug = "bug",
    /// `WARN_ON` and its kin.
    Warning = "warning",
    /// The lock validator: circular, recursive or inconsistent locking, RCU misuse, and its own limits.
    Lockdep = "lockdep",
    /// The address sanitizer.
    Kasan = "kasan",
    /// The sanitizer for uninitialised memory.
    Kmsan = "kmsan",
    /// The data-race detector.
    Kcsan = "kcsan",
    /// The sampling memory-error detector.
    Kfence = "kfence",
    /// The sanitizer for undefined behaviour.
    Ubsan = "ubsan",
    /// A task that stayed blocked.
    HungTask = "hung-task",
    /// A CPU that did not schedule.
    SoftLockup = "soft-lockup",
    /// A CPU that took no interrupt.
    HardLockup = "hard-lockup",
    /// RCU saw no quiescent state.
    RcuStall = "rcu-stall",
    /// `page allocation failure`: an allocation failed and its caller had not asked for silence.
    PageAllocFailure = "page-alloc-failure",
    /// The OOM killer was called.
    Oom = "oom",
    /// `BUG: Bad page state` and its kin: struct page, page table or RSS counters are wrong.
    BadPage = "bad-page",
    /// SLUB found an object or a slab damaged.
    SlabCorruption = "slab-corruption",
    /// s390 program interruption 5: no storage at that address.
    AddressingException = "addressing-exception",
    /// s390 program interruption 6.
    SpecificationException = "specification-exception",
    /// s390 program interruption 1.
    IllegalOperation = "illegal-operation",
    /// Any other s390 program interruption in kernel mode that ended in `die()`.
    OtherProgramCheck = "other-program-check",
    /// s390: the CPU was stopped for good.
    DisabledWait = "disabled-wait",
    /// kmemleak, a reference tracker, or a device or inode that stays referenced.
    Leak = "leak",
}

/// A text that names no [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no kind of kernel finding: expected one such as panic, warning, kasan, addressing-exception"
)]
pub struct UnknownKind(String);

/// Whether a report of a kind leads to a panic.
type Leads = fn(Kind) -> bool;

/// What `panic()` is told where it only ends what another report began: the words, and which reports those are. Texts of Linux 6.1 to 7.2:
/// `kernel/exit.c`, `die()` of each architecture, `kernel/panic.c`, `kernel/hung_task.c`, `kernel/watchdog.c`, `kernel/rcu/tree_stall.h`, `mm/oom_kill.c`.
const CONSEQUENCES: [(&str, Leads); 9] = [
    ("Attempted to kill", Kind::kills),
    ("Fatal exception", Kind::kills),
    ("panic_on_oops", Kind::kills),
    ("panic_on_warn set", |_| true),
    ("hung_task: blocked tasks", |kind| matches!(kind, Kind::HungTask)),
    ("softlockup: hung tasks", |kind| matches!(kind, Kind::SoftLockup)),
    ("Hard LOCKUP", |kind| matches!(kind, Kind::HardLockup)),
    ("RCU Stall", |kind| matches!(kind, Kind::RcuStall)),
    ("ut of memory", |kind| matches!(kind, Kind::Oom)),
];

impl Kind {
    /// Whether the task in which it happens ends with it.
    pub const fn kills(self) -> bool {
        matches!(
            self,
            Self::Oops
                | Self::Bug
                | Self::AddressingException
                | Self::SpecificationException
                | Self::IllegalOperation
                | Self::OtherProgramCheck
        )
    }

    /// Whether a panic with this title came of a report of this kind before it, and is no event of its own.
    pub fn leads_to(self, panic: &str) -> bool {
        CONSEQUENCES
            .iter()
            .any(|(words, by)| panic.contains(words) && by(self))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// One event that the kernel reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What sort of event.
    pub kind: Kind,
    /// One line without addresses, process numbers and times, the same on every boot of a kernel:
    /// `WARNING at mm/memory_hotplug.c:1219 in offline_pages`, `addressing exception in page_init_poison <- sparse_add_section`.
    pub title: String,
    /// Where it happened: `file:line in function`, as far as the kernel names both.
    pub place: Option<String>,
    /// The report's first lines, without the printk prefix, at most `MAX_LINES`.
    pub lines: Vec<String>,
    /// Byte offset of the report's first line in everything that was fed.
    pub(crate) offset: u64,
    /// Number of that line, from 1.
    pub line: u64,
    /// printk's time of that line in nanoseconds after boot, where there was one.
    pub(crate) time_ns: Option<u64>,
    /// The kernel does not go on after this.
    pub(crate) fatal: bool,
    /// For how long something had not happened when the kernel said so. Such a report speaks against it only if its CPUs ran meanwhile. `None`
    /// where time plays no part.
    pub span: Option<Duration>,
}

/// How many lines a [`Finding`] keeps.
pub(crate) const MAX_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse::<Kind>().as_ref(), Ok(kind));
        }
        assert!("Panic".parse::<Kind>().is_err());
    }

    #[test]
    fn a_panic_that_ends_another_report_is_told_from_one_of_its_own() {
        let init = "panic: Attempted to kill init! exitcode=0x0000000b";
        assert!(Kind::AddressingException.leads_to(init));
        assert!(!Kind::Warning.leads_to(init));
        assert!(Kind::Warning.leads_to("panic: kernel: panic_on_warn set ..."));
        assert!(!Kind::Oops.leads_to("panic: VFS: Unable to mount root fs on unknown-block(N,N)"));
        assert!(!Kind::Oops.leads_to("panic: sysrq triggered crash"));
    }
}
