// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what is written to what is meant: whether the parts of a suite fit together.
//!
//! Nothing stops at the first error; what is wrong is noted with its place, and checking goes on.

use std::{collections::BTreeMap, fmt};

use super::{
    case::{Case, CaseMachine, Suite, Variant},
    check_known,
    error::{Complaint, SuiteErrors},
    limits,
    pattern::Pattern,
    places::{Node, Spot},
    raw::{Needs, RawCase, RawSuite, Variants},
    step::check_steps,
    words::{Boot, GuestClock, MemmapOnMemory},
    yaml,
};
use base::{Arch, ByteSize};
use memory::Generation;

/// Notes what is wrong with a text.
pub(super) struct Notes<'a> {
    text: &'a str,
    complaints: Vec<Complaint>,
}

impl Notes<'_> {
    pub(super) fn wrong(&mut self, spot: &Spot<'_>, message: impl fmt::Display) {
        self.wrong_but(spot, message, None);
    }

    /// With a hint.
    pub(super) fn wrong_but(&mut self, spot: &Spot<'_>, message: impl fmt::Display, hint: Option<String>) {
        let complaint = Complaint::at(self.text, spot.span(), message.to_string(), hint);
        // The body of a `repeat` is looked at twice.
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// Refuses a pattern that whatever there is fits.
    pub(super) fn tests_something(&mut self, pattern: &Pattern, spot: &Spot<'_>, hint: &str) {
        if pattern.fits_everything() {
            self.wrong_but(spot, "the pattern matches everything", Some(hint.to_owned()));
        }
    }

    /// Line of a place, from 1.
    pub(super) fn line(&self, spot: &Spot<'_>) -> usize {
        self.text[..spot.span().start].matches('\n').count() + 1
    }

    pub(super) fn count(&self) -> usize {
        self.complaints.len()
    }
}

/// Where a case can run, as far as its needs say.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(crate) arches: Vec<Arch>,
    pub(crate) generations: Option<Vec<Generation>>,
}

impl Scope {
    fn of(needs: &Needs) -> Self {
        // Only s390x kernels have a generation.
        let arches = Arch::ALL
            .into_iter()
            .filter(|arch| needs.allows(*arch) && (needs.generation.is_none() || *arch == Arch::S390x))
            .collect();
        Self {
            arches,
            generations: needs.generation.clone(),
        }
    }

    pub(super) fn only(&self, arch: Arch) -> bool {
        self.arches == [arch]
    }

    pub(super) fn only_generation(&self, generation: Generation) -> bool {
        self.generations.as_deref() == Some(&[generation])
    }
}

pub(super) fn suite(file_name: &str, text: &str) -> Result<Suite, SuiteErrors> {
    let errors = |complaints| SuiteErrors {
        file: file_name.to_owned(),
        complaints,
    };
    let raw = yaml::read(text).map_err(errors)?;
    let tree = Node::scan(text);
    let mut notes = Notes {
        text,
        complaints: Vec::new(),
    };
    let suite = whole(file_name, raw, &Spot::root(&tree), &mut notes);
    if notes.complaints.is_empty() {
        Ok(suite)
    } else {
        notes.complaints.sort_by_key(|c| (c.line, c.column));
        Err(errors(notes.complaints))
    }
}

fn whole(file_name: &str, raw: RawSuite, at: &Spot<'_>, notes: &mut Notes<'_>) -> Suite {
    suite_name(file_name, &raw.suite, &at.value("suite"), notes);
    needs(&raw.needs, &at.value("needs"), notes);
    variants(&raw.variants, &at.value("variants"), notes);
    allowed(&raw.allow_log, &at.value("allow_log"), notes);
    if raw.cases.is_empty() {
        notes.wrong(&at.key("cases"), "the suite has no cases");
    }
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let cases = (0..).zip(&raw.cases).map(|(index, raw_case)| {
        let spot = at.value("cases").item(index);
        let id = spot.value("id");
        let line = notes.line(&id);
        if let Some(first) = ids.get(&raw_case.id) {
            let hint = Some(format!(
                "the first one is in line {first}; ids are used once in a suite"
            ));
            notes.wrong_but(&id, format_args!("the id `{}` is there twice", raw_case.id), hint);
        }
        ids.entry(raw_case.id.clone()).or_insert(line);
        case(&raw, raw_case, line, &spot, at, notes)
    });
    let cases = cases.collect();
    Suite {
        name: raw.suite,
        about: raw.about,
        cases,
    }
}

