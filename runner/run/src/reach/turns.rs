// SPDX-License-Identifier: MIT OR Apache-2.0
//! When cases have their turns: what reaches the change of a series comes first.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use camino::Utf8Path;

use super::asked::{Asked, keys_of, last_covered};
use crate::{
    cover::{ChangedFunctions, changed_functions},
    past::{PastError, ask},
    plan::{Job, Turn, Turns, in_words, some_of, sources},
    session::Rig,
};
use base::{Arch, ui::Ui};
use record::index::{HistoryKey, Index, IndexError};

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
    let mut changed: BTreeMap<Arch, ChangedFunctions> = BTreeMap::new();
    for prepared in &rig.kernels {
        let functions = changed_functions(&prepared.kernel)?;
        let all = changed.entry(prepared.kernel.arch).or_default();
        all.names.extend(functions.names);
        all.may_be_more |= functions.may_be_more;
    }
    if changed.values().all(|changed| changed.names.is_empty()) || !results.is_dir() {
        return Ok(Turns::default());
    }
    let keys = keys_of(jobs.iter().filter(|job| job.skip.is_none()));
    ask(results, ui, |index| turns(index, &changed, &keys, ui))
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
    changed: &BTreeMap<Arch, ChangedFunctions>,
    keys: &[HistoryKey],
    ui: &Ui,
) -> Result<Turns, OrderError> {
    let covered = last_covered(index, keys)?;
    let mut asked = Asked::of(index);
    let mut turns = Vec::new();
    let (mut functions, mut by) = (BTreeSet::new(), Vec::new());
    for (key, source) in keys.iter().zip(sources(keys, &covered, false)) {
        let (Some(last), Some(changed)) = (source, changed.get(&key.arch)) else {
            turns.push((key.clone(), Turn::Unknown));
            continue;
        };
        let reach = asked.reach(&last.by)?;
        let ran = |name: &&String| reach.function(name).is_some_and(|ran| ran.has(last.number));
        let its: Vec<&String> = changed.names.iter().filter(ran).collect();
        let turn = match (its.is_empty(), changed.may_be_more) {
            (false, _) => Turn::First,
            (true, false) => Turn::Last,
            (true, true) => Turn::Unknown,
        };
        turns.push((key.clone(), turn));
        if turn == Turn::First {
            functions.extend(its.into_iter().cloned());
            by.push(&*last.by);
        }
    }
    let first = turns.iter().filter(|(_, turn)| *turn == Turn::First);
    let (some, all) = (cases(first.map(|(key, _)| key)), cases(keys));
    if some == 0 || some == all {
        return Ok(Turns::default());
    }
    ui.line(&format!(
        "first: {some} of {all} cases, which reach {} (as covered on {})",
        some_of(&functions),
        in_words(&by)
    ));
    Ok(turns.into_iter().collect())
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

    /// The turns of these cases of a new kernel, whose series changes these functions, and what is told.
    fn of(results: &Results, changed: &[&str], cases: &[&str]) -> (Vec<Turn>, Vec<String>) {
        of_some(results, changed, false, cases)
    }

    /// The same where the series may change others.
    fn of_some(
        results: &Results,
        changed: &[&str],
        may_be_more: bool,
        cases: &[&str],
    ) -> (Vec<Turn>, Vec<String>) {
        let names = changed.iter().map(|&name| name.to_owned()).collect();
        let changed = BTreeMap::from([(Arch::S390x, ChangedFunctions { names, may_be_more })]);
        // On both kernels of a comparison.
        let sides = ["base", "new"].map(|label| cases.iter().map(move |case| key(label, case)));
        let keys: Vec<HistoryKey> = sides.into_iter().flatten().collect();
        let ui = Ui::silent();
        let turns = turns(&results.index(), &changed, &keys, &ui).unwrap();
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
            &["boots", "offline_pages", "gone"],
            &["B01", "B02", "B03", "B09"],
        );
        assert_eq!(turns, [Turn::Last, Turn::First, Turn::Last, Turn::Unknown]);
        let line = "first: 1 of 4 cases, which reach offline_pages (as covered on debian:trixie-6.12 in RUN)";
        assert_eq!(told, [line]);
        // What does not reach these may reach another.
        let (turns, _) = of_some(&results, &["offline_pages"], true, &["B01", "B02"]);
        assert_eq!(turns, [Turn::Unknown, Turn::First]);
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
            let (turns, told) = of(&results, changed, cases);
            assert_eq!(
                (turns, told),
                (vec![Turn::Unknown; cases.len()], Vec::new()),
                "{changed:?}"
            );
        }
    }
}
