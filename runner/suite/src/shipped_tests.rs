// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suites of this repository read, and each of their steps says what it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{Act, Action, Case, Matrix, Step, Suite, places::Node};
use base::Arch;

pub(super) const SUITES: [(&str, &str); 10] = [
    ("quick.yaml", include_str!("../../../suites/quick.yaml")),
    ("blocks.yaml", include_str!("../../../suites/blocks.yaml")),
    ("accounting.yaml", include_str!("../../../suites/accounting.yaml")),
    ("standby.yaml", include_str!("../../../suites/standby.yaml")),
    ("dimm.yaml", include_str!("../../../suites/dimm.yaml")),
    ("zones.yaml", include_str!("../../../suites/zones.yaml")),
    ("errors.yaml", include_str!("../../../suites/errors.yaml")),
    (
        "boot-memory.yaml",
        include_str!("../../../suites/boot-memory.yaml"),
    ),
    ("stress.yaml", include_str!("../../../suites/stress.yaml")),
    ("selftests.yaml", include_str!("../../../suites/selftests.yaml")),
];

fn suites() -> Vec<Suite> {
    SUITES
        .map(|(name, text)| Suite::parse(name, text).unwrap_or_else(|errors| panic!("{errors}")))
        .into()
}

/// The cases by `SUITE/ID`.
pub(super) fn by_id(suites: &[Suite]) -> BTreeMap<String, &Case> {
    let all = suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)));
    all.map(|(suite, case)| (format!("{}/{}", suite.name, case.id), case))
        .collect()
}

fn all_steps<'a>(steps: &'a [Step], found: &mut Vec<&'a Step>) {
    for step in steps {
        found.push(step);
        all_steps(step.action.within(), found);
    }
}

#[test]
fn every_suite_file_reads() {
    let on_disk = fs_err::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../suites")).unwrap();
    let on_disk: BTreeSet<_> = on_disk
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            name.ends_with(".yaml")
                && !["nightly.yaml", "catalogue.yaml", "known.yaml"].contains(&name.as_str())
        })
        .collect();
    assert_eq!(
        on_disk,
        SUITES.map(|(name, _)| name.to_owned()).into(),
        "list every suite here"
    );
    for suite in suites() {
        for case in &suite.cases {
            assert!(
                !case.steps.is_empty() && !case.variants.is_empty(),
                "{} {}",
                suite.name,
                case.id
            );
        }
    }
}

#[test]
fn the_nightly_matrix_reads_and_has_every_suite_but_the_quick_one() {
    let text = include_str!("../../../suites/nightly.yaml");
    let matrix = Matrix::parse("nightly.yaml", text, &|_| Ok(()), &|_| Ok(()))
        .unwrap_or_else(|errors| panic!("{errors}"));
    let names: BTreeSet<_> = matrix.suites.iter().map(|name| format!("{name}.yaml")).collect();
    let ours = SUITES.map(|(name, _)| name.to_owned());
    assert_eq!(
        names,
        ours.into_iter()
            .filter(|name| !["quick.yaml", "selftests.yaml"].contains(&name.as_str()))
            .collect()
    );
    assert_eq!(matrix.arches, Arch::ALL);
    assert_eq!(
        text.lines().next(),
        Some("# SPDX-License-Identifier: MIT OR Apache-2.0")
    );
}

#[test]
fn every_suite_names_its_schema_and_its_licence() {
    for (name, text) in SUITES {
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("# yaml-language-server: $schema=suite.schema.json"),
            "{name}"
        );
        assert_eq!(
            lines.next(),
            Some("# SPDX-License-Identifier: MIT OR Apache-2.0"),
            "{name}"
        );
    }
}

#[test]
fn the_default_suite_has_something_for_both_architectures() {
    let quick = &suites()[0];
    for arch in Arch::ALL {
        let cases = quick
            .cases
            .iter()
            .filter(|case| case.needs.allows(arch) && case.needs.generation.is_none());
        assert!(cases.count() >= 4, "{arch}");
    }
}

/// A step shows itself as the suite has it, so that a reader of a report finds it again.
/// A shell goes on behind `! command`, whatever comes of it, also under `set -e`: only as the last line it says something.
#[test]
fn no_line_of_a_script_is_a_check_that_cannot_fail() {
    fn look(file: &str, steps: &[Step], found: &mut Vec<String>) {
        for step in steps {
            match &step.action {
                Action::Act(Act::Guest(guest)) => {
                    let lines: Vec<&str> = guest.run.trim_end().lines().map(str::trim).collect();
                    let goes_on = lines.iter().rev().skip(1);
                    let void = goes_on.filter(|line| line.starts_with("! ") && !line.contains("||"));
                    found.extend(void.map(|line| format!("{file}:{}: {line}", step.line)));
                }
                action => look(file, action.within(), found),
            }
        }
    }
    let mut found = Vec::new();
    for (file, text) in SUITES {
        let suite = Suite::parse(file, text).unwrap_or_else(|errors| panic!("{errors}"));
        for case in &suite.cases {
            look(file, &case.steps, &mut found);
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn steps_show_themselves_as_they_are_written() {
    for (suite, (name, text)) in suites().iter().zip(SUITES) {
        let lines: Vec<_> = text.lines().collect();
        let mut steps = Vec::new();
        suite
            .cases
            .iter()
            .for_each(|case| all_steps(&case.steps, &mut steps));
        for step in steps {
            let line = lines[step.line - 1].trim().trim_start_matches("- ");
            assert!(
                line.starts_with(step.action.word()),
                "{name}:{}: {step} is not at {line}",
                step.line
            );
            let shown: serde_yaml::Value = serde_yaml::from_str(&step.to_string()).unwrap();
            if let Ok(written) = serde_yaml::from_str::<serde_yaml::Value>(line)
                && !line.ends_with(':')
            {
                let plain = |value: &serde_yaml::Value| {
                    serde_yaml::to_string(value)
                        .unwrap()
                        .replace("'", "")
                        .replace("MiB", "M")
                        .replace("GiB", "G")
                };
                let is_hex = line.contains("0x");
                assert!(
                    is_hex || plain(&shown) == plain(&written),
                    "{name}:{}: {step} is written {line}",
                    step.line
                );
            }
        }
    }
}

#[test]
fn a_step_that_does_others_shows_them_whole_where_it_is_asked_for_that() {
    let mut seen = BTreeSet::new();
    for (suite, (name, text)) in suites().iter().zip(SUITES) {
        let written: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        for (index, case) in suite.cases.iter().enumerate() {
            for (number, step) in case.steps.iter().enumerate() {
                let word = step.action.word();
                if !["repeat", "sweep", "parallel"].contains(&word) {
                    continue;
                }
                let shown: serde_yaml::Value = serde_yaml::from_str(&format!("{step:#}")).unwrap();
                let written = &written["cases"][index]["steps"][number];
                assert_eq!(&shown, written, "{name}: {}", case.id);
                seen.insert(word);
            }
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn the_lines_of_cases_are_those_of_their_ids() {
    for (suite, (name, text)) in suites().iter().zip(SUITES) {
        for case in &suite.cases {
            let line = text.lines().nth(case.line - 1).unwrap();
            assert_eq!(
                line.trim().trim_start_matches("- "),
                format!("id: {}", case.id),
                "{name}"
            );
        }
        let tree = Node::scan(text);
        assert_eq!(
            tree.get("cases").map_or(0, |cases| cases.items().len()),
            suite.cases.len(),
            "{name}"
        );
    }
}
