// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which differences count: those that are there in every pair.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    names,
    pair::{Difference, Pair, Silence, verdict_and_reason},
    record::{ArchComparison, KernelSide, Kind, NotCompared, Row},
    seen::{CaseSeen, Dimension},
};
use ::record::CaseName;
use base::fault::Verdict;

/// One case, on both kernels, as often as it was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRounds {
    /// Which case.
    pub name: CaseName,
    /// What was seen on the base and on the new kernel, pair by pair.
    pub rounds: Vec<(CaseSeen, CaseSeen)>,
    /// How long the first pair took on the base and on the new kernel, in milliseconds.
    pub millis: (u64, u64),
}

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Judged {
    /// How many things were seen in the first pair that could be compared.
    pub(crate) observations: usize,
    /// What differs in every pair.
    pub(crate) differences: Vec<Difference>,
    /// What differed in the first pair, and not in each, or in fewer pairs than are wanted.
    pub(crate) unsteady: Vec<Difference>,
    /// Why nothing can be said, where nothing can.
    pub(crate) not: Option<Silence>,
}

/// Judges a case by all of its pairs; a difference counts only if it was seen in `wanted` of them.
pub(crate) fn judge(case: &CaseRounds, wanted: usize) -> Judged {
    let pairs: Vec<Pair> = case
        .rounds
        .iter()
        .map(|(base, new)| Pair::of(base, new))
        .collect();
    let mut compared = pairs.iter().filter_map(|pair| match pair {
        Pair::Compared {
            observations,
            differences,
        } => Some((*observations, differences)),
        Pair::Not(_) => None,
    });
    let Some((observations, first)) = compared.next() else {
        let silence = pairs.into_iter().find_map(|pair| match pair {
            Pair::Not(silence) => Some(silence),
            Pair::Compared { .. } => None,
        });
        return Judged {
            not: Some(silence.unwrap_or_else(|| broken("it was not run to its end"))),
            ..Judged::default()
        };
    };
    let rest: Vec<&Vec<Difference>> = compared.map(|(_, differences)| differences).collect();
    let (differences, unsteady): (Vec<_>, Vec<_>) = first.iter().cloned().partition(|difference| {
        let again = |others: &&Vec<Difference>| {
            others
                .iter()
                .any(|other| same_thing(difference, other) && apart(difference, other))
        };
        rest.len() + 1 >= wanted && rest.iter().all(again)
    });
    let not = if !unsteady.is_empty() && rest.len() + 1 < wanted {
        // A difference is no chance because nobody could look again.
        Some("it differs, and could not be run on one more pair")
    } else if ended_apart(first, &rest) {
        // Where a guest died early, what would have come later differs from nothing.
        Some("its verdict differs in one pair and not in another, so that not all of it could be compared")
    } else {
        None
    };
    Judged {
        observations,
        differences,
        unsteady,
        not: not.map(broken),
    }
}

/// Whether the verdict of the case differs in some pairs and not in others.
fn ended_apart(first: &[Difference], rest: &[&Vec<Difference>]) -> bool {
    let differs = |differences: &[Difference]| {
        differences
            .iter()
            .any(|difference| difference.dimension == Dimension::Verdict && difference.text == "case")
    };
    rest.iter()
        .any(|differences| differs(differences) != differs(first))
}

fn broken(why: &str) -> Silence {
    Silence {
        verdict: Verdict::Error,
        why: why.to_owned(),
    }
}

/// Whether two differences are about the same thing.
fn same_thing(one: &Difference, other: &Difference) -> bool {
    (one.moment, one.dimension, &one.name) == (other.moment, other.dimension, &other.name)
        || (one.dimension, other.dimension, &one.text, &other.text)
            == (
                Dimension::Verdict,
                Dimension::Verdict,
                &"case".to_owned(),
                &"case".to_owned(),
            )
}

/// Whether no value of the base was seen on the new kernel, or the other way round.
fn apart(one: &Difference, other: &Difference) -> bool {
    one.base != other.new && one.new != other.base
}

