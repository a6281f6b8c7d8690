// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that act, in a guest that is none: what is right passes, and each thing that is wrong is told as what it is.

use super::fake::{Fault, Lab, Setup, cases, comes_to, steps_of};
use base::{Errno, fault::Verdict};

/// The life of a block.
const LIFE: &str = "
    add: { as: b }
    online: { block: b, zone: movable }
    offline: { block: b }
    remove: { block: b }";

/// A block that is online.
const ONLINE: &str = "
    add: { as: b }
    online: { block: b, zone: movable }";

/// The file by which a CPU is switched.
const CPU: &str = "/sys/devices/system/cpu/cpu0/online";

fn errno(word: &str) -> Errno {
    word.parse().unwrap()
}

/// Steps after those that put a block online.
fn then(steps: &str) -> String {
    format!("{ONLINE}\n{steps}")
}

/// A guest whose kernel cannot move a page of the block that is to go offline, and tries that again and again.
fn tries_for_ever() -> Setup {
    let said = Fault::Say("page dumped because: isolation failed");
    let at = "memory4/state offline";
    Setup::x86().always(at, said).always(at, Fault::Stick)
}

cases! {
    a_dimm_lives: Setup::x86(), LIFE => Pass;
    a_dimm_with_its_memmap_on_itself_lives: Setup::x86_altmap(), LIFE => Pass;
    a_standby_block_that_is_there_lives: Setup::g1(), LIFE => Pass;
    a_standby_block_that_is_configured_lives: Setup::g2(), LIFE => Pass;
    a_dimm_of_three_blocks_lives: Setup::x86(), &LIFE.replace("as: b", "as: b, blocks: 3") => Pass;
    three_standby_blocks_live: Setup::g1(), &LIFE.replace("as: b", "as: b, blocks: 3") => Pass;
    three_configured_blocks_live: Setup::g2(), &LIFE.replace("as: b", "as: b, blocks: 3") => Pass;
    a_dimm_by_its_size_lives: Setup::x86(), &LIFE.replace("as: b", "as: b, size: 128M") => Pass;
    two_dimms_of_one_name_live: Setup::x86(), &LIFE.replace("as: b", "as: b, times: 2") => Pass;
    a_dimm_at_an_address_lives: Setup::x86(), &LIFE.replace("as: b", "as: b, address: 0x20000000") => Pass;
    a_block_goes_to_the_kernels_zone: Setup::x86(), "add: { as: b }\nonline: { block: b, zone: kernel }" => Pass;
    a_block_goes_where_the_kernel_puts_it: Setup::g2(), "add: { as: b }\nonline: { block: b }" => Pass;
    the_file_online_does_it_too:
        Setup::x86(), "add: { as: b }\nonline: { block: b, via: online }\noffline: { block: b, via: online }" => Pass;
    one_block_of_many: Setup::x86(),
        "add: { as: b, blocks: 3 }\nonline: { block: b.1, zone: movable }\noffline: { block: b.1 }" => Pass;
}

