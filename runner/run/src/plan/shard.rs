// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts of a plan for several machines. Pure: every machine that has the same plan finds the same parts.

use std::{cmp::Reverse, collections::BTreeMap, fmt, str::FromStr};

use sha2::{Digest, Sha256};

use super::jobs::Job;
use record::{PlanFacts, RunPart, ShardFacts};

/// One part of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// How jobs find their part.
    pub by: By,
    /// Which part, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// How jobs find their part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// So that the parts take about as long: the longest job first, each to the part that has the least to do.
    Slice,
    /// By a hash of the job's name: a job stays in its part while others come and go.
    Hash,
}

impl By {
    /// The word that a shard is named with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Slice => "slice",
            Self::Hash => "hash",
        }
    }
}

/// The text names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no shard: expected slice:M/N or hash:M/N with M from 1 to N, such as slice:2/5")]
pub struct BadShard(String);

impl FromStr for Shard {
    type Err = BadShard;

    fn from_str(text: &str) -> Result<Self, BadShard> {
        let bad = || BadShard(text.to_owned());
        let (by, part) = text.split_once(':').ok_or_else(bad)?;
        let (number, of) = part.split_once('/').ok_or_else(bad)?;
        let number: u32 = number.parse().map_err(|_| bad())?;
        let of: u32 = of.parse().map_err(|_| bad())?;
        let by = match by {
            "slice" => By::Slice,
            "hash" => By::Hash,
            _ => return Err(bad()),
        };
        if number == 0 || number > of {
            return Err(bad());
        }
        Ok(Self { by, number, of })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.by.word(), self.number, self.of)
    }
}

/// How long a job is taken to last where nothing is known, in milliseconds.
const UNKNOWN: u64 = 10_000;

impl Shard {
    /// The jobs of this part, in their order. `times` has milliseconds by the id of the case, or by that which a plan has where the kernel is
    /// still to be got; all machines need the same.
    pub fn part(&self, jobs: Vec<Job>, times: &BTreeMap<String, u64>) -> Vec<Job> {
        let ids: Vec<String> = jobs.iter().map(|job| job.key.id()).collect();
        let time = |job: &Job, id: &str| {
            times
                .get(id)
                .or_else(|| times.get(&job.key.without_release().id()))
                .copied()
        };
        let jobs_with_ids = jobs.iter().zip(&ids);
        let times = jobs_with_ids.filter_map(|(job, id)| Some((id.clone(), time(job, id)?)));
        let owners = self.owners(&ids, &times.collect());
        let mine = self.number - 1;
        jobs.into_iter()
            .zip(owners)
            .filter(|(_, owner)| *owner == mine)
            .map(|(job, _)| job)
            .collect()
    }

    /// What this part has of other things than jobs: every so many-th, beginning with one of its own.
    pub fn share<T>(&self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        let own = all.into_iter().skip(self.number as usize - 1);
        own.step_by(self.of as usize).collect()
    }

    /// What a run of this part writes down; `jobs` are those of all parts, and `require_all` makes a skip an error.
    pub fn facts(&self, jobs: &[Job], require_all: bool) -> RunPart {
        let cases = jobs.iter().map(|job| (job.key.id(), job.suite.sha256.as_str()));
        RunPart::Shard(ShardFacts {
            how: self.by.word().to_owned(),
            number: self.number,
            of: self.of,
            plan: Some(PlanFacts::of(cases, require_all)),
        })
    }

    /// The part of each job, from 0.
    fn owners(&self, ids: &[String], times: &BTreeMap<String, u64>) -> Vec<u32> {
        match self.by {
            By::Hash => ids.iter().map(|id| hash(id, self.of)).collect(),
            By::Slice => {
                let time = |id: &String| times.get(id).copied().unwrap_or(UNKNOWN);
                let mut order: Vec<usize> = (0..ids.len()).collect();
                order.sort_by_key(|at| (Reverse(time(&ids[*at])), &ids[*at]));
                let mut load = vec![(0u64, 0usize); self.of as usize];
                let mut owners = vec![0; ids.len()];
                for at in order {
                    let least = (0..load.len()).min_by_key(|part| load[*part]).unwrap_or(0);
                    load[least].0 += time(&ids[at]);
                    load[least].1 += 1;
                    owners[at] = least as u32;
                }
                owners
            }
        }
    }
}

