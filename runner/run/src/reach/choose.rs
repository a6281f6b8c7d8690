// SPDX-License-Identifier: MIT OR Apache-2.0
//! Choosing the cases that reach something.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::asked::{Asked, keys_of, last_covered};
use crate::{
    past::{PastError, ask},
    plan::{Job, Target, in_words, some_of, sources},
};
use base::{
    Arch,
    fault::{Blame, Blamed, Exit},
    ui::Ui,
};
use record::{
    Coverage, CoveredKernel, ReadError,
    index::{CoveredBy, HistoryKey, Index, IndexError, LastCovered},
};
use suite::near;

/// Cases that reach something.
#[derive(Debug, Clone)]
pub struct Reaches {
    /// What; a case that reaches any of it is meant.
    pub targets: Vec<Target>,
    /// The folder with the runs that covered them.
    pub results: Utf8PathBuf,
}

/// Why no case is chosen by what it reaches.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Nothing is known.
    #[error("which cases reach {target} is not known: {what}")]
    NeverCovered {
        /// What was asked for.
        target: Target,
        /// What is missing.
        what: String,
        /// The command that covers them.
        command: String,
    },
    /// No case that was covered reaches it.
    #[error("nothing is selected: none of the {cases} cases that were covered, on {on}, reaches {target}")]
    Nobody {
        /// What was asked for.
        target: Target,
        /// How many cases were covered.
        cases: usize,
        /// On which kernels, and in which runs.
        on: String,
        /// What may be wrong.
        why: Option<String>,
    },
    /// Others reach it.
    #[error(
        "nothing is selected: none of the {selected} cases that were named reaches {what}; others do, such as {such_as}"
    )]
    Others {
        /// What was asked for.
        what: String,
        /// How many cases were named.
        selected: usize,
        /// A case that reaches it.
        such_as: String,
    },
    /// Earlier runs.
    #[error(transparent)]
    Past(#[from] PastError),
    /// The coverage of an earlier run.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<IndexError> for ReachError {
    fn from(error: IndexError) -> Self {
        Self::Past(error.into())
    }
}

impl Blamed for ReachError {
    fn blame(&self) -> Blame {
        match self {
            Self::NeverCovered { .. } | Self::Nobody { .. } | Self::Others { .. } => Blame::Usage,
            Self::Past(error) => error.blame(),
            Self::Read(_) => Blame::Bench,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Nobody { .. } | Self::Others { .. } => Exit::NothingSelected,
            other => other.blame().exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NeverCovered { command, .. } => Some(format!("`{command}` covers them")),
            Self::Nobody { why, .. } => why.clone(),
            _ => None,
        }
    }
}

impl Reaches {
    /// Which of the jobs' cases reach any of the targets, by what they ran when they were covered last. It is told what that was.
    ///
    /// # Errors
    /// Nothing is known, or there is no such case.
    pub(crate) fn choose(&self, jobs: &[Job], ui: &Ui) -> Result<BTreeSet<HistoryKey>, ReachError> {
        let keys = keys_of(jobs);
        if !self.results.is_dir() {
            return Err(self.never_covered(&self.targets[0], &keys));
        }
        ask(&self.results, ui, |index| self.chosen(index, &keys, ui))
    }

