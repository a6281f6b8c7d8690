// SPDX-License-Identifier: MIT OR Apache-2.0
//! docs/mutants.md and the matrix that tries them, made from suites/mutants/mutants.yaml: what a patch does wrong on purpose, and which case notices.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use serde::Deserialize;

use super::Case;
use base::Arch;

const INTRODUCTION: &str = "\
Does a green mean anything? `suites/mutants` has a patch with many small faults in memory hotplug, one of which is chosen by `memrig_mutant=N` on the
command line: mutants. They were picked by reading the kernel, before anybody looked whether a case would notice. A mutant is killed where a case fails because of
it, that passes without it.

    .ci/mutants

runs the matrix `suites/mutants/matrix.yaml`: for each mutant the cases that kill it, which must all fail, and each of these cases without a mutant, where none
may.
";

const OF_KINDS: &str = "\
A mutant that changes nothing which anybody outside of the kernel could see is *equivalent*; one whose code no guest here runs is *not reached*. Those that change
something, and that no case notices, *live*. An architecture that does not have the code has no entry.
";

/// The list, as suites/mutants/mutants.yaml has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutants {
    /// The kernel with the patch, as on the command line.
    kernel: String,
    mutants: Vec<Mutant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    id: u32,
    file: String,
    function: String,
    kind: Kind,
    is: String,
    /// The cases that notice it, as `SUITE/ID` or `SUITE/ID PARAMETER=VALUE`.
    #[serde(default)]
    killed: BTreeMap<Arch, Vec<String>>,
    /// Why nobody can notice it.
    #[serde(default)]
    equivalent: BTreeMap<Arch, String>,
    /// Why no guest comes there.
    #[serde(default)]
    not_reached: BTreeMap<Arch, String>,
    /// What a case would need that noticed it.
    #[serde(default)]
    lives: BTreeMap<Arch, String>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A step is left out.
    Step,
    /// What was done is not taken back.
    Undo,
    /// Something is not counted, or counted wrongly.
    Accounting,
    /// A bound is off by one, or none.
    Bound,
    /// Something else is asked for.
    Argument,
    /// Two steps are done in the wrong order.
    Order,
    /// The wrong errno, or none.
    Errno,
    /// Something is never freed.
    Leak,
    /// A lock is not taken, or not given back.
    Lock,
}

/// A case with the variant in which it kills.
struct Killer<'a> {
    suite: &'a str,
    case: &'a str,
    variant: Option<&'a str>,
}

impl<'a> Killer<'a> {
    fn of(text: &'a str) -> Self {
        let (id, variant) = match text.split_once(' ') {
            Some((id, variant)) => (id, Some(variant)),
            None => (text, None),
        };
        let (suite, case) = id.split_once('/').unwrap_or((id, ""));
        Self { suite, case, variant }
    }

    fn id(&self) -> String {
        format!("{}/{}", self.suite, self.case)
    }

    /// What is wrong with it: no such case, one that does not run there, or no such variant.
    fn wrong(&self, arch: Arch, cases: &BTreeMap<String, &Case>) -> Option<&'static str> {
        let Some(case) = cases.get(&self.id()) else {
            return Some("is no case");
        };
        let chosen = |variant: &&super::Variant| {
            let choices: Vec<String> = variant.choices.iter().map(ToString::to_string).collect();
            match self.variant {
                Some(choice) => choices == [choice],
                None => choices.is_empty(),
            }
        };
        if !case.needs.allows(arch) {
            Some("does not run there")
        } else if !case.variants.iter().any(|variant| chosen(&variant)) {
            Some("has no such variant")
        } else {
            None
        }
    }
}

impl Mutant {
    /// What is said of it on an architecture: once, or not at all.
    fn said(&self, arch: Arch) -> usize {
        let words = [&self.equivalent, &self.not_reached, &self.lives];
        let said = words.iter().filter(|map| map.contains_key(&arch)).count();
        said + usize::from(self.killed.contains_key(&arch))
    }