fn hash(id: &str, of: u32) -> u32 {
    let digest = Sha256::digest(id);
    let bytes: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
    (u64::from_be_bytes(bytes) % u64::from(of)) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::{Filter, LoadedSuite, PlannedKernel, plan};
    use base::Arch;
    use suite::Suite;

    #[test]
    fn times_of_a_kernel_that_was_still_to_be_got_count_for_its_jobs() {
        let case = |id: &str| format!("  - {{ id: {id}, name: n, steps: [log: {{ has: x }}] }}\n");
        let text = format!("suite: x\ncases:\n{}", ["A", "B", "C"].map(case).concat());
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", &text).unwrap(),
        });
        let jobs = |release: Option<&str>| {
            let kernel = PlannedKernel {
                label: "debian:sid".to_owned(),
                named: "debian:sid".to_owned(),
                arch: Arch::S390x,
                release: release.map(str::to_owned),
                config: None,
            };
            plan(std::slice::from_ref(&suite), &[kernel], &Filter::default()).unwrap()
        };
        let before = jobs(None);
        let times = before.iter().map(|job| job.key.id()).zip([1000, 1000, 50_000]);
        let shard: Shard = "slice:1/2".parse().unwrap();
        let mine = shard.part(jobs(Some("7.2.13-s390x")), &times.collect());
        // The long one has a part for itself.
        let cases: Vec<&str> = mine.iter().map(|job| job.key.case.as_str()).collect();
        assert_eq!(cases, ["C"]);
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in [
            "",
            "2/5",
            "slice:0/5",
            "slice:6/5",
            "hash:1/0",
            "row:1/2",
            "slice:1",
            "slice:-1/2",
            "slice:a/b",
        ] {
            assert_eq!(text.parse::<Shard>(), Err(BadShard(text.to_owned())));
        }
        assert_eq!("hash:2/5".parse::<Shard>().unwrap().to_string(), "hash:2/5");
    }

    proptest! {
        #[test]
        fn every_job_is_in_exactly_one_part(n in 0usize..60, of in 1u32..7, times in proptest::collection::vec(1u64..50_000, 60), slice: bool) {
            let ids: Vec<String> = (0..n).map(|n| format!("class/{n}")).collect();
            let times: BTreeMap<String, u64> = ids.iter().cloned().zip(times).collect();
            let by = if slice { By::Slice } else { By::Hash };
            let all: Vec<Vec<u32>> = (1..=of).map(|number| Shard { by, number, of }.owners(&ids, &times)).collect();
            // Each machine finds the same owners, and every owner is a part.
            prop_assert!(all.iter().all(|owners| owners == &all[0]));
            prop_assert!(all[0].iter().all(|owner| *owner < of));
            if slice && n > 0 {
                let load = |part: u32| -> u64 {
                    ids.iter().zip(&all[0]).filter(|(_, owner)| **owner == part).map(|(id, _)| times[id]).sum()
                };
                let loads: Vec<u64> = (0..of).map(load).collect();
                let longest = times.values().max().copied().unwrap_or(0);
                prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= longest);
            }
        }
    }

    proptest! {
        #[test]
        fn the_shares_of_all_parts_are_all_there_is(of in 1u32..20, n in 0u32..40) {
            let part = |number| Shard { by: By::Slice, number, of };
            let mut shares: Vec<u32> = (1..=of).flat_map(|number| part(number).share(0..n)).collect();
            shares.sort_unstable();
            prop_assert_eq!(shares, (0..n).collect::<Vec<_>>());
        }
    }
}