/// Whether a case has to be run on one more pair: it has differed in all pairs up to now and they are fewer than `wanted`, or nothing
/// could be compared because something broke. One pair more than wanted is the end of it.
pub fn open(case: &CaseRounds, wanted: usize) -> bool {
    let broke =
        |(base, new): &&(CaseSeen, CaseSeen)| [base, new].iter().any(|seen| seen.verdict == Verdict::Error);
    let good = case.rounds.iter().filter(|round| !broke(round)).count();
    let differs = || !judge(case, good).differences.is_empty();
    case.rounds.len() <= wanted && good < wanted && (good == 0 || differs())
}

/// Puts the cases of an architecture together; a difference counts if it was seen in `wanted` pairs.
pub fn summed(base: KernelSide, new: KernelSide, cases: &[CaseRounds], wanted: usize) -> ArchComparison {
    let mut sum = ArchComparison {
        base,
        new,
        cases: 0,
        observations: 0,
        differing: 0,
        rows: Vec::new(),
        unsteady: Vec::new(),
        not_compared: Vec::new(),
        boot_memory: Vec::new(),
        unseen: Vec::new(),
        failing: 0,
        millis: (0, 0),
    };
    let (mut rows, mut unsteady) = (Rows::new(), Rows::new());
    let mut not: BTreeMap<Silence, Vec<CaseName>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for case in cases {
        let judged = judge(case, wanted);
        sum.millis.0 += case.millis.0;
        sum.millis.1 += case.millis.1;
        for difference in &judged.unsteady {
            add(&mut unsteady, difference, &case.name);
        }
        if let Some(silence) = judged.not {
            not.entry(silence).or_default().push(case.name.clone());
            continue;
        }
        sum.cases += 1;
        sum.observations += judged.observations;
        sum.differing += judged.differences.len();
        let memory = |seen: &CaseSeen| seen.boot_memory;
        if let Some((base, new)) = case.rounds.first()
            && let (Some(base), Some(new)) = (memory(base), memory(new))
        {
            let pair = (base, new);
            if base != new && !sum.boot_memory.contains(&pair) {
                sum.boot_memory.push(pair);
            }
        }
        if let Some((base, new)) = case.rounds.first() {
            let fails = |seen: &CaseSeen| matches!(seen.verdict, Verdict::Fail | Verdict::Known);
            sum.failing += usize::from(fails(base) && fails(new));
            seen.extend(shown(base, new));
        }
        // Another verdict says what follows from it too.
        let verdict = judged
            .differences
            .iter()
            .find(|difference| difference.dimension == Dimension::Verdict && difference.text == "case");
        let told: Vec<&Difference> = match verdict {
            Some(verdict) => vec![verdict],
            None => first_partings(&judged.differences),
        };
        for difference in told {
            add(&mut rows, difference, &case.name);
        }
    }
    if sum.cases > 0 {
        let hidden = |dimension: &&Dimension| !seen.contains(dimension);
        sum.unseen = HIDEABLE.iter().filter(hidden).copied().collect();
    }
    sum.rows = in_order(rows);
    sum.unsteady = in_order(unsteady);
    sum.not_compared = not
        .into_iter()
        .map(|(Silence { verdict, why }, cases)| NotCompared { verdict, why, cases })
        .collect();
    sum
}

/// What a kernel may have no means to show.
const HIDEABLE: [Dimension; 2] = [Dimension::Notifiers, Dimension::Locks];

/// Which of that both of them showed.
fn shown(base: &CaseSeen, new: &CaseSeen) -> Vec<Dimension> {
    let shows = |dimension: Dimension, seen: &CaseSeen| {
        let mut moments = seen.moments.iter();
        // The order of locks is asked for at the end alone.
        match dimension {
            Dimension::Locks => moments
                .next_back()
                .is_some_and(|end| !end.unseen.contains(&dimension)),
            _ => moments.any(|moment| !moment.unseen.contains(&dimension) && moment.text != "end"),
        }
    };
    HIDEABLE
        .into_iter()
        .filter(|dimension| shows(*dimension, base) && shows(*dimension, new))
        .collect()
}

/// Differences that are told together.
type Rows = BTreeMap<(Kind, Dimension, String, Option<String>, Option<String>), Row>;

/// Of each thing the first moment at which it differs: what follows is told with it.
fn first_partings(differences: &[Difference]) -> Vec<&Difference> {
    let mut told = BTreeSet::new();
    differences
        .iter()
        .filter(|difference| told.insert((difference.dimension, &difference.name)))
        .collect()
}