    fn chosen(
        &self,
        index: &Index,
        keys: &[HistoryKey],
        ui: &Ui,
    ) -> Result<BTreeSet<HistoryKey>, ReachError> {
        let covered = last_covered(index, keys)?;
        let mut asked = Asked::of(index);
        let mut chosen = BTreeSet::new();
        let mut such_as: Option<HistoryKey> = None;
        let mut told = Vec::new();
        for target in &self.targets {
            let sources_of = |keys: &[HistoryKey]| sources(keys, &covered, target.needs_lines());
            let named = sources_of(keys);
            if named.iter().all(Option::is_none) {
                return Err(self.never_covered(target, keys));
            }
            let reaching = asked.reaching(&named, target)?;
            if !reaching.contains(&true) {
                let everybody = everybody(keys, &covered);
                let all = sources_of(&everybody);
                let reaching = asked.reaching(&all, target)?;
                match everybody.into_iter().zip(reaching).find(|(_, reaches)| *reaches) {
                    Some((other, _)) => such_as = Some(other),
                    None => return Err(self.nobody(target, &all, &mut asked)?),
                }
            }
            let its = keys.iter().zip(reaching).filter(|(_, reaches)| *reaches);
            chosen.extend(its.map(|(key, _)| key.clone()));
            told.extend(notes(target, keys, &named));
        }
        let what: Vec<String> = self.targets.iter().map(Target::to_string).collect();
        let what = what.join(" or ");
        match such_as {
            Some(other) if chosen.is_empty() => Err(ReachError::Others {
                what,
                selected: keys.len(),
                such_as: format!("{}/{}", other.suite, other.case),
            }),
            _ => {
                ui.line(&format!("{} of {} cases reach {what}", chosen.len(), keys.len()));
                told.dedup();
                told.iter().for_each(|line| ui.line(line));
                Ok(chosen)
            }
        }
    }

    fn never_covered(&self, target: &Target, keys: &[HistoryKey]) -> ReachError {
        let lines: BTreeSet<&str> = keys.iter().map(|key| key.line.as_str()).collect();
        let arches: BTreeSet<Arch> = keys.iter().map(|key| key.arch).collect();
        let what = match target.needs_lines() {
            true => format!(
                "no run in {} has covered them on a kernel whose lines are known",
                self.results
            ),
            false => format!("no run in {} has covered them", self.results),
        };
        let kernel = lines.first().copied().unwrap_or("debian:trixie");
        // Of Debian's packages no lines are known; built from Debian's source they are.
        let source = match kernel.starts_with("debian:") && target.needs_lines() {
            true => "source:",
            false => "",
        };
        let arch = match arches.len() {
            1 => arches.iter().map(|arch| format!(" -a {arch}")).collect(),
            _ => String::new(),
        };
        ReachError::NeverCovered {
            target: target.clone(),
            what,
            command: format!("memrig run all --cover -k {source}{kernel}{arch}"),
        }
    }

    /// Why no case reaches a target, as far as that can be seen.
    fn nobody(
        &self,
        target: &Target,
        covered: &[Option<&LastCovered>],
        asked: &mut Asked<'_>,
    ) -> Result<ReachError, ReachError> {
        let by: Vec<&CoveredBy> = covered.iter().flatten().map(|last| &*last.by).collect();
        let newest = by.iter().copied().max_by_key(|by| by.age());
        let why = match (target, newest) {
            (_, None) => None,
            (Target::Function(name), Some(newest)) => self.why_not(name, newest)?,
            (Target::Lines { file, first, last }, Some(newest)) => {
                let reach = asked.reach(newest)?;
                let files: BTreeSet<&str> = reach.files().collect();
                if !files.contains(file.as_str()) {
                    let ends = |known: &&&str| known.ends_with(&format!("/{file}"));
                    let whole = files
                        .iter()
                        .find(ends)
                        .map(|file| format!("did you mean `{file}`?"));
                    let known = || format!("the lines of {} are known", in_a_row(&files));
                    whole
                        .or_else(|| near(file, files.iter().copied()))
                        .or_else(|| Some(known()))
                } else if reach.lines(file, *first..=*last).is_none() {
                    Some(format!("there is no code in {target} of {}", newest.kernel))
                } else {
                    None
                }
            }
        };
        Ok(ReachError::Nobody {
            target: target.clone(),
            cases: covered.iter().flatten().count(),
            on: in_words(&by),
            why,
        })
    }

