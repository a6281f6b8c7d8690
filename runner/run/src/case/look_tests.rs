// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that look, in a guest that is none: each is seen to pass, and to find what is wrong.

use super::fake::{Fault, Lab, Setup, cases, comes_to, steps_of, tried};
use base::fault::Verdict;

/// A block that is online, and what is looked at then.
fn then(steps: &str) -> String {
    format!("add: {{ as: b }}\nonline: {{ block: b, zone: movable }}\n{steps}")
}

const FILE: &str = "/sys/devices/system/memory/memory4/phys_index";

// Files and the log.
cases! {
    a_file_says_what_it_must: Setup::x86().file(FILE, "00000004\n"),
        &then("read: { block: b, file: phys_index, is: '{phys_index}' }") => Pass;
    a_file_that_says_something_else_fails: Setup::x86().file(FILE, "00000005\n"),
        &then("read: { block: b, file: phys_index, is: '{phys_index}' }") => Fail, "does not say what it must";
    a_file_matches: Setup::x86().file("/proc/version", "Linux 6.12\n"),
        "read: { path: /proc/version, matches: '^Linux 6' }" => Pass;
    a_file_that_does_not_match_fails: Setup::x86().file("/proc/version", "Linux 6.12\n"),
        "read: { path: /proc/version, matches: '^Linux 7' }" => Fail, "says \"Linux 6.12\", and must match";
    a_file_that_is_not_there_fails: Setup::x86(),
        "read: { path: /proc/version, matches: '^Linux 7' }" => Fail, "reading /proc/version failed with ENOENT";
    a_line_of_the_log_is_found: Setup::x86().boots_saying("hello"), "log: { has: hello }" => Pass;
    a_line_that_the_log_lacks_fails: Setup::x86(), "log: { has: hello }" => Fail, "no line of the kernel log matches hello";
    a_line_that_must_not_be_is_not: Setup::x86(), "log: { lacks: hello }" => Pass;
    a_line_that_must_not_be_fails: Setup::x86().boots_saying("hello"), "log: { lacks: hello }"
        => Fail, "a line of the kernel log matches hello: [    8.000000] hello";
    a_log_that_cannot_be_read_is_nobodys_failure: Setup::x86().always("dmesg", Fault::Exit(1, "dmesg: klogctl")),
        "log: { lacks: hello }" => Error, "reading the kernel log: the script ended with 1: dmesg: klogctl";
}

// Storage.
cases! {
    what_is_assigned_is_seen: Setup::g1(), &then("assigned: { are: [b] }") => Pass;
    nothing_is_assigned_before: Setup::g1(), "add: { as: b }\nassigned: { are: [] }" => Pass;
    what_is_assigned_too_much_fails: Setup::g1(), &then("assigned: { are: [] }")
        => Fail, "assigned standby increments: 17 18 19 20 too much";
    what_is_not_assigned_fails: Setup::g1(), "add: { as: b }\nassigned: { are: [b] }"
        => Fail, "assigned standby increments: 17 18 19 20 missing";
}

const SENT: &str = "notifiers: { are: [MEM_GOING_ONLINE, MEM_ONLINE] }";

