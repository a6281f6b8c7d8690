// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences as suites.

use crate::setup::{Setup, setups};
use base::Arch;
use memory::Generation;

/// Lines of the kernel's log that come with what is drawn: storage that was refused, and a DIMM that is no whole block.
const ALLOWED: [(Arch, &[&str]); 2] = [
    (
        Arch::S390x,
        &[r"sclp_(cmd|mem): assign storage failed \(cmd=0x000[cd]0001"],
    ),
    (
        Arch::X86_64,
        &[
            r"Block size \[0x[0-9a-f]+\] unaligned hotplug range",
            "add_memory failed",
            "acpi_memory_enable_device",
        ],
    ),
];

/// The step with which sequences begin.
const FIRST: &str = "auto_online: { policy: offline }";

/// The step that stops those who are at work.
const LOAD_OFF: &str = "load: { off: true }";

/// The name of the suite whose cases begin sequences.
pub const SUITE: &str = "explore";

/// The suite whose cases begin sequences: one for each machine of an architecture, by its name. All of them boot with these words, too.
pub fn opening(arch: Arch, words: &[String]) -> String {
    let mut text = format!("suite: {SUITE}\nabout: how sequences begin\ncases:\n");
    for setup in setups(arch) {
        let steps = [FIRST.to_owned()];
        let needs = format!("{{ arch: [{arch}] }}");
        case(
            &mut text,
            (arch, setup, words),
            (setup.name, "sequences"),
            &needs,
            &steps,
        );
    }
    text
}

/// The id of the case that shows a finding.
const CASE: &str = "E1";

/// A sequence that fails, as it is printed: a suite of this one case.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Its machine.
    pub setup: &'a Setup,
    /// The architecture of its guest.
    pub arch: Arch,
    /// Words for its command line, beside those of the machine.
    pub words: &'a [String],
    /// The interface generation of its guest.
    pub generation: Option<Generation>,
    /// The name of its suite, which is that of the file without its ending.
    pub suite: &'a str,
    /// What was seen, in a line.
    pub name: &'a str,
    /// Its steps, as lines.
    pub steps: &'a [String],
    /// What is told at its head, line by line.
    pub about: &'a [String],
}

impl Found<'_> {
    /// Its text.
    pub fn text(&self) -> String {
        let about: String = self.about.iter().map(|line| format!("# {line}\n")).collect();
        let mut text = format!(
            "# SPDX-License-Identifier: MIT OR Apache-2.0\n{about}suite: {}\nabout: what an exploration found\ncases:\n",
            self.suite
        );
        let needs = match self.generation {
            None => format!("{{ arch: [{}] }}", self.arch),
            Some(generation) => format!("{{ arch: [{}], generation: [{generation:?}] }}", self.arch),
        };
        let on = (self.arch, self.setup, self.words);
        let mut steps = self.steps.to_vec();
        if steps.is_empty() {
            // What shows before any step needs none, and a case has one.
            steps.push(FIRST.to_owned());
        }
        // No case leaves others at work, and this one may end with the step that fails.
        let load = steps.iter().rfind(|step| step.starts_with("load: "));
        if load.is_some_and(|step| step != LOAD_OFF) {
            steps.push(LOAD_OFF.to_owned());
        }
        case(&mut text, on, (CASE, self.name), &needs, &steps);
        text
    }
}

/// Adds a case.
fn case(
    text: &mut String,
    (arch, setup, words): (Arch, &Setup, &[String]),
    (id, name): (&str, &str),
    needs: &str,
    steps: &[String],
) {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!("  - id: {id}"));
    line(format!("    name: {}", quoted(name)));
    line(format!("    needs: {needs}"));
    line(format!("    machine: {}", setup.machine));
    let own = setup.cmdline.iter().copied();
    let cmdline: Vec<String> = own.chain(words.iter().map(String::as_str)).map(quoted).collect();
    if !cmdline.is_empty() {
        line(format!("    cmdline: [{}]", cmdline.join(", ")));
    }
    if let Some(mode) = setup.memmap_on_memory {
        line(format!("    variants: {{ memmap_on_memory: [{mode}] }}"));
    }
    let allowed = ALLOWED
        .iter()
        .filter(|(of, _)| *of == arch)
        .flat_map(|(_, patterns)| patterns.iter().copied().map(quoted));
    line(format!(
        "    allow_log: [{}]",
        allowed.collect::<Vec<_>>().join(", ")
    ));
    line("    steps:".to_owned());
    steps.iter().for_each(|step| line(format!("      - {step}")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Suite;

    #[test]
    fn every_opening_is_a_suite_with_a_case_for_each_machine() {
        for arch in Arch::ALL {
            let suite = Suite::parse("explore.yaml", &opening(arch, &["a='b'".to_owned()]))
                .unwrap_or_else(|errors| panic!("{errors}"));
            let names: Vec<&str> = suite.cases.iter().map(|case| case.id.as_str()).collect();
            let wanted: Vec<&str> = setups(arch).iter().map(|setup| setup.name).collect();
            assert_eq!(names, wanted);
            assert!(suite.cases.iter().all(|case| case.variants.len() == 1));
            let has_word = |case: &suite::Case| case.cmdline.last().is_some_and(|word| word == "a='b'");
            assert!(suite.cases.iter().all(has_word));
            assert_eq!(suite.cases[3].cmdline[0], "movable_node");
        }
    }

    #[test]
    fn what_was_found_is_a_suite_whatever_was_seen() {
        let mut found = Found {
            setup: &setups(Arch::S390x)[1],
            arch: Arch::S390x,
            words: &["x".to_owned()],
            generation: Some(Generation::G2),
            suite: "online-errno",
            name: "online, errno: it's \"odd\": #1",
            steps: &["add: { as: b1 }".to_owned()],
            about: &["seed 1".to_owned()],
        };
        let suite =
            Suite::parse("online-errno.yaml", &found.text()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(suite.cases[0].name, found.name);
        assert_eq!(suite.cases[0].cmdline, ["x"]);
        // Others are at work still.
        let begins = "load: { by: [fork] }".to_owned();
        let ends = LOAD_OFF.to_owned();
        let at_work = [begins.clone(), ends, begins];
        for (count, all) in [(1, 2), (2, 2), (3, 4)] {
            found.steps = &at_work[..count];
            let suite =
                Suite::parse("online-errno.yaml", &found.text()).unwrap_or_else(|errors| panic!("{errors}"));
            let last = suite.cases[0].steps.last().map(ToString::to_string);
            assert_eq!(last.as_deref(), Some(LOAD_OFF));
            assert_eq!(suite.cases[0].steps.len(), all);
        }
        // It showed before the first step.
        found.steps = &[];
        let suite =
            Suite::parse("online-errno.yaml", &found.text()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(suite.cases[0].steps.len(), 1);
        assert_eq!(suite.cases[0].needs.generation, Some(vec![Generation::G2]));
        assert_eq!(suite.cases[0].variants[0].to_string(), "memmap_on_memory=on");
    }
}