    /// Why no case ran a function, by the coverage of the run itself: it has all functions of its kernel.
    fn why_not(&self, function: &str, by: &CoveredBy) -> Result<Option<String>, ReachError> {
        let Some((coverage, _)) = Coverage::read(&self.results.join(&by.run))? else {
            return Ok(None);
        };
        let is = |kernel: &&CoveredKernel| kernel.text.arch == by.arch && kernel.text.label == by.line;
        let Some(kernel) = coverage.kernels.iter().find(is) else {
            return Ok(None);
        };
        let names = kernel.function_names();
        let why = match names.contains(function) {
            true if kernel.functions_ran(&kernel.ranges(&kernel.boot)).contains(function) => {
                "only booting ran it".to_owned()
            }
            true => "the kernel has it, and no case ran it".to_owned(),
            false => near(function, names).unwrap_or_else(|| {
                "the kernel has no function of that name; one that was inlined everywhere is reached by its lines alone".to_owned()
            }),
        };
        Ok(Some(why))
    }
}

fn in_a_row(files: &BTreeSet<&str>) -> String {
    files.iter().copied().collect::<Vec<_>>().join(", ")
}

/// All covered cases on the kernel lines of some.
fn everybody(keys: &[HistoryKey], covered: &[LastCovered]) -> Vec<HistoryKey> {
    let lines: BTreeSet<(Arch, &str)> = keys.iter().map(|key| (key.arch, key.line.as_str())).collect();
    let mut all = BTreeSet::new();
    for (arch, line) in lines {
        for last in covered.iter().filter(|last| last.key.arch == arch) {
            all.insert(HistoryKey {
                line: line.to_owned(),
                config: String::new(),
                ..last.key.clone()
            });
        }
    }
    all.into_iter().collect()
}

