// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest that is none asks of its storage, and what is seen of it.

use super::fake::{Setup, cases};

/// A block that is online, and what is looked at then.
fn then(steps: &str) -> String {
    format!("add: {{ as: b }}\nonline: {{ block: b, zone: movable }}\n{steps}")
}

cases! {
    going_online_assigns_the_blocks_increments: Setup::g1(), &then("storage_commands: { are: assign, block: b }") => Pass;
    going_offline_unassigns_them: Setup::g1(),
        &then("offline: { block: b }\nstorage_commands: { are: unassign, block: b }") => Pass;
    adding_what_is_there_asks_for_no_storage: Setup::g1(), "add: { as: b }\nstorage_commands: { are: none }" => Pass;
    configuring_assigns_storage: Setup::g2(), "add: { as: b }\nstorage_commands: { are: assign, block: b }" => Pass;
    a_command_too_many_fails: Setup::g1(), &then("storage_commands: { are: none }")
        => Fail, "storage commands: Assign 17 Assign 18 Assign 19 Assign 20 too much";
    a_command_that_is_missing_fails: Setup::g1(), "add: { as: b }\nstorage_commands: { are: assign, block: b }"
        => Fail, "storage commands: Assign 17 Assign 18 Assign 19 Assign 20 missing";
    another_command_fails: Setup::g1(), &then("storage_commands: { are: unassign, block: b }")
        => Fail, "Unassign 20 missing";
    commands_that_are_done_are: Setup::g1(), &then("storage_commands: { are: done }\noffline: { block: b }\nstorage_commands: { are: done }") => Pass;
    no_command_at_all_is_done: Setup::g2(), "add: { as: b }\nonline: { block: b }\nstorage_commands: { are: done }" => Pass;
    a_command_for_what_is_so_is_not_done: Setup::g1().assigns_twice(), &then("storage_commands: { are: done }")
        => Fail, "a storage command was so already: Assign 17: 0x0120";
}
