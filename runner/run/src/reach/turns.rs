// SPDX-License-Identifier: MIT OR Apache-2.0
//! When cases have their turns: what reaches the change of a series comes first, and of that what few cases do.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use camino::Utf8Path;

use super::asked::{Asked, keys_of, last_covered};
use crate::{
    cover::{ChangedCode, changed_code},
    past::{PastError, ask},
    plan::{Job, Turn, Turns, in_words, some_of, sources},
    session::Rig,
};
use base::{Arch, ui::Ui};
use record::{
    Ran, Reach,
    index::{CoveredBy, HistoryKey, Index, IndexError},
};

/// The turns of cases by what the series of the kernels change. It is told how many come first; nothing where nothing is known, or all do.
///
/// # Errors
/// Earlier runs cannot be asked, or a kernel's lines do not read.
pub(crate) fn turns_by_series(
    rig: &Rig,
    jobs: &[Job],
    results: &Utf8Path,
    ui: &Ui,
) -> Result<Turns, OrderError> {
    let mut changes: BTreeMap<Arch, Change> = BTreeMap::new();
    for prepared in &rig.kernels {
        let kernel = &prepared.kernel;
        let code = changed_code(kernel)?;
        let change = changes.entry(kernel.arch).or_default();
        // What it changes has the release of what it is on.
        if !code.places.is_empty() {
            change.releases.extend(kernel.release.clone());
        }
        change.code.names.extend(code.names);
        change.code.may_be_more |= code.may_be_more;
        change.code.places.extend(code.places);
    }
    if changes.values().all(|change| change.code.names.is_empty()) || !results.is_dir() {
        return Ok(Turns::default());
    }
    let keys = keys_of(jobs.iter().filter(|job| job.skip.is_none()));
    ask(results, ui, |index| turns(index, &changes, &keys, ui))
}

/// What the series of the kernels of an architecture change.
#[derive(Debug, Default)]
struct Change {
    code: ChangedCode,
    /// The releases of the kernels that they are on, of which the places of the code are.
    releases: BTreeSet<String>,
}

impl Change {
    /// The parts of it that cases reached on a covered kernel: a name for it, and the cases. Lines are others in another release.
    fn parts<'a>(&'a self, reach: &'a Reach, by: &CoveredBy) -> Vec<(Option<&'a String>, &'a Ran)> {
        let functions = self.code.names.iter();
        let functions = functions.filter_map(|name| Some((Some(name), reach.function(name)?)));
        let same = |release: &String| {
            by.kernel
                .strip_suffix(release.as_str())
                .is_some_and(|label| label.ends_with('-'))
        };
        let places = self.code.places.iter().filter(|_| self.releases.iter().any(same));
        let lines = places.flat_map(|(file, lines)| reach.near(file, lines.clone()));
        functions.chain(lines.map(|ran| (None, ran))).collect()
    }
}

