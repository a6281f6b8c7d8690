// SPDX-License-Identifier: MIT OR Apache-2.0
//! The faults, by name.

use base::Arch;

use super::{cache, calls, guest, host, qemu, scene::Scene};

/// Something that goes wrong, and what must come of it.
pub(crate) struct Fault {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What must come of it, in words.
    pub(crate) must: &'static str,
    /// The one architecture on which it can be; none if it is drawn.
    pub(crate) arch: Option<Arch>,
    /// How often it is tried where it is not said: moments that are drawn take more tries.
    pub(crate) tries: u32,
    /// Does it, and looks at what comes of it.
    pub(super) act: fn(&mut Scene),
}

const fn fault(name: &'static str, tries: u32, must: &'static str, act: fn(&mut Scene)) -> Fault {
    Fault {
        name,
        must,
        arch: None,
        tries,
        act,
    }
}

/// Only where it can be.
const fn on(arch: Arch, fault: Fault) -> Fault {
    Fault {
        arch: Some(arch),
        ..fault
    }
}

/// All of them.
pub(crate) const fn faults() -> [Fault; 37] {
    const ERROR: &str = "error, exit code 3";
    const FAIL: &str = "fail, exit code 1";
    const NOBODY: &str = "no fail";
    const SAYS: &str = "pass with all reports, or exit code 3; 2 where nothing was begun";
    const GETS: &str = "exit code 3, the mirror is named";
    const RESUMED: &str = "resumed, it has all that was measured, and passes";
    [
        fault("QEMU is killed in a step", 4, ERROR, qemu::killed_in_a_step),
        fault("QEMU crashes in a step", 4, ERROR, qemu::crashes_in_a_step),
        fault("QEMU is killed at any time", 10, NOBODY, qemu::killed_at_any_time),
        fault("QEMU is stopped for good", 2, ERROR, qemu::stands_still),
        fault(
            "QEMU is stopped for a while",
            4,
            NOBODY,
            qemu::stands_still_for_a_while,
        ),
        fault(
            "the guest gets a tenth of its time",
            2,
            NOBODY,
            qemu::gets_a_tenth,
        ),
        fault("the kernel panics", 2, FAIL, guest::panics),
        fault("the kernel has an oops", 2, FAIL, guest::oopses),
        on(
            Arch::X86_64,
            fault("the guest resets itself", 2, FAIL, guest::resets_itself),
        ),
        fault("the guest powers itself off", 2, FAIL, guest::powers_itself_off),
        fault("the guest hangs at boot", 2, FAIL, guest::hangs_at_boot),
        fault("a step has no end", 2, FAIL, guest::a_step_has_no_end),
        fault("the line is cut in an answer", 2, NOBODY, guest::cuts_the_line),
        fault(
            "something writes into the line",
            2,
            NOBODY,
            guest::writes_into_the_line,
        ),
        fault("sshd is killed", 2, "pass", guest::kills_sshd),
        fault(
            "sshd and the line are killed",
            2,
            ERROR,
            guest::kills_sshd_and_the_line,
        ),
        on(
            Arch::X86_64,
            fault("the console is flooded", 1, FAIL, guest::floods_the_console),
        ),
        fault(
            "the guest says hostile bytes",
            2,
            "fail, and no control character is printed",
            guest::has_hostile_bytes,
        ),
        fault(
            "the console ends in a character",
            2,
            FAIL,
            guest::ends_in_a_character,
        ),
        fault("a step prints 300 MB", 2, "it says so", guest::prints_without_end),
        fault(
            "the results are on a full disk",
            10,
            SAYS,
            host::results_on_a_full_disk,
        ),
        fault(
            "temporary files are on a full disk",
            8,
            SAYS,
            host::temporary_files_on_a_full_disk,
        ),
        fault("the cache is on a full disk", 8, SAYS, host::cache_on_a_full_disk),
        fault(
            "the results take nothing any more",
            5,
            SAYS,
            host::results_take_nothing_later,
        ),
        fault(
            "the cache takes nothing any more",
            5,
            SAYS,
            host::cache_takes_nothing_later,
        ),
        fault("/dev/kvm is none", 3, "pass", host::kvm_is_none),
        fault("the time of day jumps", 8, "pass", host::clock_jumps),
        fault(
            "an entry of the cache is damaged",
            10,
            NOBODY,
            cache::an_entry_is_damaged,
        ),
        fault("the cache is another's", 1, NOBODY, cache::the_cache_is_anothers),
        fault("the mirror has nothing", 1, GETS, cache::the_mirror_has_nothing),
        fault("the mirror sends half", 1, GETS, cache::the_mirror_sends_half),
        fault(
            "the mirror sends another file",
            1,
            GETS,
            cache::the_mirror_sends_another_file,
        ),
        fault("the mirror is slow", 1, GETS, cache::the_mirror_is_slow),
        fault(
            "the mirror never answers",
            1,
            GETS,
            cache::the_mirror_never_answers,
        ),
        fault("memrig is killed", 50, RESUMED, calls::killed_and_resumed),
        fault(
            "memrig is stopped by a signal",
            20,
            RESUMED,
            calls::stopped_and_resumed,
        ),
        fault(
            "one of two memrigs is killed",
            5,
            "the other passes",
            calls::one_of_two_killed,
        ),
    ]
}
