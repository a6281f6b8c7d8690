// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing two kernels: the same plan for both, and what was seen of it read back.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::{Deserialize, de::DeserializeOwned};

use crate::plan::{Filter, Job, LoadedSuite, PlannedKernel, plan};
use base::{
    Arch,
    fault::{Blame, Blamed, Verdict},
    named,
};
use compare::{CaseName, CaseRounds, CaseSeen};
use record::{CaseKey, CaseRecord, LedgerEntry, NotUnique, ObservedCase, RunRecord, check_unique};

/// The kernel before, as the configuration in the keys of its cases.
const BASE: &str = "base";

/// The kernel after.
const NEW: &str = "new";

/// On the command line of both: where a kernel lies in memory decides which pages are left of it.
const NO_KASLR: &str = "nokaslr";

/// Plans the same for two kernels: the first half of `kernels` is the base on each architecture, the second half the new one.
///
/// Jobs of both kernels take turns, so that they meet the same load of the host.
///
/// # Errors
/// Two cases have the same name.
pub(crate) fn compare_jobs(
    suites: &[std::sync::Arc<LoadedSuite>],
    kernels: &[PlannedKernel],
    filter: &Filter,
) -> Result<Vec<Job>, NotUnique> {
    let (base, new) = kernels.split_at(kernels.len() / 2);
    let mut jobs = Vec::new();
    for (base, new) in plan(suites, base, filter)?
        .into_iter()
        .zip(plan(suites, new, filter)?)
    {
        let half = kernels.len() / 2;
        jobs.push(on_side(base, BASE, 0));
        jobs.push(on_side(new, NEW, half));
    }
    check_unique(jobs.iter().map(|job| &job.key))?;
    Ok(jobs)
}

fn on_side(mut job: Job, side: &str, offset: usize) -> Job {
    job.key.config = side.to_owned();
    job.kernel += offset;
    job.cmdline.insert(0, NO_KASLR.to_owned());
    job
}

/// A case of a comparison: the same on both kernels.
pub(crate) fn compared(key: &CaseKey) -> (Arch, CaseName) {
    let name = CaseName {
        suite: key.suite.clone(),
        case: key.case.clone(),
        variant: key.variant.clone(),
    };
    (key.arch, name)
}

/// Cases of a comparison in the order of the plan, each with the pairs that were run.
pub(crate) type Rounds = BTreeMap<(Arch, usize), CaseRounds>;

/// Why what was seen of a case cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SeenError {
    /// A file.
    #[error("what was seen of a case cannot be read")]
    Io(#[from] std::io::Error),
    /// Its text.
    #[error("`{path}` does not read")]
    Json {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Blamed for SeenError {
    fn blame(&self) -> Blame {
        Blame::Bench
    }
}

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
    type Side = Option<(CaseSeen, u64)>;
    let mut sides: BTreeMap<(Arch, usize), [Side; 2]> = BTreeMap::new();
    for case in &record.cases {
        let compared = compared(&case.key);
        let Some(at) = planned.iter().position(|planned| *planned == compared) else {
            continue;
        };
        let side = usize::from(case.key.config == NEW);
        let millis = u64::try_from(case.seconds.duration().as_millis()).unwrap_or(u64::MAX);
        let seen = seen_of(case, &record.folder)?;
        sides.entry((compared.0, at)).or_default()[side] = Some((seen, millis));
    }
    for ((arch, at), sides) in sides {
        let [Some((base, base_millis)), Some((new, new_millis))] = sides else {
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
    #[derive(Deserialize)]
    struct Ledgers {
        ledgers: Vec<LedgerEntry<serde_json::Value>>,
    }
    let folder = run.join(case.files());
    let ledgers: Option<Ledgers> = json(&folder.join("ledgers.json"))?;
    let observed: Option<ObservedCase> = json(&folder.join("observed.json"))?;
    // A case that passed wrote both.
    if case.verdict == Verdict::Pass && (ledgers.is_none() || observed.is_none()) {
        let missing = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!("`{folder}` has no ledgers.json or no observed.json, and the case passed"),
        );
        return Err(missing.into());
    }
    let ledgers = ledgers.map_or_else(Vec::new, |ledgers| ledgers.ledgers);
    Ok(CaseSeen::of(case, &ledgers, observed.as_ref()))
}

/// A file, if it is there.
fn json<T: DeserializeOwned>(path: &Utf8Path) -> Result<Option<T>, SeenError> {
    let bytes = match named::read_whole(path.as_std_path()) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| SeenError::Json {
            path: path.to_string(),
            source,
        })
}