fn suite_name(file_name: &str, name: &str, at: &Spot<'_>, notes: &mut Notes<'_>) {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !good {
        let message =
            format_args!("`{name}` is no name of a suite: expected lower case letters, digits and `-`");
        notes.wrong(at, message);
    }
    let file = file_name.rsplit('/').next().unwrap_or(file_name);
    if let Some(stem) = file.strip_suffix(".yaml")
        && stem != name
    {
        let hint =
            Some("results are named after the suite, so that its file is found again by its name".to_owned());
        notes.wrong_but(
            at,
            format_args!("the suite is called `{name}`, but its file {file}"),
            hint,
        );
    }
}

fn case(
    suite: &RawSuite,
    raw: &RawCase,
    line: usize,
    at: &Spot<'_>,
    suite_at: &Spot<'_>,
    notes: &mut Notes<'_>,
) -> Case {
    if raw.id.is_empty()
        || !raw
            .id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    {
        notes.wrong(
            &at.value("id"),
            format_args!("`{}` is no id: expected letters, digits, `-` and `_`", raw.id),
        );
    }
    if raw.name.trim().is_empty() {
        notes.wrong(&at.value("name"), "the name says nothing");
    }
    needs(&raw.needs, &at.value("needs"), notes);
    let needed = Needs::merged(&suite.needs, &raw.needs);
    let scope = Scope::of(&needed);
    if scope.arches.is_empty() {
        let message =
            "no guest can have this: only s390x kernels have a generation, and s390x is not among `arch`";
        notes.wrong(&at.key("needs"), message);
    }
    let (varied, varied_at) = match &raw.variants {
        Some(own) => {
            variants(own, &at.value("variants"), notes);
            (own, at.value("variants"))
        }
        None => (&suite.variants, suite_at.value("variants")),
    };
    if !varied.increment.is_empty() && !scope.only(Arch::S390x) {
        let message = "storage increments are s390x's, but this case also runs on x86_64";
        notes.wrong_but(&varied_at.key("increment"), message, Some(ONLY_S390X.to_owned()));
    }
    if varied.count() > limits::VARIANTS {
        let message = format_args!(
            "the case has more than {} variants: each value is taken with each of the others",
            limits::VARIANTS
        );
        notes.wrong(&varied_at, message);
    }
    cmdline(raw, varied, at, notes);
    allowed(&raw.allow_log, &at.value("allow_log"), notes);
    let merged = CaseMachine::merged(&suite.machine, &raw.machine);
    machine(&merged, varied, &scope, at, suite_at, notes);
    let steps = check_steps(&raw.steps, &scope, &merged, &at.value("steps"), notes);
    let known = check_known::known(raw, &steps, varied, &scope, &at.value("known"), notes);
    if raw.steps.is_empty() {
        notes.wrong(&at.key("steps"), "the case has no steps");
    }
    Case {
        id: raw.id.clone(),
        name: raw.name.clone(),
        line,
        needs: needed,
        machine: merged,
        cmdline: raw.cmdline.clone(),
        // Of too many, none is made: the suite is refused.
        variants: match varied.count() {
            0..=limits::VARIANTS => Variant::combinations(varied),
            _ => Vec::new(),
        },
        known,
        allow_log: suite.allow_log.iter().chain(&raw.allow_log).cloned().collect(),
        boot: raw.boot.unwrap_or(Boot::Clone),
        time_limit: raw.time_limit,
        steps,
    }
}

/// Refuses lines of the log that would be all of them, and with them every finding.
fn allowed(lines: &[Pattern], at: &Spot<'_>, notes: &mut Notes<'_>) {
    for (i, pattern) in lines.iter().enumerate() {
        notes.tests_something(pattern, &at.item(i), "name the words that only these lines have");
    }
}

/// What makes a case run only on s390x.
pub(super) const ONLY_S390X: &str = "say `needs: { arch: [s390x] }`";

