// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suites and cases, checked: what the runner plans and runs.

use std::{collections::BTreeMap, fmt};

use super::{
    check,
    error::SuiteErrors,
    pattern::{Pattern, TimeLimit},
    range::KernelRange,
    raw::{Machine, Needs, Variants},
    sign::Sign,
    step::Step,
    words::{Boot, GuestClock, MemmapOnMemory},
};
use base::{Arch, ByteSize};

/// A suite whose parts fit together.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: Option<String>,
    /// Its cases, at least one, in the order of the file.
    pub cases: Vec<Case>,
}

/// A case with everything that its suite says about all cases merged in.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id, once in the suite.
    pub id: String,
    /// What must be true.
    pub name: String,
    /// Line of its id in the suite file, from 1.
    pub line: usize,
    /// What must be so for it to run.
    pub needs: Needs,
    /// The machine.
    pub machine: CaseMachine,
    /// Words for the kernel's command line, besides those of the variant.
    pub cmdline: Vec<String>,
    /// What it runs for, at least one.
    pub variants: Vec<Variant>,
    /// Known issues.
    pub known: Vec<Known>,
    /// Kernel log lines that are no finding.
    pub allow_log: Vec<Pattern>,
    /// Whether it may start from a clone.
    pub boot: Boot,
    /// How long each step may take; the runner's default where it is `None`.
    pub time_limit: Option<TimeLimit>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// The machine of a case, with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseMachine {
    /// Memory at boot.
    pub memory: ByteSize,
    /// Memory that can be added.
    pub hotplug: ByteSize,
    /// Slots for DIMMs; x86_64.
    pub slots: u32,
    /// Size of a storage increment; s390x; QEMU's choice where it is `None`.
    pub increment: Option<ByteSize>,
    /// Number of CPUs.
    pub cpus: u32,
    /// What the guest's clock goes by.
    pub clock: GuestClock,
    /// Number of NUMA nodes; x86_64.
    pub nodes: u32,
    /// Distances between the nodes, a row for each; no table where it is empty.
    pub dist: Vec<Vec<u8>>,
    /// Whether the CPUs have EDAT-1; s390x.
    pub edat1: bool,
    /// Highest storage element id; s390x.
    pub max_element_id: u16,
    /// Response code to READ STORAGE ELEMENT INFORMATION of the element while it is not attached; s390x; QEMU's choice where it is `None`.
    pub element_response: Option<u16>,
}

/// One combination of what is varied. Empty where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    /// The choices, memmap_on_memory first, then the increment, then other parameters by name.
    pub choices: Vec<Choice>,
}

/// One thing that is varied, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// memory_hotplug.memmap_on_memory at boot; never `absent`. The runner reads it back, and skips where the kernel does not have it.
    MemmapOnMemory(MemmapOnMemory),
    /// Size of a storage increment; s390x.
    Increment(ByteSize),
    /// Another parameter of the kernel's command line.
    Parameter {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// A known issue.
#[derive(Debug, Clone)]
pub struct Known {
    /// Releases that have it.
    pub(crate) kernels: KernelRange,
    /// Architectures that have it; all where it is `None`.
    pub(crate) arch: Option<Vec<Arch>>,
    /// Choices that have it; all where it is empty.
    pub(crate) variants: Variants,
    /// What is wrong.
    pub reason: String,
    /// What it is recognised by.
    pub sign: Sign,
}

impl Suite {
    /// The files beside the suite's that guests get, each with the line of the step that names it.
    pub fn files(&self) -> impl Iterator<Item = (usize, &str)> {
        let steps = self.cases.iter().flat_map(|case| &case.steps);
        steps.flat_map(Step::files)
    }

    /// Reads the text of a suite file. `file_name` is only for the messages; nothing is read from disk.
    ///
    /// # Errors
    /// Everything that is wrong with the text, as far as one error does not hide another, each with its place.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, SuiteErrors> {
        check::suite(file_name, text)
    }
}

impl Known {
    /// Whether this kernel has it in this variant.
    pub fn applies(&self, release: &str, arch: Arch, variant: &Variant) -> bool {
        self.is_of(release, arch) && variant.choices.iter().all(|choice| choice.is_in(&self.variants))
    }

    /// Whether this kernel has it in some variant.
    pub(crate) fn is_of(&self, release: &str, arch: Arch) -> bool {
        self.kernels.contains(release) && self.arch.as_ref().is_none_or(|known| known.contains(&arch))
    }
}

