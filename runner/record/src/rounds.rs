// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rounds of a run say together. Pure.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{CaseKey, RunRecord};
use base::fault::Verdict;

/// A run whose cases were run several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rounds {
    /// How many rounds the run has.
    pub rounds: u32,
    /// How many cases came to an end in two rounds or more.
    pub cases: usize,
    /// Those of them that did not come to the same each time, in the order of the run.
    pub differ: Vec<Differing>,
}

/// A case that came to different verdicts in the rounds of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// Which case it is, without its rounds.
    pub key: CaseKey,
    /// Its name in words.
    pub name: String,
    /// The rounds that came to each verdict, counted from 1, in order.
    pub verdicts: BTreeMap<Verdict, Vec<u32>>,
}

impl Rounds {
    /// The rounds of a run; `None` if its cases were run once. A round that did not come to its end says nothing.
    pub fn of(record: &RunRecord) -> Option<Self> {
        let mut cases: Vec<Differing> = Vec::new();
        let mut known: HashMap<CaseKey, usize> = HashMap::new();
        for case in &record.cases {
            let Some(round) = case.key.round.filter(|_| !record.unfinished.contains(&case.key)) else {
                continue;
            };
            let key = case.key.without_round();
            let at = *known.entry(key.clone()).or_insert(cases.len());
            if at == cases.len() {
                cases.push(Differing {
                    key,
                    name: case.name.clone(),
                    verdicts: BTreeMap::new(),
                });
            }
            cases[at].verdicts.entry(case.verdict).or_default().push(round);
        }
        let keys = record.cases.iter().map(|case| &case.key).chain(&record.not_run);
        let rounds = keys.filter_map(|key| key.round).max()?;
        cases.retain(|case| case.verdicts.values().map(Vec::len).sum::<usize>() > 1);
        let all = cases.len();
        cases.retain(|case| case.verdicts.len() > 1);
        for rounds in cases.iter_mut().flat_map(|case| case.verdicts.values_mut()) {
            rounds.sort_unstable();
        }
        Some(Self {
            rounds,
            cases: all,
            differ: cases,
        })
    }
}