fn needs(needs: &Needs, at: &Spot<'_>, notes: &mut Notes<'_>) {
    fn list<T: PartialEq + fmt::Debug>(
        key: &str,
        list: &Option<Vec<T>>,
        at: &Spot<'_>,
        notes: &mut Notes<'_>,
    ) {
        let Some(list) = list else { return };
        if list.is_empty() {
            notes.wrong(
                &at.key(key),
                format_args!("`{key}` is empty, so that nothing would do"),
            );
        }
        twice(list, &at.value(key), notes);
    }
    list("arch", &needs.arch, at, notes);
    list("generation", &needs.generation, at, notes);
    list("memmap_on_memory", &needs.memmap_on_memory, at, notes);
    for (option, value) in &needs.config {
        let spot = at.value("config");
        let good = option
            .strip_prefix("CONFIG_")
            .is_some_and(|rest| !rest.is_empty())
            && option.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good {
            let message =
                format_args!("`{option}` is no option of a kernel configuration: expected CONFIG_…");
            notes.wrong(&spot.key(option), message);
        }
        if value.is_empty() {
            notes.wrong(&spot.key(option), "expected y, m, n, set, or a value");
        }
    }
    for (i, file) in needs
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| !file.starts_with('/'))
    {
        notes.wrong(
            &at.value("files").item(i),
            format_args!("`{file}` is no absolute path"),
        );
    }
}

fn twice<T: PartialEq>(list: &[T], at: &Spot<'_>, notes: &mut Notes<'_>) {
    for (i, _) in list
        .iter()
        .enumerate()
        .filter(|(i, value)| list[..*i].contains(value))
    {
        notes.wrong(&at.item(i), "this is in the list already");
    }
}

fn variants(variants: &Variants, at: &Spot<'_>, notes: &mut Notes<'_>) {
    for (i, _) in variants
        .memmap_on_memory
        .iter()
        .enumerate()
        .filter(|(_, v)| **v == MemmapOnMemory::Absent)
    {
        let hint = "a kernel without the parameter skips `on` and `force` by itself";
        let spot = at.value("memmap_on_memory").item(i);
        notes.wrong_but(&spot, "`absent` cannot be asked for", Some(hint.to_owned()));
    }
    twice(&variants.memmap_on_memory, &at.value("memmap_on_memory"), notes);
    twice(&variants.increment, &at.value("increment"), notes);
    for (name, values) in &variants.cmdline {
        let spot = at.value("cmdline");
        if !is_word(name) || name.contains('=') {
            notes.wrong(
                &spot.key(name),
                format_args!("`{name}` is no name of a parameter"),
            );
        }
        if name == MEMMAP_PARAMETER {
            let hint = Some("say `variants: { memmap_on_memory: […] }`".to_owned());
            notes.wrong_but(
                &spot.key(name),
                format_args!("`{name}` has a variant of its own"),
                hint,
            );
        }
        if values.is_empty() {
            notes.wrong(&spot.key(name), format_args!("`{name}` has no values"));
        }
        for (i, value) in values.iter().enumerate().filter(|(_, value)| !is_word(value)) {
            let message = format_args!("`{value}` does not fit into a command line: expected no white space");
            notes.wrong(&spot.value(name).item(i), message);
        }
        twice(values, &spot.value(name), notes);
    }
}

const MEMMAP_PARAMETER: &str = "memory_hotplug.memmap_on_memory";

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn cmdline(raw: &RawCase, varied: &Variants, at: &Spot<'_>, notes: &mut Notes<'_>) {
    for (i, word) in raw.cmdline.iter().enumerate() {
        let spot = at.value("cmdline").item(i);
        if !is_word(word) {
            notes.wrong(
                &spot,
                format_args!("`{word}` is not one word: list each parameter for itself"),
            );
        }
        super::cmdline::check_left_out(word, &spot, notes);
        let name = word.split('=').next().unwrap_or(word);
        let by_variant = varied.cmdline.contains_key(name)
            || (name == MEMMAP_PARAMETER && !varied.memmap_on_memory.is_empty());
        if by_variant {
            notes.wrong(&spot, format_args!("`{name}` is set here and varied too"));
        }
    }
}