// What the kernel returns.
cases! {
    online_twice_is_refused_as_it_must_be: Setup::x86(), &then("online: { block: b, fails: EINVAL }") => Pass;
    online_twice_by_the_file_online_is_no_error:
        Setup::x86(), &then("online: { block: b, via: online }") => Pass;
    offline_twice_by_the_file_online_is_no_error: Setup::g2(),
        "add: { as: b }\noffline: { block: b, via: online }" => Pass;
    what_must_be_refused_and_is_taken_fails: Setup::x86(),
        "add: { as: b }\nonline: { block: b, fails: EINVAL }" => Fail, "succeeded, and must fail with EINVAL";
    what_must_be_taken_and_is_refused_fails:
        Setup::x86().always("write /sys/devices/system/memory/memory4/state", Fault::Refuse(errno("EIO"))),
        ONLINE => Fail, "failed with EIO, and must succeed";
    what_is_refused_with_another_errno_fails:
        Setup::x86().always("memory4/state online", Fault::Refuse(errno("EIO"))),
        "add: { as: b }\nonline: { block: b, fails: EINVAL }" => Fail, "failed with EIO, and must fail with EINVAL";
    a_write_that_names_no_errno_is_nobodys_failure:
        Setup::x86().always("memory4/state online", Fault::Exit(1, "sh: write error: the host is unhappy")),
        ONLINE => Error, "the host is unhappy";
    a_block_that_is_busy_in_zone_movable_is_the_kernels_failure: Setup::x86().busy(4),
        &then("offline: { block: b }") => Fail, "failed with EBUSY, and must succeed";
    a_block_that_is_busy_in_a_kernel_zone_is_nobodys_failure: Setup::x86().busy(4),
        "add: { as: b }\nonline: { block: b, zone: kernel }\noffline: { block: b }"
        => Error, "may hold pages that cannot be moved";
    a_block_of_a_kernel_zone_that_the_kernel_tries_to_empty_for_ever_is_nobodys_failure: tries_for_ever(),
        "add: { as: b }\nonline: { block: b, zone: kernel }\noffline: { block: b }"
        => Error, "does not end, and the kernel keeps trying to empty the block: memory4 is in zone Normal";
    one_of_zone_movable_that_it_tries_to_empty_for_ever_hangs: tries_for_ever(),
        &then("offline: { block: b }") => Fail, "this hangs, while the guest answers other questions";
    one_of_a_kernel_zone_that_hangs_without_a_word_of_pages_hangs: Setup::x86().always("memory4/state offline", Fault::Stick),
        "add: { as: b }\nonline: { block: b, zone: kernel }\noffline: { block: b }"
        => Fail, "this hangs, while the guest answers other questions";
    a_veto_that_a_busy_block_of_a_kernel_zone_never_meets_is_nobodys_failure: Setup::x86().busy(4),
        "add: { as: b }\nonline: { block: b, zone: kernel }\nveto: { notifier: MEM_GOING_OFFLINE, errno: ENOMEM }
        offline: { block: b, fails: ENOMEM }" => Error, "may hold pages that cannot be moved";
    a_veto_that_is_over_excuses_no_busy_block: Setup::x86().busy(4),
        "add: { as: b }\nonline: { block: b, zone: kernel }\nveto: { notifier: MEM_GOING_OFFLINE, errno: ENOMEM }\nveto: { off: true }
        offline: { block: b, fails: ENOMEM }" => Fail, "failed with EBUSY, and must fail with ENOMEM";
    a_busy_block_that_must_be_refused_is: Setup::x86().busy(4), &then("offline: { block: b, fails: EBUSY }") => Pass;
    a_dimm_that_is_busy_stays: Setup::x86().busy(4), &then("remove: { block: b, fails: EBUSY }") => Pass;
    a_dimm_that_is_busy_and_must_go_fails: Setup::x86().busy(4),
        &then("remove: { block: b }") => Fail, "ejecting dimm0 (_OST status 0x82) failed with EBUSY, and must succeed";
    a_dimm_that_is_busy_in_a_kernel_zone_is_nobodys_failure: Setup::x86().busy(4),
        "add: { as: b }\nonline: { block: b, zone: kernel }\nremove: { block: b }"
        => Error, "may hold pages that cannot be moved";
    a_dimm_that_must_stay_and_goes_fails: Setup::x86(),
        &then("remove: { block: b, fails: EBUSY }") => Fail, "succeeded, and must fail with EBUSY";
    a_block_that_is_online_is_not_deconfigured: Setup::g2(),
        &then("remove: { block: b, fails: EBUSY }") => Pass;
}

// What comes of it, though nothing was refused.
cases! {
    an_online_of_which_nothing_comes_fails: Setup::x86().always("memory4/state online", Fault::Ignore),
        ONLINE => Fail, "of the guest's memory state are not as predicted";
    an_offline_of_which_nothing_comes_fails: Setup::g1().always("state offline", Fault::Ignore),
        &LIFE.replace("memory4", "") => Fail, "of the guest's memory state are not as predicted";
    a_deconfigure_of_which_nothing_comes_fails: Setup::g2().always("config 0", Fault::Ignore),
        "add: { as: b }\nremove: { block: b }" => Fail, "of the guest's memory state are not as predicted";
    a_cpu_goes_off_and_comes_back: Setup::x86().file(CPU, "1"), "cpu: { off: 0 }\ncpu: { on: 0 }" => Pass;
    a_cpu_that_must_stay_and_goes_fails: Setup::x86().file(CPU, "1"),
        "cpu: { off: 0, fails: EBUSY }" => Fail, "succeeded, and must fail with EBUSY";
    a_cpu_that_cannot_be_switched_fails: Setup::x86(), "cpu: { off: 0 }" => Fail, "failed with ENOENT, and must succeed";
    a_policy_that_is_not_taken_fails: Setup::x86().always("auto_online_blocks", Fault::Ignore),
        "auto_online: { policy: movable }" => Fail, "1 entry of the guest's memory state is not as predicted";
}