    fn cell(&self, arch: Arch) -> String {
        let word = |map: &BTreeMap<Arch, String>, word: &str| {
            let why = map.get(&arch)?;
            Some(format!("*{word}*: {}", why.replace('|', "\\|")))
        };
        match self.killed.get(&arch) {
            Some(cases) => cases.join("; "),
            None => word(&self.equivalent, "equivalent")
                .or_else(|| word(&self.not_reached, "not reached"))
                .or_else(|| word(&self.lives, "lives"))
                // It has no such code.
                .unwrap_or_default(),
        }
    }
}

impl Mutants {
    /// What does not fit together: in it, with the patch, and with the cases that there are.
    fn wrong(&self, patch: &str, cases: &BTreeMap<String, &Case>) -> Vec<String> {
        let mut wrong = Vec::new();
        let listed: BTreeSet<u32> = self.mutants.iter().map(|mutant| mutant.id).collect();
        if listed.len() != self.mutants.len() {
            wrong.push("a mutant is there twice".to_owned());
        }
        let made = made(patch);
        wrong.extend(made.difference(&listed).map(|id| format!("{id} has no row")));
        wrong.extend(
            listed
                .difference(&made)
                .map(|id| format!("{id} is not in the patch")),
        );
        for mutant in &self.mutants {
            let id = mutant.id;
            if !patch.contains(&format!("+++ b/{}\n", mutant.file)) {
                wrong.push(format!(
                    "{id} is in {}, which the patch does not change",
                    mutant.file
                ));
            }
            if Arch::ALL.iter().all(|arch| mutant.said(*arch) == 0) {
                wrong.push(format!("nothing is said of {id}"));
            }
            for arch in Arch::ALL.into_iter().filter(|arch| mutant.said(*arch) > 1) {
                wrong.push(format!("more than one thing is said of {id} on {arch}"));
            }
            for (arch, killers) in &mutant.killed {
                let said = killers.iter().filter_map(|killer| {
                    let why = Killer::of(killer).wrong(*arch, cases)?;
                    Some(format!("{id} {arch}: {killer} {why}"))
                });
                wrong.extend(said);
            }
        }
        wrong
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "<!-- Generated from suites/mutants/mutants.yaml by `MEMRIG_BLESS=1 cargo test`. -->\n# Mutants\n\n{INTRODUCTION}"
        )?;
        writeln!(
            out,
            "{} mutants, on Linux 6.12.117 (Debian's source) with `suites/series/prepare-online` below them:\n\n\
             | | mutants | equivalent | not reached | killed | live | killed of those that are reached and not equivalent |\n|---|---|---|---|---|---|---|",
            self.mutants.len()
        )?;
        for arch in Arch::ALL {
            let count = |has: &dyn Fn(&Mutant) -> bool| self.mutants.iter().filter(|one| has(one)).count();
            let killed = count(&|one| one.killed.contains_key(&arch));
            let lives = count(&|one| one.lives.contains_key(&arch));
            let most = killed + lives;
            writeln!(
                out,
                "| {arch} | {} | {} | {} | {killed} | {lives} | {:.1} % |",
                count(&|one| one.said(arch) > 0),
                count(&|one| one.equivalent.contains_key(&arch)),
                count(&|one| one.not_reached.contains_key(&arch)),
                100.0 * killed as f64 / most as f64,
            )?;
        }
        writeln!(out, "\n{OF_KINDS}")?;
        let mut file = "";
        for mutant in &self.mutants {
            if file != mutant.file {
                file = &mutant.file;
                writeln!(
                    out,
                    "## {file}\n\n| mutant | function | kind | what | x86_64 | s390x |\n|---|---|---|---|---|---|"
                )?;
            }
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                mutant.id,
                mutant.function,
                format!("{:?}", mutant.kind).to_lowercase(),
                mutant.is,
                mutant.cell(Arch::X86_64),
                mutant.cell(Arch::S390x)
            )?;
        }
        Ok(())
    }

    /// The matrix: nothing by itself, then each mutant with its cases, and each of these cases without one.
    fn matrix(&self) -> String {
        let mut suites = BTreeSet::new();
        let (mut with, mut without) = (Vec::new(), BTreeSet::new());
        for mutant in &self.mutants {
            for (arch, killers) in &mutant.killed {
                for killer in killers.iter().map(|killer| Killer::of(killer)) {
                    suites.insert(killer.suite);
                    let case = self.pick(*arch, &killer);
                    with.push(format!("{case}, cmdline: [memrig_mutant={}] }}", mutant.id));
                    without.insert(format!("{case} }}"));
                }
            }
        }
        let suites: Vec<&str> = suites.into_iter().collect();
        format!(
            "# Generated from mutants.yaml by `MEMRIG_BLESS=1 cargo test`.\n# SPDX-License-Identifier: MIT OR Apache-2.0\nmatrix: mutants\n\
             about: for each mutant the cases that kill it, and these cases without a mutant\nkernels: ['{kernel}']\nsuites: [{}]\n\
             exclude:\n  - {{ kernel: '{kernel}' }}\ninclude:\n{}\n{}\n",
            suites.join(", "),
            without.into_iter().collect::<Vec<_>>().join("\n"),
            with.join("\n"),
            kernel = self.kernel
        )
    }

    fn pick(&self, arch: Arch, killer: &Killer<'_>) -> String {
        let variant = killer
            .variant
            .map_or(String::new(), |choice| format!(", variant: '{choice}'"));
        format!(
            "  - {{ kernel: '{}', arch: {arch}, suite: {}, case: {}{variant}",
            self.kernel, killer.suite, killer.case
        )
    }
}