// Notifications, uevents, pages.
cases! {
    what_online_notifies_is_seen: Setup::x86(), &then(SENT) => Pass;
    what_online_notifies_is_whole: Setup::x86(), &then("notifiers: { whole: true }") => Pass;
    what_a_removal_notifies_is_whole: Setup::x86(), &then("remove: { block: b }\nnotifiers: { whole: true }") => Pass;
    what_a_refusal_notifies_is_whole: Setup::x86().busy(4),
        &then("offline: { block: b, fails: EBUSY }\nnotifiers: { whole: true }\nlog: { lacks: oops }\nnotifiers: { whole: true }") => Pass;
    a_notification_that_is_sent_twice_fails: Setup::x86().notifies_twice(), &then("notifiers: { whole: true }")
        => Fail, "memory4: no MEM_ONLINE comes after MEM_ONLINE; sent was MEM_GOING_ONLINE, MEM_ONLINE, MEM_ONLINE";
    an_end_without_a_beginning_fails: Setup::x86().always("cat /sys/kernel/tracing/trace", Fault::Lie(" sh-1", -7)), &then("notifiers: { whole: true }")
        => Fail, "memory4: no MEM_ONLINE comes of a block that is offline; sent was MEM_ONLINE, MEM_ONLINE";
    a_notification_about_no_block_is_nobodys_failure: Setup::x86().always("cat /sys/kernel/tracing/trace", Fault::Lie(" sh-1", 3)),
        &then("notifiers: { whole: true }") => Error, "the trace has a notification that is about no block";
    what_a_refusal_notifies_is_seen: Setup::x86().busy(4),
        &then("offline: { block: b, fails: EBUSY }\nnotifiers: { are: [MEM_GOING_OFFLINE, MEM_CANCEL_OFFLINE] }") => Pass;
    another_notification_fails: Setup::x86(), &then("notifiers: { are: [MEM_GOING_ONLINE, MEM_CANCEL_ONLINE] }")
        => Fail, "notifications: MEM_CANCEL_ONLINE missing, MEM_ONLINE too much";
    a_notification_that_is_not_sent_fails: Setup::x86(), &then("online: { block: b, via: online }\nnotifiers: { are: [MEM_ONLINE] }")
        => Fail, "notifications: MEM_ONLINE missing";
    a_kernel_that_does_not_prepare_is_not_held_to_it: Setup::x86(),
        &then("notifiers: { are: [MEM_PREPARE_ONLINE, MEM_GOING_ONLINE, MEM_ONLINE] }") => Pass;
    a_kernel_that_prepares_is_held_to_it: Setup::x86().probe(Some("ffff0000 flags yes")),
        &then("notifiers: { are: [MEM_PREPARE_ONLINE, MEM_GOING_ONLINE, MEM_ONLINE] }") => Fail, "MEM_PREPARE_ONLINE missing";
    a_kernel_without_btf_tells_by_the_first: Setup::x86().probe(Some("ffff0000 unknown no")), &then(SENT) => Pass;
    another_numbering_is_another_notification: Setup::x86().probe(Some("ffff0000 enum no")), &then(SENT)
        => Error, "the trace has 8, which stands for no notification";
    a_kernel_whose_notifications_cannot_be_seen_skips: Setup::x86().probe(None), &then(SENT)
        => Skip, "the kernel lacks what it takes to see notifications";
    a_probe_that_breaks_is_nobodys_failure: Setup::x86().always("known='", Fault::Exit(1, "sh: out of memory")), &then(SENT)
        => Error, "installing the notifier probe ended with 1: sh: out of memory";
    what_online_tells_user_space_is_seen: Setup::x86(), &then("uevents: { block: b, are: [online] }") => Pass;
    what_a_dimm_tells_user_space_is_seen: Setup::x86(), "add: { as: b }\nuevents: { block: b, are: [add] }" => Pass;
    what_an_ejection_tells_user_space_is_seen: Setup::x86(),
        &then("remove: { block: b }\nuevents: { block: b, are: [offline, remove] }") => Pass;
    another_uevent_fails: Setup::x86().uevents(&["add", "offline"]), &then("uevents: { block: b, are: [online] }")
        => Fail, "uevents of memory4: online missing, offline too much";
    a_uevent_that_is_not_sent_fails: Setup::x86(), "add: { as: b }\nuevents: { block: b, are: [add, online] }"
        => Fail, "uevents of memory4: online missing";
    a_listener_without_a_log_is_nobodys_failure: Setup::x86().always("wc -c", Fault::Exit(0, "")), "add: { as: b }"
        => Error, "the log of uevents has no length";
    a_memmap_on_the_block_itself_is_seen: Setup::x86_altmap(), &then("pages: { block: b, memmap: altmap }") => Pass;
    a_memmap_in_system_memory_is_seen: Setup::x86(), &then("pages: { block: b, memmap: system }") => Pass;
    a_memmap_that_is_elsewhere_by_the_kernels_rules_skips: Setup::x86(), &then("pages: { block: b, memmap: altmap }")
        => Skip, "on this kernel the memmap of the block is in system memory";
    pages_that_do_not_read_are_nobodys_failure: Setup::x86().once("kpageflags", 0, Fault::Exit(1, "dd: bad")).program("| wc -c", 0, "0\n"),
        &then("pages: { block: b, memmap: system }") => Error, "gave 0 bytes in place of 131072 and ended with 1";
    a_file_of_pages_that_ends_in_an_online_block_fails: Setup::x86().program("| wc -c", 0, "16\n").program("kpageflags", 0, "0123456789abcdef"),
        &then("pages: { block: b, memmap: system }") => Fail, "/proc/kpageflags ends at page 0x10002, and memory4 is online up to page 0x14000";
    pages_that_are_lost_on_the_way_are_nobodys_failure: Setup::x86().program("| wc -c", 0, "131072\n").program("kpageflags", 0, "0123456789abcdef"),
        &then("pages: { block: b, memmap: system }") => Error, "gave 16 bytes in place of 131072 and ended with 0, and the guest counts 131072";
}