impl Choice {
    /// What is varied.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::MemmapOnMemory(_) => "memmap_on_memory",
            Self::Increment(_) => "increment",
            Self::Parameter { name, .. } => name,
        }
    }

    /// Whether `variants` lists the value, or says nothing about what is varied.
    fn is_in(&self, variants: &Variants) -> bool {
        fn listed<T: PartialEq>(list: &[T], value: &T) -> bool {
            list.is_empty() || list.contains(value)
        }
        match self {
            Self::MemmapOnMemory(value) => listed(&variants.memmap_on_memory, value),
            Self::Increment(value) => listed(&variants.increment, value),
            Self::Parameter { name, value } => variants
                .cmdline
                .get(name)
                .is_none_or(|values| listed(values, value)),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::MemmapOnMemory(value) => write!(f, "{name}={value}"),
            Self::Increment(value) => write!(f, "{name}={value}"),
            Self::Parameter { value, .. } => write!(f, "{name}={value}"),
        }
    }
}

/// The choices joined by commas, such as `memmap_on_memory=on,increment=4M`; empty where nothing is varied.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.choices.iter().map(Choice::to_string).collect();
        f.write_str(&words.join(","))
    }
}

impl Variant {
    /// Words for the kernel's command line.
    pub fn cmdline(&self) -> Vec<String> {
        self.choices
            .iter()
            .filter_map(|choice| match choice {
                Choice::MemmapOnMemory(value) => Some(format!("memory_hotplug.memmap_on_memory={value}")),
                Choice::Increment(_) => None,
                Choice::Parameter { name, value } => Some(format!("{name}={value}")),
            })
            .collect()
    }

    /// What memory_hotplug.memmap_on_memory is asked to be; `None` where it is not varied.
    pub fn memmap_on_memory(&self) -> Option<MemmapOnMemory> {
        self.choices.iter().find_map(|choice| match choice {
            Choice::MemmapOnMemory(value) => Some(*value),
            _ => None,
        })
    }

    /// The machine of a case in this variant.
    pub fn machine(&self, of_case: &CaseMachine) -> CaseMachine {
        let increment = self.choices.iter().find_map(|choice| match choice {
            Choice::Increment(size) => Some(*size),
            _ => None,
        });
        CaseMachine {
            increment: increment.or(of_case.increment),
            ..of_case.clone()
        }
    }

