// SPDX-License-Identifier: MIT OR Apache-2.0
//! The jobs of a run as they wait to be started: in which order, and what each can take.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use camino::Utf8Path;

use super::schedule::Admission;
use crate::plan::{Job, Queued, Turns, order};
use base::ByteSize;
use record::{CaseKey, RunRecord, index::HistoryKey};

/// How long cases took in an earlier run.
#[derive(Debug, Default)]
pub(super) struct Times(HashMap<CaseKey, Duration>);

/// How long a case is taken to last of which nothing is known.
const UNKNOWN_TIME: Duration = Duration::from_secs(5);

impl Times {
    /// Those of the run that began last. Without one nothing is known, which only costs time.
    pub(super) fn of_latest(results: &Utf8Path) -> Self {
        let cases =
            RunRecord::read(&results.join("latest")).map_or_else(|_| Vec::new(), |(record, _)| record.cases);
        Self(
            cases
                .into_iter()
                .map(|case| (case.key.without_round(), case.seconds.duration()))
                .collect(),
        )
    }

    fn of(&self, key: &CaseKey) -> Duration {
        self.0.get(&key.without_round()).copied().unwrap_or(UNKNOWN_TIME)
    }
}

/// What QEMU takes beside the guest's memory, in bytes: most of it is translated code. Seen: 100 MiB after a case.
pub(crate) const QEMU_OVERHEAD: ByteSize = ByteSize::mib(256);

/// The jobs in the order in which they are started, with what each can take. Those that are skipped come first: they cost nothing, and a run that ends
/// early has told of them.
///
/// The two jobs of a case that is compared follow each other, so that they meet the same load of the host, and a difference is seen as soon as it can be.
pub(super) fn in_order(jobs: Vec<Job>, times: &Times, turns: &Turns) -> Vec<Admission<Job>> {
    let (skipped, waiting): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.skip.is_some());
    let mut queued: Vec<Queued<Vec<Job>>> = Vec::new();
    // Where the first job of a case that is compared has its place.
    let mut compared: HashMap<CaseKey, usize> = HashMap::new();
    for (at, job) in waiting.into_iter().enumerate() {
        if job.key.side.is_some() {
            match compared.entry(on_either_side(&job.key)) {
                Entry::Occupied(place) => {
                    queued[*place.get()].job.push(job);
                    continue;
                }
                Entry::Vacant(place) => _ = place.insert(queued.len()),
            }
        }
        queued.push(Queued {
            arch: job.key.arch,
            // A job without a template is a group of its own.
            group: job.template.unwrap_or(usize::MAX - at),
            turn: turns.of(&HistoryKey::of(&job.key)),
            expected: times.of(&job.key),
            job: vec![job],
        });
    }
    let waiting = order(queued).into_iter().flatten();
    skipped
        .into_iter()
        .chain(waiting)
        .map(|job| Admission {
            memory: match &job.skip {
                Some(_) => ByteSize::bytes(0),
                None => job.memory() + QEMU_OVERHEAD,
            },
            job,
        })
        .collect()
}

/// What the jobs of a case on both kernels of a comparison have in common.
fn on_either_side(key: &CaseKey) -> CaseKey {
    CaseKey {
        label: String::new(),
        release: None,
        side: None,
        ..key.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        compare::compare_jobs,
        plan::{Filter, LoadedSuite, Turn},
        session::nowhere,
    };
    use record::{Side, Sides};
    use suite::Suite;

    const SUITE: &str = "suite: x
machine: { memory: 1GiB, hotplug: 1GiB }
cases:
  - { id: A, name: a, steps: [add: { as: b }] }
  - { id: B, name: b, steps: [add: { as: b }] }
  - { id: C, name: c, machine: { memory: 2GiB }, steps: [add: { as: b }] }
  - { id: D, name: d, machine: { memory: 2GiB }, steps: [add: { as: b }] }
";

    /// The jobs of a comparison of two kernels, whose cases A and B share a template on each, and C and D another.
    fn compared() -> Vec<Job> {
        let suite = Suite::parse("x.yaml", SUITE).unwrap_or_else(|errors| panic!("{errors}"));
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite,
        });
        let sides = Sides {
            base: vec![0],
            new: vec![2],
        };
        let kernels = nowhere(3).planned();
        let mut jobs = compare_jobs(&[suite], &kernels, &sides, &Filter::default()).unwrap();
        for job in &mut jobs {
            let machine = usize::from(matches!(&*job.key.case, "C" | "D"));
            job.template = Some(machine * 2 + usize::from(job.key.side == Some(Side::New)));
        }
        jobs
    }

    fn ordered(times: &[(&str, u64)], turns: &[(&str, Turn)]) -> String {
        let jobs = compared();
        let of = |case| jobs.iter().filter(move |job| job.key.case == case);
        // Only one of the kernels was in the last run.
        let base = |case| of(case).find(|job| job.key.side == Some(Side::Base)).unwrap();
        let times = times.iter();
        let times = times.map(|&(case, seconds)| (base(case).key.clone(), Duration::from_secs(seconds)));
        let times = Times(times.collect());
        let turns = turns
            .iter()
            .flat_map(|&(case, turn)| of(case).map(move |job| (HistoryKey::of(&job.key), turn)));
        let turns = turns.collect();
        let ordered = in_order(jobs.clone(), &times, &turns).into_iter();
        let side = |job: &Job| job.key.side.map_or("", Side::word);
        let told = ordered.map(|waiting| format!("{}-{}", waiting.job.key.case, side(&waiting.job)));
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn both_kernels_run_a_case_one_after_the_other() {
        let plain = "A-base A-new B-base B-new C-base C-new D-base D-new";
        assert_eq!(ordered(&[], &[]), plain);
        let long = ordered(&[("D", 60), ("C", 3), ("B", 9)], &[]);
        assert_eq!(long, "D-base D-new C-base C-new B-base B-new A-base A-new");
    }

    #[test]
    fn what_reaches_the_change_is_first_of_the_first_group() {
        let turns = [("D", Turn::First(1)), ("C", Turn::Last), ("A", Turn::Last)];
        let long = [("A", 60)];
        assert_eq!(
            ordered(&long, &turns),
            "D-base D-new C-base C-new B-base B-new A-base A-new"
        );
    }

    #[test]
    fn no_group_that_reaches_the_change_waits_until_another_is_through() {
        let turns = [
            ("D", Turn::First(1)),
            ("C", Turn::First(1)),
            ("A", Turn::First(2)),
        ];
        assert_eq!(
            ordered(&[("C", 60)], &turns),
            "D-base D-new A-base A-new C-base C-new B-base B-new",
            "C takes long, and shows no more than D"
        );
    }
}
