// SPDX-License-Identifier: MIT OR Apache-2.0
//! Others at work, in a guest that is none.

use super::fake::{Fault, Setup, cases};

/// Words of the script that has them at work.
const BEGINS: &str = "mount -t tmpfs load";
/// Words of the one that stops them.
const ENDS: &str = "touch /run/load/stop";

const LIFE: &str = "
    load: { by: [anon, pages], seed: 7 }
    add: { as: b }
    online: { block: b, zone: movable }
    load: { off: true }";

/// A guest that says this of their work.
fn said(text: &'static str) -> Setup {
    Setup::x86().program(BEGINS, 0, "").program(ENDS, 0, text)
}

cases! {
    a_block_lives_while_others_are_at_work: said("anon did 3\npages did 9\n"), LIFE => Pass;
    free_pages_say_nothing_meanwhile: said("anon did 3\npages did 9\n").after("memrig-ledger", 3, Fault::Lie("/proc/zoneinfo:  nr_free_pages", -2000)),
        LIFE => Pass;
    all_else_does: said("anon did 3\npages did 9\n").after("memrig-ledger", 3, Fault::Lie("/proc/meminfo:MemTotal", -4000)),
        LIFE => Fail, "MemTotal";
    a_reader_that_the_kernel_refuses_speaks_against_it: said("anon did 3\npages failed 2 cat: read error: I/O error\n"), LIFE
        => Fail, "the load `pages`, which went well 2 times, did not: cat: read error: I/O error";
    a_worker_that_gets_no_memory_is_nobodys_failure: said("anon failed 0 dd: out of memory\npages did 9\n"), LIFE
        => Error, "the load `anon`, which went well 0 times, did not: dd: out of memory";
    a_load_that_did_nothing_is_none: said("anon did 3\npages did 0\n"), LIFE => Error, "the load `pages` came to no round";
    one_of_which_nothing_is_said_is_none: said("anon did 3\n"), LIFE
        => Error, "the guest does not say what came of the load `pages`";
    a_kernel_that_has_nothing_for_it_is_skipped: Setup::x86().program(BEGINS, 0, "pages\n"), LIFE
        => Skip, "the load `pages` needs CONFIG_PROC_PAGE_MONITOR";
    one_that_cannot_begin_is_nobodys_failure: Setup::x86().program(BEGINS, 1, ""), LIFE => Error, "having others at work: the script ended with 1";
}