// Several, and again and again.
cases! {
    what_is_repeated_passes_in_each_round: Setup::x86(),
        &then("repeat: { times: 3, steps: [{ offline: { block: b } }, { online: { block: b, zone: movable } }] }") => Pass;
    a_round_that_fails_is_told:
        Setup::x86().once("state offline", 1, Fault::Refuse("EIO".parse().unwrap())),
        &then("repeat: { times: 3, steps: [{ offline: { block: b } }, { online: { block: b, zone: movable } }] }")
        => Fail, "round 2, `offline: { block: b }`: writing \"offline\"";
    a_round_that_cannot_look_goes_on: Setup::x86().probe(None),
        &then("repeat: { times: 2, steps: [{ notifiers: { are: [MEM_ONLINE] } }, { read: { path: /nothing, is: x } }] }")
        => Fail, "round 1, `read: { path: /nothing, is: \"x\" }`: reading /nothing failed with ENOENT";
    what_cannot_be_looked_at_hides_no_failure: Setup::x86().probe(None),
        &then("notifiers: { are: [MEM_ONLINE] }\noffline: { block: b, fails: EIO }") => Fail, "succeeded, and must fail with EIO";
    what_cannot_be_looked_at_in_any_round_skips: Setup::x86().probe(None),
        &then("repeat: { times: 2, steps: [{ notifiers: { are: [MEM_ONLINE] } }] }\noffline: { block: b }")
        => Skip, "the kernel lacks what it takes to see notifications";
}

#[tokio::test(start_paused = true)]
async fn a_step_after_one_that_cannot_look_is_done() {
    let record = tried(
        &then("notifiers: { are: [MEM_ONLINE] }\noffline: { block: b }"),
        [Setup::x86().probe(None)],
    )
    .await;
    let verdicts: Vec<Verdict> = record.steps.iter().map(|step| step.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Pass, Verdict::Pass, Verdict::Skip, Verdict::Pass]
    );
}

#[tokio::test(start_paused = true)]
async fn what_only_looks_leaves_what_the_last_step_did() {
    // The second look at the same notifications sees them too.
    let record = tried(
        &then(&format!("{SENT}\nlog: {{ lacks: hello }}\n{SENT}")),
        [Setup::x86()],
    )
    .await;
    comes_to(&record, Verdict::Pass, None);
}

#[tokio::test(start_paused = true)]
async fn a_look_is_no_reason_to_read_the_ledger() {
    let asked = async |steps: &str| {
        let lab = Lab::new(&steps_of(steps), [Setup::x86()]);
        lab.run().await;
        lab.asked("memrig-ledger")
    };
    let look = "uevents: { block: b, are: [online] }";
    assert_eq!(asked(&then(look)).await, asked(&then("")).await);
}

#[tokio::test(start_paused = true)]
async fn where_kernels_are_compared_each_step_that_acts_is_watched() {
    let mut lab = Lab::new(&steps_of(&then(SENT)), [Setup::x86()]);
    lab.stage.watch = true;
    comes_to(&lab.run().await, Verdict::Pass, None);
    assert_eq!(
        lab.asked("trees="),
        3,
        "before the first step, and after each of two"
    );
    assert_eq!(lab.asked("/proc/lockdep"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_of_a_step_is_what_its_writes_returned_and_sent() {
    let mut lab = Lab::new(&steps_of(&then("")), [Setup::g1()]);
    lab.stage.watch = true;
    comes_to(&lab.run().await, Verdict::Pass, None);
    let seen = lab.kept("observed.json");
    for part in [
        "memory4/state <- online_movable: ok",
        "MEM_GOING_ONLINE",
        "Assign 17: 0x0020",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
}

/// What a guest prints of node 0, whose zones manage as much as the books of the fake guest have.
const NODE: &str =
    "online:0\nhas_memory:0\nhas_normal_memory:\nhas_cpu:0\nlinks: memory0 memory1 memory2 memory3 memory4\n";

/// A guest that prints this of its node.
fn with_node(printed: &'static str) -> Setup {
    Setup::x86().program("cd /sys/devices/system/node", 0, printed)
}

// NUMA nodes.
cases! {
    a_node_is_as_it_must_be: with_node(NODE),
        "add: { as: b }\nnode: { number: 0, memory: true, normal_memory: false, cpu: true, blocks: [b] }" => Pass;
    a_flag_of_a_node_is_compared: with_node(NODE), "node: { number: 0, normal_memory: true }"
        => Fail, "node 0 in has_normal_memory: must be true, is false";
    a_node_without_a_directory_fails: with_node(NODE), "node: { number: 0, online: true }"
        => Fail, "node0 has a directory: must be true, is false";
    the_blocks_of_a_node_are_compared: with_node(NODE), "add: { as: b, blocks: 2 }\nnode: { number: 0, blocks: [b] }"
        => Fail, "node0 links: must be memory4 memory5, is memory4";
    a_block_too_much_is_seen: with_node(NODE), "node: { number: 0, blocks: [] }" => Fail, "node0 links: must be none, is memory4";
    the_memory_of_a_node_is_that_of_its_zones: with_node("online:0\nNode 0 MemTotal: 12 kB\n"), "node: { number: 0, online: true }"
        => Fail, "node0 MemTotal: must be ";
    a_kernel_without_nodes_is_none_of_it: Setup::x86().program("cd /sys/devices/system/node", 3, ""), "node: { number: 0, online: true }"
        => Skip, "needs CONFIG_NUMA";
    what_does_not_read_of_a_node_is_nobodys_failure: with_node("online\n"), "node: { number: 0, online: true }"
        => Error, "what sysfs says of node 0 does not read";
}
