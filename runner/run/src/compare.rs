// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing two kernels: the same plan for both, and what was seen of it read back.

use std::collections::BTreeMap;

use camino::Utf8Path;

use crate::plan::{Filter, Job, LoadedSuite, PlannedKernel, plan};
use base::{Arch, fault::Verdict};
use compare::{CaseRounds, CaseSeen};
use record::{CaseKey, CaseName, CaseRecord, NotUnique, SeenError, Side, Sides, check_unique};

/// On the command line of both: where a kernel lies in memory decides which pages are left of it.
const NO_KASLR: &str = "nokaslr";

/// Plans the same for two kernels. `sides` has the places of each side's kernels among `kernels`, one for each architecture in one order.
///
/// Jobs of both kernels take turns, so that they meet the same load of the host.
///
/// # Errors
/// Two cases have the same name.
pub(crate) fn compare_jobs(
    suites: &[std::sync::Arc<LoadedSuite>],
    kernels: &[PlannedKernel],
    sides: &Sides<Vec<usize>>,
    filter: &Filter,
) -> Result<Vec<Job>, NotUnique> {
    let of = |side: Side| {
        let places = sides.of(side);
        let own: Vec<PlannedKernel> = places.iter().map(|at| kernels[*at].clone()).collect();
        let jobs = plan(suites, &own, filter)?.into_iter();
        Ok(jobs.map(move |job| on_side(job, side, places)))
    };
    let turns = of(Side::Base)?.zip(of(Side::New)?);
    let jobs: Vec<Job> = turns.flat_map(|(base, new)| [base, new]).collect();
    check_unique(jobs.iter().map(|job| &job.key))?;
    Ok(jobs)
}

fn on_side(mut job: Job, side: Side, places: &[usize]) -> Job {
    job.key.side = Some(side);
    job.kernel = places[job.kernel];
    job.cmdline.insert(0, NO_KASLR.to_owned());
    job
}

/// A case of a comparison: the same on both kernels.
pub(crate) fn compared(key: &CaseKey) -> (Arch, CaseName) {
    (key.arch, key.name())
}

/// Cases of a comparison in the order of the plan, each with the pairs that were run.
pub(crate) type Rounds = BTreeMap<(Arch, usize), CaseRounds>;

/// What was seen of a case on one kernel, and how long it took in milliseconds.
type Ran = (CaseSeen, u64);

/// The pairs of a comparison, as their guests end.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// All cases, in the order of the plan.
    pub(crate) planned: Vec<(Arch, CaseName)>,
    /// Those that have run on both kernels.
    pub(crate) rounds: Rounds,
    /// Those that have run on one of them, in this run.
    halves: BTreeMap<(Arch, usize), Sides<Option<Ran>>>,
}

impl Pairs {
    pub(crate) fn of(planned: Vec<(Arch, CaseName)>) -> Self {
        Self {
            planned,
            rounds: Rounds::new(),
            halves: BTreeMap::new(),
        }
    }

    /// Another run begins: what has no other half by now gets none.
    pub(crate) fn begin(&mut self) {
        self.halves.clear();
    }

    /// Takes a case of a run that is over; with the one of the other kernel it is a pair, and the answer has all pairs of the case.
    ///
    /// # Errors
    /// What was seen of it does not read.
    pub(crate) fn take(
        &mut self,
        case: &CaseRecord,
        run: &Utf8Path,
    ) -> Result<Option<&CaseRounds>, SeenError> {
        let compared = compared(&case.key);
        let at = self.planned.iter().position(|planned| *planned == compared);
        let (Some(at), Some(side)) = (at, case.key.side) else {
            return Ok(None);
        };
        let millis = u64::try_from(case.seconds.duration().as_millis()).unwrap_or(u64::MAX);
        let half = self.halves.entry((compared.0, at)).or_default();
        *half.of_mut(side) = Some((seen_of(case, run)?, millis));
        if half.base.is_none() || half.new.is_none() {
            return Ok(None);
        }
        let Some(Sides {
            base: Some((base, base_millis)),
            new: Some((new, new_millis)),
        }) = self.halves.remove(&(compared.0, at))
        else {
            return Ok(None);
        };
        let rounds = self.rounds.entry((compared.0, at)).or_insert_with(|| CaseRounds {
            name: compared.1,
            rounds: Vec::new(),
            millis: (base_millis, new_millis),
        });
        rounds.rounds.push((base, new));
        Ok(Some(rounds))
    }
}

/// Reads what was seen of a case.
fn seen_of(case: &CaseRecord, run: &Utf8Path) -> Result<CaseSeen, SeenError> {
    let ledgers = case.ledgers(run)?;
    let observed = case.observed(run)?;
    // A case that passed wrote both.
    if case.verdict == Verdict::Pass && (ledgers.is_none() || observed.is_none()) {
        let missing = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!(
                "`{}` has no ledgers.json or no observed.json, and the case passed",
                run.join(case.files())
            ),
        );
        return Err(missing.into());
    }
    // One that did not pass may not have come to its first ledger.
    let ledgers = ledgers.unwrap_or_default();
    Ok(CaseSeen::of(case, &ledgers, observed.as_ref()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn case(id: &str, side: Option<Side>, verdict: &str) -> CaseRecord {
        let mut case: CaseRecord = serde_json::from_value(json!({
            "key": { "arch": "s390x", "kernel": "k", "config": "", "suite": "blocks", "variant": "", "case": id },
            "name": "x", "suite_file": "x.yaml", "line": 1, "verdict": verdict, "reason": null, "known": null,
            "attempts": [{ "verdict": verdict, "reason": null, "seconds": 1.5 }], "seconds": 1.5, "steps": [], "findings": [],
            "command_line": "", "ended": null, "facts": {}, "log_excerpt": "",
        }))
        .unwrap();
        case.key.side = side;
        case
    }

    /// What cases of one run say, in a folder without files: the case that has one more pair, and how many.
    fn take(pairs: &mut Pairs, case: &CaseRecord) -> Option<(String, usize)> {
        let pair = pairs.take(case, "nowhere".into()).unwrap();
        pair.map(|pair| (pair.name.case.clone(), pair.rounds.len()))
    }

    #[test]
    fn a_pair_is_there_when_both_kernels_are_done() {
        let [b01, b02] = ["B01", "B02"].map(|id| compared(&case(id, None, "fail").key));
        let mut pairs = Pairs::of(vec![b01, b02]);
        let (base, new) = (Some(Side::Base), Some(Side::New));
        assert_eq!(take(&mut pairs, &case("B01", new, "fail")), None);
        assert_eq!(take(&mut pairs, &case("B02", base, "fail")), None);
        assert_eq!(
            take(&mut pairs, &case("B01", base, "error")),
            Some(("B01".to_owned(), 1))
        );
        assert_eq!(
            take(&mut pairs, &case("B09", base, "fail")),
            None,
            "nobody planned it"
        );
        assert_eq!(take(&mut pairs, &case("B01", None, "fail")), None, "of no side");
        pairs.begin();
        assert_eq!(
            take(&mut pairs, &case("B02", new, "fail")),
            None,
            "its other half was of another run"
        );
        assert_eq!(take(&mut pairs, &case("B01", base, "fail")), None);
        assert_eq!(
            take(&mut pairs, &case("B01", new, "fail")),
            Some(("B01".to_owned(), 2))
        );
        // It must have left its files.
        assert!(pairs.take(&case("B02", base, "pass"), "nowhere".into()).is_err());
    }
}