/// A guest whose ledgers lie after the first step.
fn liar(line: &'static str, by: i64) -> Setup {
    Setup::x86().after("memrig-ledger", 3, Fault::Lie(line, by))
}

// Each counter that is off.
cases! {
    mem_total_is_compared: liar("/proc/meminfo:MemTotal", 4), ONLINE => Fail, "first MemTotal: predicted";
    free_pages_that_leak_are_seen: liar("/proc/zoneinfo:  nr_free_pages", -512), ONLINE => Fail, "free (nr_free_pages";
    free_pages_that_come_from_nowhere_are_seen: liar("/proc/zoneinfo:  nr_free_pages", 512), ONLINE => Fail, "free (nr_free_pages";
    a_few_free_pages_are_noise: liar("/proc/zoneinfo:  nr_free_pages", -20), ONLINE => Pass;
    spanned_is_compared: liar("/proc/zoneinfo:  spanned", 256), ONLINE => Fail, "spanned: predicted";
    present_is_compared: liar("/proc/zoneinfo:  present", -1), ONLINE => Fail, "present: predicted";
    managed_is_compared: liar("/proc/zoneinfo:  managed", 1), ONLINE => Fail, "managed: predicted";
    start_pfn_is_compared: liar("/proc/zoneinfo:  start_pfn", 512), ONLINE => Fail, "start_pfn: predicted";
    nr_memmap_is_compared: liar("/proc/vmstat:nr_memmap_pages", 1), ONLINE => Fail, "nr_memmap_pages: predicted";
    nr_memmap_boot_is_compared: liar("/proc/vmstat:nr_memmap_boot_pages", -1), ONLINE
        => Fail, "nr_memmap_boot_pages: predicted";
    iomem_is_compared: liar("/proc/iomem:00000000", 1), ONLINE => Fail, "iomem";
    a_taint_that_nothing_explains_is_a_fault: liar("/proc/sys/kernel/tainted", 512), ONLINE => Fail, "taint by faults";
    a_module_taints_too: liar("/proc/sys/kernel/tainted", 4096), ONLINE => Pass;
    online_is_compared: liar("memory4/online", -1), ONLINE => Fail, "memory4 online: predicted";
    removable_is_compared: liar("memory0/removable", -1), ONLINE => Fail, "memory0 removable: predicted";
    phys_device_is_compared: liar("memory4/phys_device", 1), ONLINE => Fail, "memory4 phys_device: predicted";
    what_the_guest_lists_of_another_block_is_compared: liar("memory1/online", -1), ONLINE => Fail, "memory1 online";
    a_counter_that_settles_is_none: Setup::x86().once("memrig-ledger", 3, Fault::Lie("/proc/meminfo:MemTotal", 4)),
        ONLINE => Pass;
    the_first_ledger_is_where_the_model_begins:
        Setup::x86().always("memrig-ledger", Fault::Lie("/proc/vmstat:nr_memmap_boot_pages", 1)), ONLINE => Pass;
    a_ledger_that_does_not_read_is_nobodys_failure: Setup::x86().always("memrig-ledger", Fault::Exit(1, "sh: no such file")),
        ONLINE => Error, "the guest's memory state does not read: the guest's ledger is cut off after line 0 (exit code 1: sh: no such file)";
}