    /// All combinations; a single empty one where nothing is varied.
    pub(super) fn combinations(of: &Variants) -> Vec<Self> {
        let parameters = of.cmdline.iter().map(|(name, values)| {
            values
                .iter()
                .map(|value| Choice::Parameter {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect()
        });
        let axes: Vec<Vec<Choice>> = [
            of.memmap_on_memory
                .iter()
                .copied()
                .map(Choice::MemmapOnMemory)
                .collect(),
            of.increment.iter().copied().map(Choice::Increment).collect(),
        ]
        .into_iter()
        .chain(parameters)
        .filter(|axis: &Vec<Choice>| !axis.is_empty())
        .collect();
        axes.iter().fold(vec![Self::default()], |made, axis| {
            made.iter()
                .flat_map(|variant| {
                    axis.iter().map(|choice| {
                        let choices = variant.choices.iter().chain([choice]).cloned().collect();
                        Self { choices }
                    })
                })
                .collect()
        })
    }
}

impl CaseMachine {
    /// What the case says over what the suite says over the defaults.
    pub(super) fn merged(suite: &Machine, case: &Machine) -> Self {
        fn first<T: Clone>(case: &Option<T>, suite: &Option<T>) -> Option<T> {
            case.as_ref().or(suite.as_ref()).cloned()
        }
        let sclp = [&case.sclp, &suite.sclp];
        let sclp =
            |pick: fn(&super::raw::Sclp) -> Option<u16>| sclp.iter().find_map(|s| s.as_ref().and_then(pick));
        Self {
            memory: first(&case.memory, &suite.memory).unwrap_or(ByteSize::gib(1)),
            hotplug: first(&case.hotplug, &suite.hotplug).unwrap_or(ByteSize::gib(2)),
            slots: first(&case.slots, &suite.slots).unwrap_or(16),
            increment: first(&case.increment, &suite.increment),
            cpus: first(&case.cpus, &suite.cpus).unwrap_or(1),
            clock: first(&case.clock, &suite.clock).unwrap_or(GuestClock::Host),
            nodes: first(&case.nodes, &suite.nodes).unwrap_or(1),
            dist: first(&case.dist, &suite.dist).unwrap_or_default(),
            edat1: first(&case.edat1, &suite.edat1).unwrap_or(true),
            max_element_id: sclp(|s| s.max_element_id).unwrap_or(1),
            element_response: sclp(|s| s.element_response),
        }
    }
}

impl Needs {
    /// What the case says over what the suite says; configuration options and files of both.
    pub(super) fn merged(suite: &Self, case: &Self) -> Self {
        fn first<T: Clone>(case: &Option<T>, suite: &Option<T>) -> Option<T> {
            case.as_ref().or(suite.as_ref()).cloned()
        }
        let config: BTreeMap<_, _> = suite
            .config
            .iter()
            .chain(&case.config)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        Self {
            arch: first(&case.arch, &suite.arch),
            generation: first(&case.generation, &suite.generation),
            memmap_on_memory: first(&case.memmap_on_memory, &suite.memmap_on_memory),
            config,
            kernels: first(&case.kernels, &suite.kernels),
            files: suite.files.iter().chain(&case.files).cloned().collect(),
        }
    }

    /// Whether the case may run on the architecture at all.
    pub fn allows(&self, arch: Arch) -> bool {
        self.arch.as_ref().is_none_or(|list| list.contains(&arch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Suite {
        Suite::parse("x.yaml", text).unwrap_or_else(|errors| panic!("{errors}"))
    }

    const TEXT: &str = "\
suite: x
machine: { memory: 2GiB, increment: 64MiB, sclp: { max_element_id: 3 } }
needs: { arch: [s390x], config: { CONFIG_A: y, CONFIG_B: m } }
variants: { memmap_on_memory: [off, on], increment: [128MiB, 256MiB], cmdline: { quiet: ['1'] } }
allow_log: [one]
cases:
  - id: A
    name: with the suite's variants
    machine: { memory: 1GiB, sclp: { element_response: 0x0410 } }
    needs: { config: { CONFIG_B: n }, files: [/x] }
    known:
      - { kernels: 6.9..6.18, variants: { memmap_on_memory: [on] }, reason: r, sign: { step: 1, kind: log, pattern: x } }
    allow_log: [two]
    steps: [log: { has: x }]
  - { id: B, name: without, variants: {}, steps: [log: { has: x }] }
";

    #[test]
    fn a_case_runs_for_every_combination() {
        let suite = parse(TEXT);
        let shown: Vec<_> = suite.cases[0].variants.iter().map(Variant::to_string).collect();
        assert_eq!(
            shown,
            [
                "memmap_on_memory=off,increment=128M,quiet=1",
                "memmap_on_memory=off,increment=256M,quiet=1",
                "memmap_on_memory=on,increment=128M,quiet=1",
                "memmap_on_memory=on,increment=256M,quiet=1",
            ]
        );
        assert_eq!(suite.cases[1].variants, [Variant::default()]);
    }

    #[test]
    fn a_variant_is_a_command_line_and_a_machine() {
        let suite = parse(TEXT);
        let case = &suite.cases[0];
        let variant = &case.variants[3];
        assert_eq!(
            variant.cmdline(),
            ["memory_hotplug.memmap_on_memory=on", "quiet=1"]
        );
        assert_eq!(variant.memmap_on_memory(), Some(MemmapOnMemory::On));
        assert_eq!(variant.machine(&case.machine).increment, Some(ByteSize::mib(256)));
        assert_eq!(Variant::default().machine(&case.machine), case.machine);
    }

    #[test]
    fn what_a_case_says_comes_before_what_its_suite_says() {
        let suite = parse(TEXT);
        let case = &suite.cases[0];
        assert_eq!(case.machine.memory, ByteSize::gib(1));
        assert_eq!(case.machine.hotplug, ByteSize::gib(2));
        assert_eq!(
            (case.machine.max_element_id, case.machine.element_response),
            (3, Some(0x0410))
        );
        let config: Vec<_> = case
            .needs
            .config
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(config, ["CONFIG_A=y", "CONFIG_B=n"]);
        assert!(case.needs.allows(Arch::S390x) && !case.needs.allows(Arch::X86_64));
        assert_eq!(case.allow_log.len(), 2);
        assert_eq!(suite.cases[1].allow_log.len(), 1);
    }

    #[test]
    fn a_known_issue_applies_where_all_of_it_matches() {
        let suite = parse(TEXT);
        let case = &suite.cases[0];
        let known = &case.known[0];
        let [off, _, on, _] = &case.variants[..] else {
            panic!("four variants")
        };
        assert!(known.applies("6.12.107", Arch::S390x, on));
        assert!(!known.applies("6.12.107", Arch::S390x, off));
        assert!(!known.applies("6.8.1", Arch::S390x, on));
        let only_s390x = Known {
            arch: Some(vec![Arch::S390x]),
            ..known.clone()
        };
        assert!(!only_s390x.applies("6.12.107", Arch::X86_64, on));
    }
}
