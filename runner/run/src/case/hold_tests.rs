// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that are held, in a guest that is none: each way is right, and each thing that can become of them is told.

use super::fake::{Fault, HeldFault, Setup, cases};

/// The size of the pool of hugetlb.
const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// Pages of a block are held so while it goes offline.
fn held(by: &str) -> String {
    format!(
        "add: {{ as: b }}
        online: {{ block: b, zone: movable }}
        hold: {{ block: b, by: {by}, as: pages }}
        offline: {{ block: b }}
        free: {{ hold: pages }}"
    )
}

/// The same of pages that cannot be moved, which keep it online.
fn pinned() -> String {
    held("pipe").replace("offline: { block: b }", "offline: { block: b, fails: EINTR }")
}

cases! {
    anonymous_pages_are_moved: Setup::x86(), &held("anon") => Pass;
    those_of_s390x_are_moved: Setup::g1(), &held("anon") => Pass;
    locked_pages_are_moved: Setup::x86(), &held("mlock") => Pass;
    those_that_are_locked_on_s390x_are_moved: Setup::g2(), &held("mlock") => Pass;
    large_pages_are_moved: Setup::x86(), &held("thp") => Pass;
    a_page_that_is_one_of_many_is_moved: Setup::g2(), &held("ksm") => Pass;
    pages_of_a_file_are_moved: Setup::x86(), &held("file") => Pass;
    huge_pages_are_moved: Setup::x86().file(POOL, "4\n"), &held("hugetlb") => Pass;
    pages_that_are_pinned_for_long_are_out_of_the_block: Setup::x86(), &held("longterm") => Pass;
    pages_in_a_pipe_keep_their_block_online: Setup::x86(), &pinned() => Pass;
    a_dimm_with_pages_that_are_held_goes: Setup::x86(), &held("mlock").replace("offline:", "remove:") => Pass;
}

// What can become of them.
cases! {
    a_page_that_stays_in_a_block_that_is_off_fails: Setup::x86().held_fault(HeldFault::Stay), &held("anon")
        => Fail, "the pages of `pages` are not as they must be, first held pages in blocks that are not online: predicted 0, seen 1024";
    a_page_that_is_lost_fails: Setup::g2().held_fault(HeldFault::Lost), &held("anon") => Fail, "held pages that are mapped: predicted 1024, seen 1023";
    a_page_that_has_something_else_in_it_fails: Setup::x86().held_fault(HeldFault::Changed), &held("file")
        => Fail, "first the sum of what is held: predicted 1a1a, seen 2b2b";
    pages_that_are_not_locked_any_more_fail: Setup::g1().held_fault(HeldFault::Ordinary), &held("mlock")
        => Fail, "first held pages that are mlocked: predicted 1024, seen 0";
    huge_pages_that_are_small_fail: Setup::x86().file(POOL, "4\n").held_fault(HeldFault::Ordinary), &held("hugetlb")
        => Fail, "first held pages that are hugetlb: predicted 2048, seen 0";
    pages_in_a_pipe_that_are_moved_fail: Setup::x86().held_fault(HeldFault::Move), &pinned()
        => Fail, "first held pages that stay where they are: predicted 8, seen 0";
    a_block_with_pages_in_a_pipe_that_goes_offline_fails: Setup::x86().held_fault(HeldFault::Loose), &pinned() => Fail, "succeeded, and must fail with EINTR";
}

// What tells nothing about the kernel.
cases! {
    pages_that_came_to_lie_elsewhere_try_nothing: Setup::x86().held_fault(HeldFault::Elsewhere), &held("anon")
        => Error, "0 of 1024 pages of `pages` came to lie in the block";
    pages_of_one_block_of_two_are_not_sure_to_lie_there: Setup::x86(),
        "add: { as: b, blocks: 2 }\nonline: { block: b, zone: movable }\nhold: { block: b.1, by: anon, as: pages }"
        => Error, "pages are held in all blocks of zone Movable, and those are memory4, memory5";
    pages_of_two_blocks_are_held: Setup::x86(),
        "add: { as: b, blocks: 2 }\nonline: { block: b, zone: movable }\nhold: { block: b, by: anon, as: pages }" => Pass;
    a_block_of_a_kernel_zone_has_none: Setup::x86(),
        "add: { as: b }\nonline: { block: b, zone: kernel }\nhold: { block: b, by: anon, as: pages }" => Error, "and those are none";
    a_process_that_cannot_hold_tells_why: Setup::x86().program("exec memrig-hold", 3, "12\n"), &held("mlock")
        => Error, "no pages could be held as `pages`: a system call of `mlock` failed with ENOMEM";
    a_process_that_ends_accuses_nobody: Setup::x86().held_fault(HeldFault::Ends), &held("anon")
        => Error, "the process that holds `pages` ended with 137";
    pages_that_do_not_read_are_not_the_same_as_before: Setup::x86().always("md5sum", Fault::Exit(1, "dd: Input/output error")), &held("anon")
        => Error, "reading `pages`: the script ended with 1: dd: Input/output error";
    a_sum_that_is_none_is_not_the_same_as_before: Setup::x86().program("md5sum", 0, ""), &held("anon")
        => Error, "reading `pages`: the guest says no sum";
}