// DIMMs, and the QEMU that plugs them.
cases! {
    a_dimm_that_the_kernel_must_refuse_is: Setup::x86().refuses_dimms(),
        "add: { as: b, refused: true }\nremove: { block: b }" => Pass;
    a_dimm_that_the_kernel_refuses_fails: Setup::x86().refuses_dimms(),
        "add: { as: b }" => Fail, "of the guest's memory state are not as predicted, first";
    a_dimm_that_the_kernel_must_refuse_and_takes_fails: Setup::x86(),
        "add: { as: b, refused: true }" => Fail, "of the guest's memory state are not as predicted";
    a_dimm_that_is_no_multiple_of_a_block_makes_none: Setup::x86(),
        "add: { as: b, size: 96M, refused: true }" => Pass;
    a_dimm_that_qemu_must_reject_is: Setup::x86(),
        "add: { as: b, size: 2G, rejected: not enough space }" => Pass;
    a_dimm_that_qemu_rejects_is_nobodys_failure: Setup::x86(), "add: { as: b, size: 2G }" => Error, "not enough space";
    a_dimm_that_qemu_rejects_otherwise_is_nobodys_failure: Setup::x86(),
        "add: { as: b, size: 2G, rejected: no free slots }" => Error, "QEMU refused the DIMM, but not with `no free slots`";
    a_dimm_that_qemu_must_reject_and_takes_is_nobodys_failure: Setup::x86(),
        "add: { as: b, rejected: no free slots }" => Error, "QEMU took a DIMM that it must refuse";
    a_plugged_dimm_that_acpi_never_answers_hangs: Setup::x86().always("qmp device_add", Fault::Ignore),
        "add: { as: b }" => Fail, "waiting for the guest to answer the plugged DIMM";
    an_ejection_that_acpi_never_answers_hangs: Setup::x86().always("qmp device_del", Fault::Ignore),
        "add: { as: b }\nremove: { block: b }" => Fail, "waiting for the guest to answer the ejection";
    a_qemu_that_lacks_memory_is_nobodys_failure: Setup::x86().always("qmp object-add", Fault::Exit(1, "Cannot allocate memory")),
        "add: { as: b }" => Error, "Cannot allocate memory";
    a_qemu_that_hangs_up_is_nobodys_failure: Setup::x86().always("qmp device_add", Fault::Lose),
        "add: { as: b }" => Error, "device_add";
}

// Standby memory.
cases! {
    storage_that_qemu_refuses_is_told_by_the_kernel: Setup::g1(),
        "add: { as: b }\nrefuse_assign: { all: true }\nonline: { block: b, fails: EPERM }\nrefuse_assign: { off: true }
        online: { block: b }" => Pass;
    only_the_next_assign_is_refused: Setup::g1(),
        "add: { as: b }\nrefuse_assign: { at: 1, response: 0x300 }\nonline: { block: b, fails: EPERM }\nonline: { block: b }" => Pass;
    storage_that_qemu_refuses_and_the_kernel_does_not_miss_fails: Setup::g1().always("state online", Fault::Ignore),
        "add: { as: b }\nrefuse_assign: { all: true }\nonline: { block: b, fails: EIO }" => Fail, "succeeded, and must fail with EIO";
    storage_that_is_not_taken_back_is_taken_into_use_again: Setup::g1(),
        "add: { as: b }\nonline: { block: b }\nrefuse_unassign: { all: true }\noffline: { block: b }\nassigned: { are: [b] }
        refuse_unassign: { off: true }\nassigned: { are: [b] }\nonline: { block: b }\noffline: { block: b }\nassigned: { are: [] }" => Pass;
    storage_that_is_taken_back_all_the_same_fails: Setup::g2().always("qmp qom-set", Fault::Ignore),
        "add: { as: b }\nrefuse_unassign: { all: true }\ndeconfigure: { block: b }" => Fail, "first standby increments assigned: predicted";
    configuring_is_refused_with_its_storage: Setup::g2(),
        "refuse_assign: { all: true }\nadd: { as: b, fails: EIO }" => Pass;
    a_block_is_deconfigured_and_configured_again: Setup::g2(),
        "add: { as: b }\ndeconfigure: { block: b }\nconfigure: { block: b }\nonline: { block: b }" => Pass;
    the_place_of_a_memmap_is_chosen: Setup::g2(),
        "add: { as: b, memmap_on_memory: false }\npages: { block: b, memmap: system }\nadd: { as: c, memmap_on_memory: true }
        online: { block: c }\npages: { block: c, memmap: altmap }" => Pass;
    a_value_that_no_kernel_takes_is_refused: Setup::g2(),
        "add: { as: b }\nstorage: { block: b, config: x, fails: EINVAL }\nstorage: { block: b, config: 'n' }" => Pass;
    the_choice_of_a_configured_block_is_made: Setup::g2(),
        "add: { as: b }\nstorage: { block: b, memmap_on_memory: '0', fails: EBUSY }" => Pass;
    more_standby_memory_than_there_is_lasts: Setup::g1(), "add: { as: b, blocks: 13 }"
        => Error, "the machine has 12 standby blocks of 64M, of which no 13 side by side are left";
    blocks_that_a_step_named_are_not_taken_again: Setup::g1(),
        "add: { as: b, blocks: 12 }\nadd: { as: c }" => Error, "of which no 1 side by side are left";
    a_qemu_that_does_not_answer_is_nobodys_failure: Setup::x86().always("qmp device_add", Fault::Hang),
        "add: { as: b }" => Error, "QEMU does not answer";
    a_property_that_qemu_lacks_lasts: Setup::g1().always("qmp qom-set", Fault::Exit(1, "Property 'x' not found")),
        "add: { as: b }" => Error, "Property 'x' not found";
}

