// SPDX-License-Identifier: MIT OR Apache-2.0
//! No text of a suite makes the reader panic, and what it takes can be computed with.

use std::ops::Range;

use proptest::prelude::*;

use super::{Matrix, Suite, limits, shipped_tests::SUITES};

/// Numbers at which arithmetic goes wrong, and words that stand where numbers do.
const VALUES: [&str; 22] = [
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "16777215TiB",
    "16777216TiB",
    "17592186044415MiB",
    "8388608TiB",
    "0xffffffffffffffff",
    "18446744073709551615h",
    "''",
    "b.4294967295",
];

/// Places of a suite that take a number, a size or a time, as a text in which `@` stands for it.
const PLACES: [&str; 21] = [
    "x86_64 machine memory: @",
    "s390x machine memory: @",
    "x86_64 machine hotplug: @",
    "s390x machine hotplug: @",
    "x86_64 machine memory: @, hotplug: @",
    "s390x machine memory: @, hotplug: @",
    "s390x machine increment: @",
    "x86_64 machine slots: @",
    "x86_64 machine cpus: @",
    "x86_64 machine nodes: @",
    "s390x machine sclp: { max_element_id: @, element_response: @ }",
    "x86_64 step add: { as: b, node: @ }",
    "x86_64 step add: { as: b, size: @ }",
    "x86_64 step add: { as: b, size: @, address: @ }",
    "x86_64 step add: { as: b, blocks: @, times: @ }",
    "s390x step add: { as: b, blocks: @, times: @ }",
    "s390x step refuse_assign: { at: @, response: @ }",
    "s390x step refuse_unassign: { all: true, response: @ }",
    "x86_64 step repeat: { times: @, steps: [repeat: { times: @, steps: [log: { has: x }] }] }",
    "x86_64 step veto: { notifier: MEM_GOING_ONLINE, errno: EIO, priority: @ }",
    "x86_64 step offline: { block: boot.@ }",
];

/// The words of a text that can stand for a value: runs of what is no punctuation of YAML.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), '\n')]) {
        match (c.is_alphanumeric() || "._'".contains(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// What `memrig list` and a plan do with a suite.
fn use_it(text: &str) {
    let Ok(suite) = Suite::parse("x.yaml", text) else {
        return;
    };
    for case in &suite.cases {
        assert!(case.variants.len() <= limits::VARIANTS);
        for variant in &case.variants {
            let machine = variant.machine(&case.machine);
            assert!(machine.memory + machine.hotplug <= limits::MEMORY);
        }
        for step in &case.steps {
            let _ = step.to_string();
        }
    }
}

fn named_x(text: &str) -> String {
    let rest = text.split_once("suite: ").map_or("", |(_, rest)| rest);
    let rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    format!("suite: x\n{rest}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\t]{0,120}") {
        use_it(&text);
        use_it(&format!("suite: x\ncases:\n  - id: a\n    name: n\n    steps:\n      {text}"));
        let _ = Matrix::parse("m.yaml", &text, &|_| Ok(()), &|_| Ok(()));
    }

    #[test]
    fn a_suite_with_other_values_is_read_or_refused(
        which in 0..SUITES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..VALUES.len()), 1..4),
    ) {
        let mut text = named_x(SUITES[which].1);
        for (at, value) in changes {
            let words = words(&text);
            text.replace_range(words[at.index(words.len())].clone(), VALUES[value]);
        }
        use_it(&text);
    }
}

#[test]
fn every_number_at_every_place_is_read_or_refused() {
    for place in PLACES {
        let mut words = place.splitn(3, ' ');
        let [Some(arch), Some(kind), Some(text)] = [words.next(), words.next(), words.next()] else {
            panic!("{place}");
        };
        for value in VALUES {
            let text = text.replace('@', value);
            let (machine, step) = match kind {
                "machine" => (text.as_str(), "add: { as: b }"),
                _ => ("memory: 1GiB", text.as_str()),
            };
            use_it(&format!(
                "suite: x\nneeds: {{ arch: [{arch}] }}\nmachine: {{ {machine} }}\ncases:\n  - id: a\n    name: n\n    steps:\n      - {step}\n"
            ));
        }
    }
}

#[test]
fn nothing_nests_deeper_than_it_can_be_read() {
    for (open, close) in [("[", "]"), ("{ a: ", "}"), ("- ", ""), ("&a [", "]")] {
        use_it(&format!(
            "suite: x\ncases: {}{}\n",
            open.repeat(1000),
            close.repeat(1000)
        ));
    }
    // Each `repeat` is looked at twice, and so is what is in it.
    for depth in [12, 24, 60] {
        let mut steps = "log: { has: x }".to_owned();
        for _ in 0..depth {
            steps = format!("repeat: {{ times: 2, steps: [{steps}] }}");
        }
        use_it(&format!(
            "suite: x\ncases:\n  - {{ id: a, name: n, steps: [{steps}] }}\n"
        ));
    }
}
