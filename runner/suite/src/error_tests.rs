// SPDX-License-Identifier: MIT OR Apache-2.0
//! Golden texts: what an author of a suite sees for each kind of mistake.

use super::Suite;

/// The beginning of a suite with one case, to which steps are appended.
const HEAD: &str = "\
suite: x
cases:
  - id: B01
    name: a case
    steps:
";

fn complaints(text: &str) -> String {
    Suite::parse("x.yaml", text).expect_err(text).to_string()
}

fn steps(text: &str) -> String {
    complaints(&format!("{HEAD}{text}"))
}

fn s390x(steps: &str) -> String {
    complaints(&format!("{HEAD}{steps}").replace("steps:", "needs: { arch: [s390x] }\n    steps:"))
}

fn x86(steps: &str) -> String {
    complaints(&format!("{HEAD}{steps}").replace("steps:", "needs: { arch: [x86_64] }\n    steps:"))
}

fn g2(steps: &str) -> String {
    complaints(&format!("{HEAD}{steps}").replace("steps:", "needs: { generation: [G2] }\n    steps:"))
}

/// A case of three steps with one known issue that ends with this text.
fn known(sign: &str) -> String {
    complaints(&format!(
        "suite: x\ncases:\n  - id: a\n    name: n\n    known:\n      - kernels: 6.9..\n        reason: r\n{sign}    steps:\n      \
         - add: {{ as: b }}\n      - online: {{ block: b }}\n      - read: {{ block: b, file: x, is: y }}\n"
    ))
}

macro_rules! golden {
    ($($name:ident = $text:expr;)+) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!($text);
            }
        )+
    };
}