// Files, programs, and what makes a block busy.
cases! {
    a_block_goes_online_by_a_write: Setup::x86(),
        "add: { as: b }\nwrite: { block: b, file: state, value: online_movable }" => Pass;
    a_newline_at_the_end_of_a_word_is_none_of_it: Setup::x86(),
        "add: { as: b }\nwrite: { block: b, file: state, value: \"online_movable\\n\" }\noffline: { block: b }" => Pass;
    a_word_that_the_kernel_does_not_know_is_refused: Setup::x86(),
        "add: { as: b }\nwrite: { block: b, file: state, value: Online, fails: EINVAL }" => Pass;
    a_word_that_the_kernel_does_not_know_and_takes_is_told:
        Setup::x86().always("state Online", Fault::Ignore),
        "add: { as: b }\nwrite: { block: b, file: state, value: Online }" => Error, "memrig does not know what that asks for";
    a_link_leads_to_a_file_of_memory_hotplug:
        Setup::x86().file("/sys/devices/system/node/node0/memory4/state", "/sys/devices/system/memory/memory4/state")
            .always("write /sys/devices/system/node", Fault::Refuse(errno("EINVAL"))),
        "add: { as: b }\nwrite: { path: /sys/devices/system/node/node0/memory4/state, value: x, fails: EINVAL }" => Pass;
    another_file_changes_no_memory: Setup::x86().file("/proc/sys/vm/drop_caches", "0"),
        "write: { path: /proc/sys/vm/drop_caches, value: '3' }" => Pass;
    a_file_that_is_not_there_is_told: Setup::x86(),
        "write: { path: /proc/sys/vm/drop_caches, value: '3' }" => Fail, "failed with ENOENT, and must succeed";
    a_policy_puts_blocks_online: Setup::x86(),
        "auto_online: { policy: movable }\nadd: { as: b }\noffline: { block: b }" => Pass;
    a_program_ends_as_it_must: Setup::x86().program("hello", 3, ""), "guest: { run: hello, fails: 3 }" => Pass;
    a_program_that_ends_otherwise_fails: Setup::x86().program("hello", 1, "no luck\n"),
        "guest: { run: hello }" => Fail, "the script ended with 1 at `hello`, and must end with 0: no luck";
    tests_of_a_program_are_all_ok: Setup::x86().program("t", 0, "TAP version 13\n1..1\nok 1 a\n"),
        "guest: { run: t, ktap: true }" => Pass;
    a_test_of_a_program_that_is_not_ok_fails: Setup::x86().program("t", 1, "TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"),
        "guest: { run: t, ktap: true }" => Fail, "KTAP: 1 of 2 tests are not ok, first `b`";
    a_program_that_skips_all_skips: Setup::x86().program("t", 4, "TAP version 13\n1..0 # SKIP no pages\n"),
        "guest: { run: t, ktap: true }" => Skip, "no pages";
    a_program_that_is_not_there_is_nobodys_failure: Setup::x86(),
        "guest: { run: t, ktap: true }" => Error, "could not be started";
    a_block_is_filled_and_freed: Setup::x86(),
        "add: { as: b }\nonline: { block: b, zone: kernel }\nbusy: { block: b, with: slab, as: f }\nfree: { busy: f }" => Pass;
    a_page_that_somebody_holds_is_tried_until_the_signal: Setup::x86().busy(4),
        &then("busy: { block: b, with: pin, as: f }\noffline: { block: b, fails: EINTR }\nfree: { busy: f }") => Pass;
    a_block_that_goes_before_the_signal_fails: Setup::x86(),
        &then("offline: { block: b, fails: EINTR }") => Fail, "succeeded, and must fail with EINTR";
    a_page_is_held_in_the_one_block_of_its_zone: Setup::x86(),
        "add: { as: b, blocks: 2 }\nonline: { block: b, zone: movable }\nbusy: { block: b.0, with: pin, as: f }"
        => Error, "a page is held in the one block that zone Movable has";
    an_operation_is_vetoed: Setup::x86(),
        "add: { as: b }\nveto: { notifier: MEM_GOING_ONLINE, errno: ENOMEM }\nonline: { block: b, fails: ENOMEM }
        veto: { off: true }\nonline: { block: b }" => Pass;
    a_veto_that_the_kernel_does_not_heed_fails: Setup::x86().always("state online", Fault::Ignore),
        "add: { as: b }\nveto: { notifier: MEM_GOING_ONLINE, errno: ENOMEM }\nonline: { block: b, fails: ENOMEM }"
        => Fail, "succeeded, and must fail with ENOMEM";
    a_module_that_the_image_lacks_skips: Setup::x86().always("modules.dep", Fault::Exit(3, "")),
        "veto: { notifier: MEM_GOING_ONLINE, errno: ENOMEM }"
        => Skip, "needs the module memory-notifier-error-inject, and the guest's image has none for this kernel";
    a_module_that_needs_one_that_is_not_there_lasts:
        Setup::x86().always("modprobe", Fault::Exit(1, "modprobe: module memory-notifier-error-inject not found")),
        "veto: { notifier: MEM_GOING_ONLINE, errno: ENOMEM }" => Error, "not found";
    a_block_that_is_no_memory_at_boot_skips: Setup::x86(), "offline: { block: boot.40 }"
        => Skip, "needs boot.40 to be memory at boot, and that is memory0 to memory3";
}