fn machine(
    spec: &CaseMachine,
    varied: &Variants,
    scope: &Scope,
    at: &Spot<'_>,
    suite_at: &Spot<'_>,
    notes: &mut Notes<'_>,
) {
    let mib = 1 << 20;
    // What the case does not say, the suite does; what neither says is right.
    let place = |key: &str| {
        let own = at.value("machine");
        let (own_key, own_all) = (own.key(key), own.span());
        if own_key.span() == own_all || own_all == at.span() {
            suite_at.value("machine").key(key)
        } else {
            own_key
        }
    };
    for (key, size) in [("memory", spec.memory), ("hotplug", spec.hotplug)] {
        if !size.as_bytes().is_multiple_of(mib) {
            notes.wrong(&place(key), format_args!("{size} is not a multiple of 1M"));
        }
        if size > limits::MEMORY {
            let message = format_args!("{size} is more than the {} that Linux addresses", limits::MEMORY);
            notes.wrong(&place(key), message);
        }
    }
    if spec.memory <= limits::MEMORY
        && spec.hotplug <= limits::MEMORY
        && spec.memory + spec.hotplug > limits::MEMORY
    {
        let message = format_args!(
            "{} beside {} of memory are more than the {} that Linux addresses",
            spec.hotplug,
            spec.memory,
            limits::MEMORY
        );
        notes.wrong(&place("hotplug"), message);
    }
    if spec.memory < ByteSize::mib(128) {
        notes.wrong(
            &place("memory"),
            format_args!("{} is too little to boot: expected 128M or more", spec.memory),
        );
    }
    for (key, value, range) in [
        ("cpus", spec.cpus, 1..=64),
        ("nodes", spec.nodes, 1..=limits::NODES),
        ("slots", spec.slots, 0..=limits::SLOTS),
        ("sclp", spec.max_element_id.into(), 1..=255),
    ] {
        if !range.contains(&value) {
            let (low, high) = range.into_inner();
            notes.wrong(
                &place(key),
                format_args!("{value} is out of range: expected {low} to {high}"),
            );
        }
    }
    distances(spec, &place("dist"), notes);
    if !spec.edat1 && !scope.only(Arch::S390x) {
        let message = "only CPUs of s390x have EDAT-1, but this case also runs on x86_64";
        notes.wrong_but(&place("edat1"), message, Some(ONLY_S390X.to_owned()));
    }
    if spec.clock == GuestClock::Instructions && spec.cpus > 1 {
        let message = format_args!(
            "a clock of instructions is that of one CPU, and the machine has {}",
            spec.cpus
        );
        notes.wrong(&place("cpus"), message);
    }
    if !scope.arches.contains(&Arch::S390x) {
        return;
    }
    let varied_at = if at.key("variants").span() == at.span() {
        suite_at
    } else {
        at
    };
    let increments = varied
        .increment
        .iter()
        .enumerate()
        .map(|(i, size)| (*size, varied_at.value("variants").value("increment").item(i)));
    for (size, spot) in spec
        .increment
        .map(|size| (size, place("increment")))
        .into_iter()
        .chain(increments)
    {
        let bytes = size.as_bytes();
        if bytes < mib || !bytes.is_power_of_two() {
            notes.wrong(
                &spot,
                format_args!("an increment of {size} is not possible: expected a power of two from 1M on"),
            );
            continue;
        }
        for (what, amount) in [("memory", spec.memory), ("hotplug", spec.hotplug)] {
            if !amount.as_bytes().is_multiple_of(bytes) {
                notes.wrong(
                    &spot,
                    format_args!("`{what}` of {amount} is not a multiple of the increment of {size}"),
                );
            }
        }
        let count = spec.hotplug.as_bytes() / bytes;
        if count > limits::INCREMENTS.into() {
            let message = format!(
                "{count} increments of standby memory are more than the {} that QEMU can have",
                limits::INCREMENTS
            );
            notes.wrong(&spot, message);
        }
    }
}

/// Whether the distances are those between the machine's nodes, as QEMU takes them (hw/core/numa.c).
fn distances(spec: &CaseMachine, at: &Spot<'_>, notes: &mut Notes<'_>) {
    let nodes = spec.nodes as usize;
    if spec.dist.is_empty() {
        return;
    }
    if spec.dist.len() != nodes || spec.dist.iter().any(|row| row.len() != nodes) {
        let hint = "a row for each node, and in it a number for each node, such as [[10, 20], [20, 10]]";
        let message = format_args!("the distances are not those of {nodes} nodes");
        notes.wrong_but(at, message, Some(hint.to_owned()));
        return;
    }
    for (from, row) in spec.dist.iter().enumerate() {
        for (to, &distance) in row.iter().enumerate() {
            let good = if from == to { distance == 10 } else { distance > 10 };
            if !good {
                let expected = if from == to { "10" } else { "11 to 255" };
                let message = format_args!(
                    "the distance from node {from} to node {to} cannot be {distance}: expected {expected}"
                );
                notes.wrong(at, message);
            }
        }
    }
    if nodes == 1 {
        notes.wrong(at, "a single node has no distances");
    }
}