golden! {
    unknown_suite_key = complaints("suite: x\ncase:\n  - id: a\ncases: []\n");
    unknown_key_below_a_comment = complaints("# yaml-language-server: $schema=x\n\nmashine: {}\nsuite: x\n# c\ncases: []\n");
    unknown_step = steps("      - onlin: { block: b }\n");
    unknown_step_far_from_any = steps("      - hotplug: { block: b }\n");
    unknown_key_in_a_step = steps("      - add: { as: b }\n      - online:\n          block: b\n          zones: movable\n");
    unknown_word = steps("      - add: { as: b }\n      - online: { block: b, zone: movabel }\n");
    wrong_unit = steps("      - add: { as: b, size: 128X }\n");
    wrong_unit_in_machine = complaints("suite: x\nmachine:\n  memory: 1 GB\ncases: []\n");
    wrong_unit_in_a_list = complaints("suite: x\nvariants: { increment: [4M, 256Q] }\ncases: []\n");
    unknown_errno = steps("      - add: { as: b }\n      - online: { block: b, fails: EINVALID }\n");
    bad_regex = steps("      - log: { has: 'sclp(mem' }\n");
    bad_range = complaints("suite: x\nneeds: { kernels: 6.18..6.9 }\ncases: []\n");
    bad_placeholder = steps("      - read: { path: /x, is: '{numbr}' }\n");
    bad_time_limit = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    time_limit: 90\n    steps: [log: { has: x }]\n");
    bad_arch = complaints("suite: x\nneeds: { arch: s390x }\ncases: []\n");
    unknown_arch = complaints("suite: x\nneeds: { arch: [s390] }\ncases: []\n");
    not_a_number = steps("      - add: { as: b, blocks: many }\n");
    missing_field = complaints("suite: x\ncases:\n  - id: B01\n    steps: []\n");
    missing_suite = complaints("# c\ncases: []\n");
    missing_key_in_a_step = steps("      - add: { blocks: 2 }\n");
    two_words_in_a_step = steps("      - add: { as: b }\n        online: { block: b }\n");
    a_word_without_keys = steps("      - add\n");
    a_key_twice = steps("      - add: { as: b, as: c }\n");
    tab_indentation = complaints("suite: x\nmachine:\n\tmemory: 1GiB\ncases: []\n");
    empty_file = complaints("");
    only_comments = complaints("# nothing here\n\n");
    not_a_mapping = complaints("- suite: x\n");
    a_number = complaints("42\n");
    unclosed = complaints("suite: x\ncases: [\n");
    two_documents = complaints("suite: x\ncases: []\n---\nsuite: y\n");
    billion_laughs = complaints(&billion_laughs_text());
    no_cases = complaints("suite: x\ncases: []\n");
    no_steps = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    steps:\n");
    wrong_suite_name = complaints("suite: My Suite\ncases: []\n");
    duplicate_id = complaints(
        "suite: x\ncases:\n  # the first\n  - id: B01\n    name: n\n    steps: [log: { has: x }]\n\n  - { id: B01, name: m, steps: [log: { lacks: x }] }\n"
    );
    no_such_block = steps("      - add: { as: block }\n\n      # a comment\n      - online: { block: blok }\n      - remove: { block: other }\n");
    no_such_index = steps("      - add: { as: b, blocks: 2 }\n      - online: { block: b.2 }\n");
    added_twice = steps("      - add: { as: b }\n      - add: { as: b }\n");
    used_after_remove = steps("      - add: { as: b }\n      - remove: { block: b }\n      - uevents: { block: b, are: [remove] }\n      - online: { block: b }\n");
    left_behind_by_repeat = steps("      - repeat:\n          times: 3\n          steps:\n            - add: { as: b }\n");
    error_deep_in_repeat = steps("      - repeat:\n          times: 3\n          steps:\n            - add: { as: b }\n            - repeat: { times: 2, steps: [ offline: { block: b }, onlin: { block: b } ] }\n");
    needs_another_arch = steps("      - add: { as: b }\n      - refuse_assign: { at: 1 }\n");
    needs_x86 = s390x("      - add: { as: d, size: 64M, rejected: x }\n");
    needs_g2 = s390x("      - add: { as: b }\n      - storage: { block: b, config: x, fails: EINVAL }\n");
    zone_through_online = steps("      - add: { as: b }\n      - online: { block: b, via: online, zone: kernel }\n");
    contradictory_add = complaints(&format!("{HEAD}      - add: {{ as: b, size: 64M, blocks: 2, refused: true, rejected: x }}\n").replace("steps:", "needs: { arch: [x86_64] }\n    steps:"));
    contradictory_file = steps("      - read: { path: /x, file: y, is: z }\n      - write: { value: x }\n      - read: { path: /x }\n      - read: { path: x, is: '{number}' }\n");
    contradictory_refusal = s390x("      - refuse_assign: { at: 1, all: true }\n      - refuse_assign: { off: true, response: 0x0300 }\n      - storage_commands: { are: assign }\n");
    storage_that_is_kept = s390x("      - refuse_unassign: { all: true, off: true }\n      - refuse_unassign: { off: true, response: 0x0300 }\n      - add: { as: b }\n      - veto: { notifier: MEM_GOING_ONLINE, errno: EIO }\n      - refuse_unassign: { all: true }\n      - veto: { off: true }\n      - refuse_assign: { at: 1 }\n      - refuse_assign: { off: true }\n      - refuse_unassign: { off: true }\n      - refuse_assign: { at: 1 }\n");
    sweep_while_storage_is_kept = complaints("suite: x\nneeds: { arch: [s390x] }\ncases:\n  - id: a\n    name: n\n    steps:\n      - add: { as: b }\n      - refuse_unassign: { all: true }\n      - sweep: { steps: [online: { block: b }, offline: { block: b }] }\n");
    contradictory_veto = steps("      - veto: { notifier: MEM_GOING_ONLINE }\n      - veto: { off: true, errno: EIO }\n      - veto: { notifier: MEM_GOING_ONLINE, errno: EIO, priority: 1 }\n      - veto: { notifier: MEM_GOING_ONLINE, errno: EIO, priority: 2 }\n");
    deconfigured_block = g2("      - add: { as: b }\n      - deconfigure: { block: b }\n      - online: { block: b }\n      - storage: { block: b }\n");
    cpu_that_is_not_there = steps("      - cpu: { off: 1 }\n      - cpu: { on: 0, off: 0 }\n      - cpu: {}\n");
    sweep_of_what_cannot_be_swept = steps("      - add: { as: b, blocks: 2 }\n      - sweep:\n          steps:\n            - online: { block: b }\n            - offline: { block: b.0, fails: EBUSY }\n            - guest: { run: x }\n            - repeat: { times: 2, steps: [online: { block: b.1 }] }\n      - sweep: { steps: [log: { has: x }] }\n");
    sweep_of_what_is_no_errno = steps("      - add: { as: b }\n      - sweep: { steps: [online: { block: b }], fails: [ENOMEM, EWHAT] }\n");
    sweep_of_two_writes_at_once = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    needs: { generation: [G2] }\n    steps:\n      - add: { as: b }\n      - sweep: { steps: [deconfigure: { block: b }, configure: { block: b, memmap_on_memory: true }] }\n");
    few_rounds_that_must_be_level = steps("      - add: { as: b }\n      - repeat: { times: 8, level: true, steps: [online: { block: b }, offline: { block: b }] }\n");
    parallel_of_what_cannot_be = steps("      - add: { as: b, blocks: 2 }\n      - parallel:\n          do:\n            - [online: { block: b }, offline: { block: b.0, fails: EBUSY }]\n            - [guest: { run: x }]\n      - parallel: { do: [[online: { block: b.0 }]] }\n      - parallel: { do: [[online: { block: b.0 }], []] }\n");
    parallel_of_too_many = steps(&format!("      - add: {{ as: b }}\n      - parallel: {{ do: [[{0}], [{0}]] }}\n", ["online: { block: b }"; 5].join(", ")));
    hold_of_what_cannot_be = steps("      - add: { as: b }\n      - hold: { block: c, by: anon, as: p }\n      - hold: { block: b, by: hugetlb, as: p }\n");
    load_that_cannot_be = steps("      - load: { off: true }\n      - load: { by: [pages, pages] }\n      - load: { by: [sysfs] }\n      - load: {}\n      - load: { off: true, seed: 1 }\n");
    load_by_an_unknown_word = steps("      - load: { by: [paegs] }\n");
    load_that_goes_on = steps("      - load: { by: [pages] }\n");
    pressure_that_cannot_be = steps("      - pressure: { off: true }\n      - pressure: { free: 1MiB }\n      - pressure: { free: 16MiB, off: true }\n      - pressure: {}\n      - pressure: { free: 2GiB }\n");
    pressure_of_no_size = steps("      - pressure: { free: few }\n");
    node_that_cannot_be = x86("      - add: { as: b }\n      - node: { number: 1, online: true }\n      - node: { number: 0 }\n      - node: { number: 0, online: false, blocks: [b] }\n      - node: { number: 0, blocks: [c] }\n");
    node_on_s390x = steps("      - node: { number: 0, online: true }\n");
    node_of_an_unknown_key = steps("      - node: { number: 0, has_memory: true }\n");
    hold_in_an_unknown_way = steps("      - add: { as: b }\n      - hold: { block: b, by: ksmd, as: q }\n");
    hold_of_what_is_held = x86("      - add: { as: b }\n      - hold: { block: b, by: hugetlb, as: p }\n      - hold: { block: b, by: anon, as: p }\n      - free: { hold: q }\n      - free: { busy: p }\n      - free: { hold: p, busy: p }\n      - free: {}\n");
    free_without_busy = steps("      - add: { as: b }\n      - busy: { block: b, with: slab, as: load }\n      - free: { busy: laod }\n");
    bad_machine = complaints("suite: x\nmachine: { memory: 64M, cpus: 0, increment: 3M }\ncases:\n  - id: a\n    name: n\n    machine: { hotplug: 8GiB, increment: 4MiB }\n    steps: [log: { has: x }]\n  - id: b\n    name: n\n    steps: [log: { has: x }]\n");
    counted_instructions_of_two_cpus = complaints("suite: x\nmachine: { clock: instructions }\ncases:\n  - id: a\n    name: n\n    machine:\n      cpus: 2\n    steps: [log: { has: x }]\n  - id: b\n    name: n\n    steps: [log: { has: x }]\n");
    unknown_clock = complaints("suite: x\nmachine: { clock: instruction }\ncases: []\n");
    increments_on_x86 = complaints("suite: x\nvariants: { increment: [4M] }\ncases:\n  - id: a\n    name: n\n    steps: [log: { has: x }]\n");
    notifiers_of_two_kinds = steps("      - add: { as: b }\n      - notifiers: { are: [], whole: true }\n      - notifiers: { whole: false }\n");
    edat1_on_x86 = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    machine: { edat1: false }\n    steps: [log: { has: x }]\n");
    unknown_variant = complaints("suite: x\nvariants: { memmap_on_memory: [off, on] }\ncases:\n  - id: a\n    name: n\n    known:\n      - kernels: 6.9..\n        arch: [s390x]\n        variants: { memmap_on_memory: [force], cmdline: { quiet: [y] } }\n        reason: r\n        sign: { step: 1, kind: log, pattern: x }\n    steps: [log: { has: x }]\n");
    left_out_and_needed = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    cmdline: [-printk.time, -console, -memhp_default, -quiet, -panic_on_oops]\n    steps: [log: { has: x }]\n");
    boot_memory_without_a_number = steps("      - offline: { block: boot }\n      - offline: { block: boot.3 }\n      - add: { as: boot }\n      - remove: { block: boot }\n");
    boot_memory_as_standby = g2("      - deconfigure: { block: boot.1 }\n");
    added_several_times = x86("      - add: { as: a, times: 0 }\n      - add: { as: b, times: 2, address: 0x140000000 }\n      - add: { as: c, times: 2, refused: true }\n      - add: { as: d, times: 2, blocks: 2 }\n      - online: { block: d.4 }\n      - remove: { block: d, fails: EBUSY }\n");
    an_address_that_is_none = x86("      - add: { as: d, address: 0x14g }\n");
    an_address_on_s390x = steps("      - add: { as: d, address: 0x140000000 }\n");
    files_elsewhere = steps("      - guest: { run: x, files: [/etc/passwd, ../x, a//b, lib/x.sh] }\n");
    a_script_about_a_block_that_is_none = steps("      - guest: { run: x, block: b }\n");
    distances_of_other_nodes = complaints("suite: x\nneeds: { arch: [x86_64] }\nmachine: { nodes: 2, dist: [[10, 20]] }\ncases:\n  - id: a\n    name: n\n    steps: [log: { has: x }]\n");
    distances_that_cannot_be = complaints("suite: x\nneeds: { arch: [x86_64] }\ncases:\n  - id: a\n    name: n\n    machine:\n      nodes: 2\n      dist: [[10, 5], [20, 11]]\n    steps: [log: { has: x }]\n  - { id: b, name: n, machine: { dist: [[10]] }, steps: [log: { has: x }] }\n");
    known_without_a_sign = known("");
    known_by_a_step_that_is_none = known("        sign: { step: 5, kind: read, pattern: x }\n");
    known_by_words_of_no_step = known("        sign: { step: offline, kind: errno, pattern: x }\n");
    known_by_words_of_several_steps = known("        sign: { step: 'block: b', kind: errno, pattern: x }\n");
    known_by_a_kind_that_the_step_has_not = known("        sign: { step: read, kind: errno, pattern: x }\n");
    known_by_an_unknown_kind = known("        sign: { step: 2, kind: crash, pattern: x }\n");
    known_by_everything = known("        sign: { step: 2, kind: errno, pattern: '.*' }\n");
    known_and_going_on_without_a_guest = known("        sign: { step: 2, kind: panic, pattern: x, go_on: true }\n");
    known_by_no_step = known("        sign: { kind: errno, pattern: x }\n");
    known_by_a_list_of_steps = known("        sign: { step: [2], kind: errno, pattern: x }\n");
    impossible_variant = complaints("suite: x\nvariants: { memmap_on_memory: [absent, off, off], cmdline: { memory_hotplug.memmap_on_memory: [on] } }\ncases:\n  - id: a\n    name: n\n    cmdline: [memory_hotplug.memmap_on_memory=on, a b]\n    steps: [log: { has: x }]\n");
    impossible_needs = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    needs: { arch: [x86_64], generation: [G2], config: { HUGETLB: y }, files: [etc/x] }\n    steps: [log: { has: x }]\n");
    patterns_that_fit_everything = complaints(&format!("{HEAD}      - log: {{ has: '' }}\n      - log: {{ lacks: '.*' }}\n      - read: {{ path: /x, matches: 'a|' }}\n      - read: {{ path: /x, matches: '^$' }}\n").replace("cases:", "allow_log: [x, '']\ncases:").replace("    steps:", "    allow_log: ['y*']\n    steps:"));
    a_refusal_by_no_words = x86("      - add: { as: d, rejected: '' }\n");
    known_by_an_empty_text = known("        sign: { step: '', kind: errno, pattern: '', log: [x, ''] }\n");
    a_node_that_no_machine_has = x86("      - add: { as: b, node: 1 }\n      - add: { as: c, node: 8 }\n      - add: { as: d, node: 4294967295 }\n");
    more_memory_than_linux_addresses = complaints("suite: x\nmachine: { memory: 16777215TiB, hotplug: 16777215TiB }\ncases:\n  - id: a\n    name: n\n    steps: [log: { has: x }]\n  - { id: b, name: n, machine: { memory: 1GiB, hotplug: 64TiB }, steps: [log: { has: x }] }\n  - { id: c, name: n, machine: { memory: 1TiB, hotplug: 63TiB }, needs: { arch: [x86_64] }, steps: [log: { has: x }] }\n");
    larger_dimms_than_can_be = x86("      - add: { as: b, size: 16777215TiB }\n      - add: { as: c, address: 0xffffffffffffffff }\n      - add: { as: d, address: 0x10000000000000 }\n      - add: { as: e, address: 0xfffffffffffff }\n");
    more_blocks_than_can_be = steps("      - add: { as: b, blocks: 4294967295 }\n      - add: { as: c, times: 4294967295 }\n");
    more_rounds_than_anyone_waits_for = steps("      - repeat: { times: 4294967295, steps: [log: { has: x }] }\n      - repeat: { times: 1000, steps: [repeat: { times: 101, steps: [log: { has: x }] }] }\n      - repeat: { times: 1000, steps: [repeat: { times: 100, steps: [log: { has: x }] }] }\n");
    more_variants_than_anyone_waits_for = complaints(&many_variants());
    a_time_limit_that_nobody_waits_for = complaints("suite: x\ncases:\n  - id: a\n    name: n\n    time_limit: 18446744073709551615s\n    steps: [log: { has: x }]\n");
    many_at_once = complaints(
        "suite: x\nmachine: { memroy: 1G }\ncases:\n  - id: a\n    name: n\n    tags: [x]\n    steps:\n      - onlin: { block: b }\n      - add: { as: b, size: 5Y }\n      - repeat:\n          times: 2\n          steps:\n            - add: { as: c, fails: EFOO }\n  - name: no id\n    steps: []\n  - id: c\n    name: n\n    steps:\n      - offline:\n          blok: b\n"
    );
}

/// A parameter for each letter, with ten values: more variants than fit into any memory.
fn many_variants() -> String {
    let values: Vec<String> = (0..10).map(|value| value.to_string()).collect();
    let parameters: Vec<String> = ('a'..='z')
        .map(|name| format!("{name}: [{}]", values.join(", ")))
        .collect();
    format!(
        "suite: x\nvariants:\n  cmdline: {{ {} }}\ncases:\n  - {{ id: a, name: n, steps: [log: {{ has: x }}] }}\n",
        parameters.join(", ")
    )
}

/// Each list of steps repeats the one before it four times.
fn billion_laughs_text() -> String {
    let first = ["log: { has: x }"; 4].join(", ");
    let head = HEAD.replace("steps:\n", &format!("steps: &a0 [{first}]\n"));
    let cases = (1..9).map(|i| {
        let steps = vec![format!("repeat: {{ times: 1, steps: *a{} }}", i - 1); 4].join(", ");
        format!("  - {{ id: B1{i}, name: n, steps: &a{i} [{steps}] }}\n")
    });
    [head].into_iter().chain(cases).collect()
}