#[tokio::test(start_paused = true)]
async fn a_script_is_told_of_its_blocks_and_what_it_says_is_kept() {
    let steps = then("guest: { run: hello, block: b }");
    let lab = Lab::new(
        &steps_of(&steps),
        [Setup::x86().program("hello", 0, "one\n\ntwo\n")],
    );
    let record = lab.run().await;
    comes_to(&record, Verdict::Pass, None);
    assert_eq!(lab.asked("block='4' pfn='65536'; hello"), 1);
    assert_eq!(record.steps[2].said, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn tests_of_a_program_are_subcases_of_their_step() {
    let guest = Setup::x86().program("t", 1, "TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n");
    let record = super::fake::tried("guest: { run: t, ktap: true }", [guest]).await;
    let verdicts: Vec<_> = record.steps[0]
        .subcases
        .iter()
        .map(|test| (test.name.as_str(), test.verdict))
        .collect();
    assert_eq!(verdicts, [("a", Verdict::Pass), ("b", Verdict::Fail)]);
}

#[tokio::test(start_paused = true)]
async fn every_counter_that_is_off_is_in_the_record_with_both_numbers() {
    let record = super::fake::tried(ONLINE, [liar("/proc/meminfo:MemTotal", 4)]).await;
    let [off] = record.steps[1].mismatches.as_slice() else {
        panic!("{:?}", record.steps[1].mismatches);
    };
    assert_eq!((off.counter.as_str(), off.tolerance), ("MemTotal", 0));
    assert_ne!(off.predicted, off.seen);
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_looked_at_four_times_before_it_counts() {
    let steps = steps_of(ONLINE);
    let lies = Lab::new(&steps, [liar("/proc/meminfo:MemTotal", 4), Setup::x86()]);
    lies.run().await;
    let good = Lab::new(&steps, [Setup::x86()]);
    good.run().await;
    assert_eq!(lies.asked("memrig-ledger"), 3 * good.asked("memrig-ledger") + 3);
}
