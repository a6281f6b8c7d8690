// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writers beside each other, in a guest that is none: it lets the last one write first.

use super::fake::{Setup, cases};

/// Two writers of one block.
const ONE: &str = "
    add: { as: b }
    parallel: { do: [[online: { block: b, zone: movable }], [online: { block: b, zone: movable }]] }
    offline: { block: b }";

/// Two writers who contradict each other.
const AGAINST: &str = "
    add: { as: b }
    parallel: { do: [[online: { block: b }, offline: { block: b }], [online: { block: b, zone: kernel }, offline: { block: b }]] }";

/// Two writers of two blocks.
const TWO: &str = "
    add: { as: b, blocks: 2 }
    parallel: { do: [[online: { block: b.0, zone: movable }], [online: { block: b.1, zone: movable }]], fails: [EBUSY] }";

const SCRIPT: &str = "/run/parallel";

cases! {
    of_two_writers_of_one_block_one_is_refused: Setup::x86(), ONE => Pass;
    writers_who_contradict_each_other_have_an_order: Setup::g1(), AGAINST => Pass;
    writers_of_two_blocks_are_both_taken: Setup::g2(), TWO => Pass;
    answers_that_no_order_explains_fail: Setup::x86().program(SCRIPT, 0, "0 0 0 \n1 0 0 \n"), ONE
        => Fail, "no order of the writes explains what they returned: \"online_movable\" to /sys/devices/system/memory/memory4/state taken | ";
    an_errno_that_no_order_explains_fails: Setup::x86().program(SCRIPT, 0, "0 0 0 \n1 0 1 sh: write error: Input/output error\n"), TWO
        => Fail, "memory5/state EIO";
    a_write_that_is_taken_and_not_done_fails: Setup::x86().program(SCRIPT, 0, "0 0 0 \n1 0 0 \n"), TWO
        => Fail, "of the guest's memory state are not as predicted";
    a_write_that_may_be_refused_does_nothing: Setup::x86()
        .program(SCRIPT, 0, "0 0 1 sh: write error: Device or resource busy\n1 0 1 sh: write error: Device or resource busy\n"), TWO => Pass;
    a_writer_of_whom_nothing_is_told_is_nobodys_failure: Setup::x86().program(SCRIPT, 0, "0 0 0 \n"), TWO
        => Error, "beside others: the guest said \"\"";
}