/// Why it is not known what comes first.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// Earlier runs.
    #[error(transparent)]
    Past(#[from] PastError),
    /// A line table.
    #[error(transparent)]
    Lines(#[from] io::Error),
}

impl From<IndexError> for OrderError {
    fn from(error: IndexError) -> Self {
        Self::Past(error.into())
    }
}

fn turns(
    index: &Index,
    changes: &BTreeMap<Arch, Change>,
    keys: &[HistoryKey],
    ui: &Ui,
) -> Result<Turns, OrderError> {
    let covered = last_covered(index, keys)?;
    let sources = sources(keys, &covered, false);
    // Cases by the kernel that they were covered on; the same case on several kernels is one.
    let mut together: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for last in sources.iter().flatten() {
        together.entry(last.by.id).or_default().insert(last.number);
    }
    let mut asked = Asked::of(index);
    let mut turns = Vec::new();
    let (mut functions, mut by) = (BTreeSet::new(), Vec::new());
    for (key, source) in keys.iter().zip(&sources) {
        let (Some(last), Some(change)) = (source, changes.get(&key.arch)) else {
            turns.push((key.clone(), Turn::Unknown));
            continue;
        };
        let mut parts = change.parts(asked.reach(&last.by)?, &last.by);
        parts.retain(|(_, ran)| ran.has(last.number));
        let reach_it = |ran: &Ran| {
            together[&last.by.id]
                .iter()
                .filter(|case| ran.has(**case))
                .count()
        };
        let turn = match parts.iter().map(|(_, ran)| reach_it(ran)).min() {
            Some(_) if last.failed => Turn::Failed,
            Some(fewest) => Turn::First(fewest),
            None if change.code.may_be_more => Turn::Unknown,
            None => Turn::Last,
        };
        turns.push((key.clone(), turn));
        if !parts.is_empty() {
            functions.extend(parts.into_iter().filter_map(|(name, _)| name.cloned()));
            by.push(&*last.by);
        }
    }
    let Some(counts) = Counts::of(&turns) else {
        return Ok(Turns::default());
    };
    ui.line(&format!(
        "first: {} of {} cases, which reach {}{} (as covered on {})",
        counts.first,
        counts.all,
        some_of(&functions),
        match counts.lead == counts.first {
            true => String::new(),
            false => format!(", led by {} that {}", counts.lead, counts.why),
        },
        in_words(&by)
    ));
    Ok(turns.into_iter().collect())
}

/// How many cases come first.
struct Counts {
    /// Of so many.
    all: usize,
    /// Those that reach the change.
    first: usize,
    /// Those of them that come before the others.
    lead: usize,
    /// What these do.
    why: &'static str,
}

impl Counts {
    /// `None` where none comes first, or all do alike.
    fn of(turns: &[(HistoryKey, Turn)]) -> Option<Self> {
        let leading = turns.iter().map(|(_, turn)| *turn).min()?;
        let with = |is_meant: &dyn Fn(Turn) -> bool| {
            let those = turns.iter().filter(|(_, turn)| is_meant(*turn));
            cases(those.map(|(key, _)| key))
        };
        let counts = Self {
            all: with(&|_| true),
            first: with(&Turn::is_first),
            lead: with(&|turn| turn == leading),
            why: match leading {
                Turn::Failed => "failed",
                _ => "alone reach a part of it",
            },
        };
        (counts.first > 0 && counts.lead < counts.all).then_some(counts)
    }
}

/// How many cases these are; the same one on several kernels is one.
fn cases<'a>(keys: impl IntoIterator<Item = &'a HistoryKey>) -> usize {
    let case = |key: &'a HistoryKey| (key.arch, &key.suite, &key.variant, &key.case);
    keys.into_iter().map(case).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::samples::{Results, key, told};

    /// A series that changes these functions of 6.12.
    fn functions(names: &[&str]) -> Change {
        Change {
            code: ChangedCode {
                names: names.iter().map(|&name| name.to_owned()).collect(),
                ..ChangedCode::default()
            },
            releases: ["6.12".to_owned()].into(),
        }
    }

    /// The turns of these cases of a kernel with such a series, and what is told.
    fn of(results: &Results, change: Change, cases: &[&str]) -> (Vec<Turn>, Vec<String>) {
        let changes = BTreeMap::from([(Arch::S390x, change)]);
        // On both kernels of a comparison.
        let sides = ["base", "new"].map(|label| cases.iter().map(move |case| key(label, case)));
        let keys: Vec<HistoryKey> = sides.into_iter().flatten().collect();
        let ui = Ui::silent();
        let turns = turns(&results.index(), &changes, &keys, &ui).unwrap();
        let all: Vec<Turn> = keys.iter().map(|key| turns.of(key)).collect();
        let (base, new) = all.split_at(cases.len());
        assert_eq!(base, new);
        (base.to_vec(), told(&ui))
    }

    #[test]
    fn what_reaches_the_change_is_first_and_what_does_not_is_last() {
        let results = Results::of(false, &[("B01", &[0]), ("B02", &[0, 0x40]), ("B03", &[])]);
        let (turns, told) = of(
            &results,
            functions(&["boots", "offline_pages", "gone"]),
            &["B01", "B02", "B03", "B09"],
        );
        assert_eq!(turns, [Turn::Last, Turn::First(1), Turn::Last, Turn::Unknown]);
        let line = "first: 1 of 4 cases, which reach offline_pages (as covered on debian:trixie-6.12 in RUN)";
        assert_eq!(told, [line]);
        // What does not reach these may reach another.
        let mut change = functions(&["offline_pages"]);
        change.code.may_be_more = true;
        let (turns, _) = of(&results, change, &["B01", "B02"]);
        assert_eq!(turns, [Turn::Unknown, Turn::First(1)]);
    }

    #[test]
    fn what_few_reach_is_before_what_many_do() {
        let cases: &[(&str, &[u64])] = &[
            ("B01", &[0]),
            ("B02", &[0, 0x40]),
            ("B03", &[0, 0x40]),
            ("B04", &[0, 0x80]),
        ];
        let all = ["B01", "B02", "B03", "B04"];
        let at = |lines| Change {
            code: ChangedCode {
                places: vec![("mm/a.c".to_owned(), lines)],
                ..functions(&["online_pages"]).code
            },
            ..functions(&[])
        };
        // All run the function, two of them line 17, and one line 18.
        let results = Results::of(true, cases);
        let (turns, told) = of(&results, at(17..=18), &all);
        assert_eq!(
            turns,
            [Turn::First(4), Turn::First(2), Turn::First(2), Turn::First(1)]
        );
        let line = "first: 4 of 4 cases, which reach online_pages, led by 1 that alone reach a part of it (as covered on debian:trixie-6.12 in RUN)";
        assert_eq!(told, [line]);
        let (turns, _) = of(&results, at(10..=16), &all);
        assert_eq!(
            turns,
            [Turn::First(4), Turn::First(2), Turn::First(2), Turn::First(4)]
        );
        // Cases that are not asked for do not count.
        let (turns, _) = of(&results, at(17..=18), &all[..2]);
        assert_eq!(turns, [Turn::First(2), Turn::First(1)]);
        // The lines of another release are others, and of this one they are not known.
        let other = Change {
            releases: ["6.1".to_owned()].into(),
            ..at(17..=18)
        };
        let no_lines = Results::of(false, cases);
        for (results, change) in [(&results, other), (&no_lines, at(17..=18))] {
            assert_eq!(of(results, change, &all), (vec![Turn::Unknown; 4], Vec::new()));
        }
    }

    #[test]
    fn what_failed_is_before_what_few_reach() {
        let cases: &[(&str, &[u64])] = &[
            ("B01", &[0, 0x40]),
            ("B02", &[0]),
            ("B03", &[0]),
            ("B04", &[0xc0]),
            ("B05", &[0]),
        ];
        let verdicts = [
            ("B01", "pass"),
            ("B02", "fail"),
            ("B03", "known"),
            ("B04", "fail"),
            ("B05", "error"),
        ];
        let results = Results::judged(false, cases, &verdicts);
        let (turns, told) = of(
            &results,
            functions(&["online_pages", "offline_pages"]),
            &["B01", "B02", "B03", "B04", "B05"],
        );
        // What does not reach it fails as ever, and an error says nothing of the kernel.
        assert_eq!(
            turns,
            [
                Turn::First(1),
                Turn::Failed,
                Turn::Failed,
                Turn::Last,
                Turn::First(4)
            ]
        );
        let line = "first: 4 of 5 cases, which reach offline_pages, online_pages, led by 2 that failed (as covered on debian:trixie-6.12 in RUN)";
        assert_eq!(told, [line]);
    }

    #[test]
    fn where_nothing_would_change_nothing_is_said() {
        let results = Results::of(false, &[("B01", &[0]), ("B02", &[0, 0x40])]);
        for (changed, cases) in [
            (&["online_pages"][..], &["B01", "B02"][..]),
            (&["boots"], &["B01", "B02"]),
            (&["online_pages"], &["B08", "B09"]),
            (&[], &["B01", "B02"]),
        ] {
            let (turns, told) = of(&results, functions(changed), cases);
            assert_eq!(
                (turns, told),
                (vec![Turn::Unknown; cases.len()], Vec::new()),
                "{changed:?}"
            );
        }
    }
}
