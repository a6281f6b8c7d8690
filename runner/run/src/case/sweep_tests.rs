// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sweeps, in a guest that is none: each write makes allocations, of which it can do without some.

use super::fake::{Fault, Lab, Setup, cases, comes_to, steps_of};
use base::{Errno, fault::Verdict};

/// A block that goes online and offline with each allocation failing once.
const SWEEP: &str = "
    add: { as: b }
    sweep: { steps: [online: { block: b, zone: movable }, offline: { block: b }] }
    remove: { block: b }";

/// Where the write of an online ends whose first allocation fails.
const FIRST: &str = "state online_movable failing 1";

fn errno(word: &str) -> Errno {
    word.parse().unwrap()
}

cases! {
    a_dimm_is_swept: Setup::x86(), SWEEP => Pass;
    a_standby_block_is_swept: Setup::g1(), SWEEP => Pass;
    a_block_is_configured_and_swept: Setup::g2(),
        "add: { as: b }\nsweep: { steps: [deconfigure: { block: b }, configure: { block: b }] }" => Pass;
    a_file_by_its_path_is_swept: Setup::x86().file("/proc/x", "1"), "sweep: { steps: [write: { path: /proc/x, value: '2' }] }" => Pass;
    looks_may_stand_in_it: Setup::x86().file("/proc/x", "1"),
        "sweep: { steps: [write: { path: /proc/x, value: '2' }, read: { path: /proc/x, is: '2' }] }" => Pass;
    a_kernel_whose_allocations_do_not_fail_skips: Setup::x86().allocations(None), SWEEP
        => Skip, "needs CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS: `-k source:debian:trixie` builds";
    a_sweep_in_which_nothing_fails_tests_nothing: Setup::x86().allocations(Some(&[])), SWEEP
        => Error, "no write of the sweep allocates anything";
    a_sweep_without_end_is_its_authors: Setup::x86().file("/proc/x", "1").allocations(Some(&[false; 2001])),
        "sweep: { steps: [write: { path: /proc/x, value: '2' }] }" => Error, "after 2000 rounds there still are allocations";
    steps_that_do_not_lead_back_are_their_authors: Setup::x86(),
        "add: { as: b }\nsweep: { steps: [online: { block: b, zone: movable }] }" => Error, "do not lead back";
}

// What the kernel does when memory fails.
cases! {
    an_errno_that_is_not_of_memory_fails: Setup::x86().once(FIRST, 0, Fault::Refuse(errno("EIO"))), SWEEP
        => Fail, "failed with EIO, and for want of memory may fail with ENOMEM";
    the_same_passes_where_the_case_allows_it: Setup::x86().once(FIRST, 0, Fault::Refuse(errno("EIO"))),
        &SWEEP.replace("] }", "], fails: [EIO] }") => Pass;
    an_errno_of_memory_without_its_want_fails: Setup::x86().once("state online_movable failing 3", 0, Fault::Refuse(errno("ENOMEM"))),
        SWEEP => Fail, "failed with ENOMEM, and must succeed";
    a_second_write_that_is_refused_too_fails: Setup::x86().once("state online_movable", 1, Fault::Refuse(errno("ENOMEM"))),
        SWEEP => Fail, "allocation 1 fails: once more, with memory: `online";
    what_a_refused_write_leaves_behind_fails: Setup::x86().once("memrig-ledger", 3, Fault::Lie("/proc/zoneinfo:  present", -1))
        .after("memrig-ledger", 3, Fault::Lie("/proc/zoneinfo:  present", -1)), SWEEP
        => Fail, "allocation 1 fails: `online: { block: b, zone: movable }`: ";
    where_the_allocation_was_is_told: Setup::x86().once(FIRST, 0, Fault::Refuse(errno("EIO")))
        .once(FIRST, 0, Fault::Say("FAULT_INJECTION: forcing a failure.\n[    8.000000]  __kmalloc+0x1/0x2\n[    8.000000]  f+0x1/0x2")), SWEEP
        => Fail, "allocation 1 (f) fails: `online";
    what_a_write_that_goes_on_leaves_out_fails: Setup::x86().once("state online_movable failing 2", 0, Fault::Ignore), SWEEP
        => Fail, "allocation 2 fails: `online";
}

#[tokio::test(start_paused = true)]
async fn what_one_leaves_behind_does_not_end_the_sweep() {
    let liar = Setup::x86().after("memrig-ledger", 3, Fault::Lie("/proc/meminfo:MemTotal", 4));
    let liar = liar.once("memrig-ledger", 9, Fault::Lie("/proc/meminfo:MemTotal", -4));
    let lab = Lab::new(&steps_of(SWEEP), [liar]);
    let record = lab.once().await;
    comes_to(&record, Verdict::Fail, Some("allocation 1 fails: `online"));
    assert_eq!(record.steps[1].said.len(), 1);
    assert_eq!(lab.asked("state offline failing"), 3);
}

#[tokio::test(start_paused = true)]
async fn each_allocation_fails_once_and_the_steps_go_on_from_there() {
    let lab = Lab::new(&steps_of(SWEEP), [Setup::x86()]);
    let record = lab.run().await;
    comes_to(&record, Verdict::Pass, None);
    // Two in the online, two in the offline, and a round in which none is left.
    let said = ["4 allocations failed, one at a time: 2 writes were refused, 2 were not"];
    assert_eq!(record.steps[1].said, said);
    assert_eq!(lab.asked("state online_movable failing"), 5);
    assert_eq!(lab.asked("state offline failing"), 3);
    assert_eq!(lab.asked("state online_movable"), 6);
}