/// What got worse first, and what comes first in a case before what comes later.
fn in_order(rows: Rows) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by_key(|row| (row.kind, row.first.moment, row.first.dimension));
    rows
}

/// Puts a difference with those that are the same in other cases.
fn add(rows: &mut Rows, difference: &Difference, case: &CaseName) {
    let kind = kind(difference);
    // Why a case does not pass differs from case to case; that it does not is one thing.
    let word = |told: &Option<String>| Some(verdict_and_reason(told.as_deref()?).0.to_owned());
    let (base, new) = match difference.dimension {
        Dimension::Verdict => (word(&difference.base), word(&difference.new)),
        _ => (difference.base.clone(), difference.new.clone()),
    };
    let name = names::any_block(&difference.name);
    let key = (kind, difference.dimension, name, base, new);
    let row = rows.entry(key).or_insert_with(|| Row {
        kind,
        first: difference.clone(),
        cases: Vec::new(),
        others: BTreeSet::new(),
    });
    if difference.name != row.first.name {
        row.others.insert(difference.name.clone());
    }
    if row.cases.last() != Some(case) {
        row.cases.push(case.clone());
    }
}

/// Whether a difference is for the worse, for the better, or neither.
fn kind(difference: &Difference) -> Kind {
    let worse = |told: &Option<String>| match told.as_deref().map(|told| verdict_and_reason(told).0) {
        None => 0,
        Some("pass") => 1,
        Some("known") => 2,
        Some(_) => 3,
    };
    let (base, new) = match difference.dimension {
        Dimension::Verdict => (worse(&difference.base), worse(&difference.new)),
        Dimension::Log => (
            i32::from(difference.base.is_some()),
            i32::from(difference.new.is_some()),
        ),
        _ => return Kind::Change,
    };
    match new.cmp(&base) {
        std::cmp::Ordering::Greater => Kind::Regression,
        std::cmp::Ordering::Less => Kind::Improvement,
        std::cmp::Ordering::Equal => Kind::Change,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seen::{Moment, Value};

    /// A case with a ledger of one counter after boot and after one step.
    pub(crate) fn seen(verdict: Verdict, values: [&str; 2]) -> CaseSeen {
        let moment = |(index, text): (usize, &str)| {
            let value = Value {
                text: text.to_owned(),
                slack: 0,
            };
            Moment {
                step: (index > 0).then_some(1),
                text: format!("m{index}"),
                values: BTreeMap::from([((Dimension::Ledger, "c".to_owned()), value)]),
                ..Moment::default()
            }
        };
        CaseSeen {
            verdict,
            reason: (verdict != Verdict::Pass).then(|| "why".to_owned()),
            boot_memory: Some(7),
            moments: values.into_iter().enumerate().map(moment).collect(),
        }
    }

    pub(crate) fn case(rounds: &[(CaseSeen, CaseSeen)]) -> CaseRounds {
        CaseRounds {
            name: CaseName {
                suite: "s".to_owned(),
                case: "c".to_owned(),
                variant: String::new(),
            },
            rounds: rounds.to_vec(),
            millis: (1, 2),
        }
    }

    pub(crate) fn passed(values: [&str; 2]) -> CaseSeen {
        seen(Verdict::Pass, values)
    }

    fn side() -> KernelSide {
        KernelSide {
            release: "6".to_owned(),
            sha256: String::new(),
        }
    }

    #[test]
    fn a_difference_counts_only_when_each_pair_has_it_with_values_apart() {
        let differing = (passed(["1", "+1"]), passed(["1", "+2"]));
        let same = (passed(["1", "+1"]), passed(["1", "+1"]));
        let swapped = (passed(["1", "+2"]), passed(["1", "+1"]));
        let once = case(std::slice::from_ref(&differing));
        assert!(open(&once, 2));
        assert_eq!(judge(&once, 2).unsteady.len(), 1, "one pair proves nothing");
        let both = case(&[differing.clone(), differing.clone()]);
        assert!(!open(&both, 2));
        assert_eq!(judge(&both, 2).differences.len(), 1);
        for other in [same.clone(), swapped] {
            let judged = judge(&case(&[differing.clone(), other]), 2);
            assert_eq!((judged.differences.len(), judged.unsteady.len()), (0, 1));
        }
        assert!(!open(&case(&[same]), 2));
    }

    #[test]
    fn what_broke_is_run_again_and_says_nothing_in_the_end() {
        let broken = (seen(Verdict::Error, ["1", "+1"]), passed(["1", "+1"]));
        let differing = (passed(["1", "+1"]), passed(["1", "+2"]));
        assert!(open(&case(std::slice::from_ref(&broken)), 2));
        assert!(open(&case(&[broken.clone(), differing.clone()]), 2));
        assert!(!open(
            &case(&[broken.clone(), differing.clone(), differing.clone()]),
            2
        ));
        assert!(!open(&case(&[broken.clone(), broken.clone(), broken.clone()]), 2));
        let once = [broken.clone(), differing, broken.clone()];
        let sum = summed(side(), side(), &[case(&once)], 2);
        assert!(sum.broke(), "nobody knows whether it differs");
        assert_eq!((sum.cases, sum.rows.len(), sum.unsteady.len()), (0, 0, 1));
        let sum = summed(side(), side(), &[case(&[])], 2);
        assert!(
            sum.broke(),
            "a case that was planned and not run is not forgotten"
        );
        let sum = summed(side(), side(), &[case(&[broken])], 2);
        assert_eq!((sum.cases, sum.not_compared.len()), (0, 1));
        assert!(sum.broke());
    }

    #[test]
    fn a_case_that_ends_early_in_one_pair_says_nothing() {
        // The guest died at boot once, so that the rest of that pair had nothing to be laid beside.
        let mut early = seen(Verdict::Fail, ["1", "+1"]);
        early.moments.truncate(1);
        let died = (early, passed(["1", "+2"]));
        let differing = (passed(["1", "+1"]), passed(["1", "+2"]));
        for rounds in [[died.clone(), differing.clone()], [differing, died]] {
            let sum = summed(side(), side(), &[case(&rounds)], 2);
            assert_eq!((sum.cases, sum.rows.len()), (0, 0));
            assert!(sum.broke() && !sum.unsteady.is_empty(), "{sum:?}");
        }
    }

    #[test]
    fn a_verdict_that_differs_tells_the_rest_and_is_for_the_worse_or_the_better() {
        let round = (seen(Verdict::Fail, ["1", "+1"]), passed(["1", "+2"]));
        let back = (round.1.clone(), round.0.clone());
        for (round, kind) in [(round, Kind::Improvement), (back, Kind::Regression)] {
            let sum = summed(side(), side(), &[case(&[round.clone(), round])], 2);
            assert_eq!(sum.rows.len(), 1);
            assert_eq!((sum.rows[0].kind, sum.count(kind), sum.differing), (kind, 1, 2));
            assert_eq!(sum.millis, (1, 2));
        }
        let known = (seen(Verdict::Known, ["1", "+1"]), passed(["1", "+1"]));
        let sum = summed(side(), side(), &[case(&[known.clone(), known])], 2);
        assert_eq!(sum.count(Kind::Improvement), 1);
    }

    proptest! {
        #[test]
        fn a_kernel_is_equal_to_itself(values in prop::collection::vec(any::<[u8; 2]>(), 1..4)) {
            let rounds: Vec<_> = values
                .iter()
                .map(|[a, b]| {
                    let seen = passed([&a.to_string(), &format!("{b:+}")]);
                    (seen.clone(), seen)
                })
                .collect();
            let case = case(&rounds);
            prop_assert!(!open(&case, 2));
            prop_assert_eq!(summed(side(), side(), &[case], 2).differing, 0);
        }

        #[test]
        fn nothing_that_a_kernel_shows_by_chance_counts(values in prop::collection::vec(any::<[bool; 4]>(), 2..5)) {
            // Both kernels show the same values by chance; a difference that counts must never have been seen the other way round.
            let text = |set: bool| if set { "+1" } else { "+0" };
            let rounds: Vec<_> = values
                .iter()
                .map(|[a, b, ..]| (passed(["1", text(*a)]), passed(["1", text(*b)])))
                .collect();
            let mixed = values.iter().any(|[a, ..]| *a) && values.iter().any(|[a, ..]| !*a);
            let judged = judge(&case(&rounds), 2);
            prop_assert!(!mixed || judged.differences.is_empty());
        }
    }
}
