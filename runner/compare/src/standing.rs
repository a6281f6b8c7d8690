// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one more pair of guests says of a case, while others are still to come.

use super::{
    judge::{CaseRounds, judge},
    pair::{Difference, verdict_and_reason},
    seen::{CaseSeen, Dimension},
};
use ::record::CaseName;
use base::{Arch, fault::Verdict, shortened};

/// Longest value in a line, in characters.
const WIDE: usize = 44;

/// How a case stands after the pairs of guests that have run it up to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing differs, or nothing could be compared.
    Alike,
    /// It differs in all pairs.
    Differs {
        /// What differs first; that is the verdict, wherever that differs.
        first: Box<Difference>,
        /// How many others do.
        others: usize,
        /// In how many pairs.
        pairs: usize,
        /// In how many it has to, to count.
        wanted: usize,
    },
    /// It differed before, and in the last pair it did not.
    NotAgain,
}

/// How a case stands; a difference counts if it is seen in `wanted` pairs.
fn standing(case: &CaseRounds, wanted: usize) -> Standing {
    let broke = |seen: &CaseSeen| seen.verdict == Verdict::Error;
    let good = case
        .rounds
        .iter()
        .filter(|(base, new)| !broke(base) && !broke(new));
    let pairs = good.count();
    let judged = judge(case, pairs);
    let is_verdict = |difference: &&Difference| difference.dimension == Dimension::Verdict;
    let first = judged.differences.iter().find(is_verdict);
    match first.or(judged.differences.first()) {
        Some(first) => Standing::Differs {
            first: Box::new(first.clone()),
            others: judged.differences.len() - 1,
            pairs,
            wanted,
        },
        None if judged.unsteady.is_empty() => Standing::Alike,
        None => Standing::NotAgain,
    }
}

/// How a case stands, if the last pair has changed that.
pub fn changed_standing(case: &CaseRounds, wanted: usize) -> Option<Standing> {
    let before = CaseRounds {
        rounds: case
            .rounds
            .split_last()
            .map_or(&[][..], |(_, before)| before)
            .to_vec(),
        ..case.clone()
    };
    let now = standing(case, wanted);
    (now != standing(&before, wanted)).then_some(now)
}

impl Standing {
    /// It in a line.
    pub fn told(&self, case: &CaseName, arch: Arch) -> String {
        let Self::Differs {
            first,
            others,
            pairs,
            wanted,
        } = self
        else {
            let word = match self {
                Self::NotAgain => "did not differ again",
                _ => "does not differ",
            };
            return format!("{word}: {case} {arch}");
        };
        let others = match others {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        let certain = match (pairs, wanted) {
            (_, 1) => String::new(),
            (pairs, wanted) if pairs < wanted => format!(" (in {pairs} of {wanted} pairs, not certain yet)"),
            (pairs, _) => format!(" (in {pairs} pairs)"),
        };
        format!("differs: {case} {arch} - {}{others}{certain}", in_short(first))
    }
}

/// A difference in a few words.
fn in_short(difference: &Difference) -> String {
    let dimension = difference.dimension.to_string();
    let step = match difference.step {
        Some(step) => format!("step {step} `{}`: ", shortened(&difference.text, WIDE)),
        None => String::new(),
    };
    let name = match &difference.name {
        name if *name == dimension => String::new(),
        name => format!(" {}", shortened(name, WIDE)),
    };
    let value = |value: &Option<String>| match (value, difference.dimension) {
        (None, _) => "absent".to_owned(),
        (Some(value), Dimension::Verdict) => verdict_and_reason(value).0.to_owned(),
        (Some(value), _) => shortened(value, WIDE),
    };
    let (base, new) = (value(&difference.base), value(&difference.new));
    format!("{step}{dimension}{name} {base} -> {new}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CaseSeen,
        judge::tests::{case, passed, seen},
    };

    /// What each pair changes.
    fn changes(rounds: &[(CaseSeen, CaseSeen)], wanted: usize) -> Vec<Option<String>> {
        let after = |pairs| {
            let case = case(&rounds[..pairs]);
            changed_standing(&case, wanted).map(|standing| standing.told(&case.name, Arch::S390x))
        };
        (1..=rounds.len()).map(after).collect()
    }

    fn told(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn each_change_is_told_once() {
        let differing = (passed(["1", "+1"]), passed(["1", "+2"]));
        let same = (passed(["1", "+1"]), passed(["1", "+1"]));
        let once =
            told("differs: s/c s390x - step 1 `m1`: ledger c +1 -> +2 (in 1 of 2 pairs, not certain yet)");
        let sure = told("differs: s/c s390x - step 1 `m1`: ledger c +1 -> +2 (in 2 pairs)");
        assert_eq!(
            changes(&[differing.clone(), differing.clone()], 2),
            [once.clone(), sure]
        );
        let again = told("did not differ again: s/c s390x");
        assert_eq!(changes(&[differing.clone(), same.clone()], 2), [once, again]);
        let alone = told("differs: s/c s390x - step 1 `m1`: ledger c +1 -> +2");
        assert_eq!(changes(&[differing], 1), [alone]);
        assert_eq!(changes(&[same.clone(), same], 2), [None, None]);
    }

    #[test]
    fn the_verdict_comes_first_and_what_broke_says_nothing() {
        let failed = (passed(["1", "+1"]), seen(Verdict::Fail, ["1", "+2"]));
        let once =
            told("differs: s/c s390x - verdict pass -> fail, and 1 more (in 1 of 2 pairs, not certain yet)");
        let broken = (passed(["1", "+1"]), seen(Verdict::Error, ["1", "+2"]));
        assert_eq!(changes(&[broken.clone(), failed], 2), [None, once]);
        assert_eq!(changes(&[broken], 1), [None]);
    }
}
