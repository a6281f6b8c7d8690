// SPDX-License-Identifier: MIT OR Apache-2.0
//! Little free memory, in a guest that is none.

use super::fake::{Fault, Setup, cases};

/// Words of the script that takes memory.
const TAKES: &str = "mount -t ramfs pressure";
/// Words of the one that gives it back.
const GIVES: &str = "umount /run/pressure";

const LIFE: &str = "
    pressure: { free: 16MiB }
    add: { as: b }
    online: { block: b, zone: kernel }
    pressure: { off: true }";

/// A guest that has so many pages left, and whose ledgers say in the last step but one that its free pages are off by so much.
fn left(pages: &'static str) -> Setup {
    Setup::x86().program(TAKES, 0, pages).program(GIVES, 0, "")
}

cases! {
    a_block_lives_under_pressure: left("4100\n"), LIFE => Pass;
    what_is_reclaimed_is_no_failure: left("4100\n").after("memrig-ledger", 4, Fault::Lie("/proc/zoneinfo:  nr_free_pages", 2000)),
        "pressure: { free: 16MiB }\nadd: { as: b }" => Pass;
    what_leaks_under_pressure_is_one: left("4100\n").after("memrig-ledger", 4, Fault::Lie("/proc/zoneinfo:  nr_free_pages", -2000)),
        "pressure: { free: 16MiB }\nadd: { as: b }" => Fail, "free (nr_free_pages";
    a_guest_that_has_too_little_is_nobodys_failure: left("9\n"), LIFE
        => Error, "9 pages are free above the low watermarks, and 4096 must be";
    memory_that_cannot_be_taken_is_nobodys_failure: Setup::x86().program(TAKES, 1, ""), LIFE => Error, "taking memory: the script ended with 1";
    memory_that_cannot_be_given_back_is_nobodys_failure: left("4100\n").always(GIVES, Fault::Exit(1, "umount: busy")), LIFE
        => Error, "giving memory back: the script ended with 1: umount: busy";
}