/// The numbers of the mutants that a patch makes.
fn made(patch: &str) -> BTreeSet<u32> {
    let added = patch.lines().filter(|line| line.starts_with('+'));
    let numbers = added.flat_map(|line| line.split("mutant(").skip(1));
    numbers
        .filter_map(|rest| rest.split(')').next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Matrix, Suite,
            schema::tests::is_current,
            shipped_tests::{SUITES, by_id},
        },
        *,
    };

    const PATCH: &str = include_str!(
        "../../../suites/mutants/0001-mm-things-that-memory-hotplug-does-wrong-when-it-is-.patch"
    );

    fn mutants() -> Mutants {
        serde_yaml::from_str(include_str!("../../../suites/mutants/mutants.yaml")).unwrap()
    }

    fn suites() -> Vec<Suite> {
        SUITES
            .map(|(name, text)| Suite::parse(name, text).unwrap_or_else(|errors| panic!("{errors}")))
            .into()
    }

    #[test]
    fn every_mutant_has_a_row_and_every_case_that_kills_is_one() {
        let suites = suites();
        assert_eq!(mutants().wrong(PATCH, &by_id(&suites)), Vec::<String>::new());
    }

    #[test]
    fn the_committed_table_and_matrix_are_current() {
        let mut text = String::new();
        mutants().write(&mut text).unwrap();
        is_current("docs/mutants.md", &text);
        is_current("suites/mutants/matrix.yaml", &mutants().matrix());
    }

    #[test]
    fn the_matrix_reads() {
        let ok = |_: &str| Ok(());
        Matrix::parse("matrix.yaml", &mutants().matrix(), &ok, &ok).unwrap();
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let text = "\
kernel: k
mutants:
  - { id: 1, file: a.c, function: f, kind: step, is: x, killed: { s390x: [s/A, s/B, 's/A x=1'], x86_64: [s/A] }, lives: { s390x: why } }
  - { id: 2, file: b.c, function: f, kind: step, is: x }
  - { id: 2, file: a.c, function: f, kind: step, is: x, lives: { s390x: why } }
";
        let patch = "+++ b/a.c\n+\tif (mutant(1) || mutant(3))\n-\tmutant(4)\n";
        let suite =
            "suite: s\ncases:\n  - { id: A, name: a, needs: { arch: [s390x] }, steps: [log: { has: x }] }\n";
        let suites = [Suite::parse("s.yaml", suite).unwrap_or_else(|errors| panic!("{errors}"))];
        let mutants: Mutants = serde_yaml::from_str(text).unwrap();
        let must = [
            "a mutant is there twice",
            "3 has no row",
            "2 is not in the patch",
            "more than one thing is said of 1 on s390x",
            "1 x86_64: s/A does not run there",
            "1 s390x: s/B is no case",
            "1 s390x: s/A x=1 has no such variant",
            "2 is in b.c, which the patch does not change",
            "nothing is said of 2",
        ];
        assert_eq!(mutants.wrong(patch, &by_id(&suites)), must);
    }
}
