// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing two kernels: the same plan for both, and what was seen of it read back.

use std::collections::BTreeMap;

use camino::Utf8Path;

use crate::plan::{Filter, Job, LoadedSuite, PlannedKernel, plan};
use base::{Arch, fault::Verdict};
use compare::{CaseRounds, CaseSeen};
use record::{CaseKey, CaseName, CaseRecord, NotUnique, RunRecord, SeenError, Side, Sides, check_unique};

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

/// Puts the cases of a run with those of the pairs before it. `planned` gives their order.
///
/// # Errors
/// What was seen of a case does not read.
pub(crate) fn add_round(
    rounds: &mut Rounds,
    planned: &[(Arch, CaseName)],
    record: &RunRecord,
) -> Result<(), SeenError> {
    /// What was seen, and how long it took in milliseconds.
    type Ran = Option<(CaseSeen, u64)>;
    let mut cases: BTreeMap<(Arch, usize), Sides<Ran>> = BTreeMap::new();
    for case in &record.cases {
        let compared = compared(&case.key);
        let Some(at) = planned.iter().position(|planned| *planned == compared) else {
            continue;
        };
        let Some(side) = case.key.side else { continue };
        let millis = u64::try_from(case.seconds.duration().as_millis()).unwrap_or(u64::MAX);
        let seen = seen_of(case, &record.folder)?;
        *cases.entry((compared.0, at)).or_default().of_mut(side) = Some((seen, millis));
    }
    for ((arch, at), sides) in cases {
        let (Some((base, base_millis)), Some((new, new_millis))) = (sides.base, sides.new) else {
            continue;
        };
        let case = rounds.entry((arch, at)).or_insert_with(|| CaseRounds {
            name: planned[at].1.clone(),
            rounds: Vec::new(),
            millis: (base_millis, new_millis),
        });
        case.rounds.push((base, new));
    }
    Ok(())
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