/// By what the cases were looked up, in words.
fn notes(target: &Target, keys: &[HistoryKey], sources: &[Option<&LastCovered>]) -> Vec<String> {
    let by: Vec<&CoveredBy> = sources.iter().flatten().map(|last| &*last.by).collect();
    let mut notes = vec![match target.needs_lines() {
        true => format!("the lines of {target} are those of {}", in_words(&by)),
        false => format!("as covered on {}", in_words(&by)),
    }];
    let pairs = || keys.iter().zip(sources);
    let others: BTreeSet<String> = pairs()
        .filter(|(key, source)| source.is_some_and(|last| last.key.line != key.line))
        .map(|(key, _)| format!("{} on {}", key.line, key.arch))
        .collect();
    if !others.is_empty() {
        let others = some_of(&others);
        notes.push(format!(
            "{others}: not all cases were covered there; what they ran on other kernels is taken for it"
        ));
    }
    let never = pairs().filter(|(_, source)| source.is_none()).count();
    if never > 0 {
        notes.push(format!(
            "{never} of {} cases were never covered and are left out; a run of them with --cover covers them",
            keys.len()
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::samples::{Results, ids, key, told, without_runs};

    /// What `--reaches` chooses among these cases of a kernel line, and what is told; an error with its exit code and its hint.
    fn chosen(results: &Results, what: &[&str], line: &str, cases: &[&str]) -> (String, Vec<String>) {
        let reaches = Reaches {
            targets: what.iter().map(|target| target.parse().unwrap()).collect(),
            results: results.results.clone(),
        };
        let keys: Vec<HistoryKey> = cases.iter().map(|case| key(line, case)).collect();
        let ui = Ui::silent();
        match reaches.chosen(&results.index(), &keys, &ui) {
            Ok(chosen) => (ids(&chosen), told(&ui)),
            Err(error) => {
                assert_eq!(told(&ui), Vec::<String>::new());
                let hint = error.hint().map(|hint| without_runs(&hint));
                let text = without_runs(&error.to_string().replace(results.results.as_str(), "RESULTS"));
                (format!("{:?}: {text}", error.exit()), Vec::from_iter(hint))
            }
        }
    }

    fn covered() -> Results {
        Results::of(true, &[("B01", &[0]), ("B02", &[0, 0x40]), ("B03", &[])])
    }

    #[test]
    fn cases_that_ran_it_are_chosen() {
        let (results, line) = (covered(), "debian:trixie");
        let all = ["B01", "B02", "B03"];
        let on = "as covered on debian:trixie-6.12 in RUN".to_owned();
        assert_eq!(
            chosen(&results, &["online_pages"], line, &all),
            (
                "B01 B02".to_owned(),
                vec!["2 of 3 cases reach online_pages".to_owned(), on.clone()]
            )
        );
        let (ids, told) = chosen(&results, &["offline_pages", "online_pages"], line, &all[..1]);
        assert_eq!(ids, "B01", "any of them is enough");
        assert_eq!(
            told,
            ["1 of 1 cases reach offline_pages or online_pages".to_owned(), on]
        );
        let (ids, told) = chosen(&results, &["mm/a.c:10-17"], line, &all);
        assert_eq!(ids, "B02");
        assert_eq!(
            told[1],
            "the lines of mm/a.c:10-17 are those of debian:trixie-6.12 in RUN"
        );
    }

    #[test]
    fn what_was_covered_on_another_kernel_is_taken_and_told() {
        let (ids, told) = chosen(
            &covered(),
            &["online_pages"],
            "debian:sid",
            &["B01", "B03", "B09"],
        );
        assert_eq!(ids, "B01");
        let notes = [
            "1 of 3 cases reach online_pages",
            "as covered on debian:trixie-6.12 in RUN",
            "debian:sid on s390x: not all cases were covered there; what they ran on other kernels is taken for it",
            "1 of 3 cases were never covered and are left out; a run of them with --cover covers them",
        ];
        assert_eq!(told, notes);
    }

    #[test]
    fn what_is_not_known_names_the_command_that_covers_it() {
        let all = ["B01", "B02"];
        let never = "Usage: which cases reach online_pages is not known: no run in RESULTS has covered them";
        let hint = "`memrig run all --cover -k debian:sid -a s390x` covers them".to_owned();
        let told = chosen(&Results::none(), &["online_pages"], "debian:sid", &all);
        assert_eq!(told, (never.to_owned(), vec![hint.clone()]));
        let told = chosen(&covered(), &["online_pages"], "debian:sid", &["B08", "B09"]);
        assert_eq!(told, (never.to_owned(), vec![hint]));
        // Functions are known there, and no lines.
        let results = Results::of(false, &[("B01", &[0])]);
        let (error, hint) = chosen(&results, &["mm/a.c:17"], "debian:trixie", &all);
        let words = "reach mm/a.c:17 is not known: no run in RESULTS has covered them on a kernel whose lines are known";
        assert!(error.ends_with(words), "{error}");
        assert_eq!(
            hint,
            ["`memrig run all --cover -k source:debian:trixie -a s390x` covers them"]
        );
    }

    #[test]
    fn what_nobody_reaches_is_told_with_what_may_be_wrong() {
        let results = covered();
        let nobody = |target: &str| {
            let (error, hint) = chosen(&results, &["online_pages", target], "debian:trixie", &["B01"]);
            let expected = format!(
                "NothingSelected: nothing is selected: none of the 3 cases that were covered, on debian:trixie-6.12 in RUN, reaches {target}"
            );
            assert_eq!(error, expected);
            hint.join("")
        };
        assert_eq!(nobody("ofline_pages"), "did you mean `offline_pages`?");
        assert_eq!(nobody("nobody"), "the kernel has it, and no case ran it");
        assert_eq!(nobody("boots"), "only booting ran it");
        assert!(nobody("quite_another_thing").contains("no function of that name"));
        assert_eq!(nobody("mm/a.c:18"), "");
        assert_eq!(
            nobody("mm/a.c:19"),
            "there is no code in mm/a.c:19 of debian:trixie-6.12"
        );
        assert_eq!(nobody("a.c:17"), "did you mean `mm/a.c`?");
        assert_eq!(nobody("kernel/fork.c:17"), "the lines of mm/a.c are known");
    }

    #[test]
    fn what_others_reach_is_told_with_one_of_them() {
        let told = chosen(&covered(), &["offline_pages"], "debian:trixie", &["B01", "B03"]);
        let error = "NothingSelected: nothing is selected: none of the 2 cases that were named reaches offline_pages; others do, such as blocks/B02";
        assert_eq!(told, (error.to_owned(), Vec::new()));
    }
}
