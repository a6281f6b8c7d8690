// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cases of an earlier run once more: the suites, kernels and cases that they were.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    plan::{Filter, Job, LoadedSuite, PlannedKernel, go_around},
    select::{SelectError, Selected, Selection, kernels},
};
use base::{
    Arch,
    fault::{Blame, Blamed},
    ui::Ui,
};
use record::{CaseKey, KernelFacts, RunFacts, RunRecord};
use suite::KernelIssue;
use supply::{
    cache::Cache,
    kernel::{KernelName, KernelSource, KernelSpec, SourceError},
    series::SeriesError,
};

/// Why cases of an earlier run cannot be run again.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The name of a kernel.
    #[error(transparent)]
    Kernel(#[from] SourceError),
    /// A file that is no kernel any more.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A series.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// A series has other patches by now.
    #[error("the series of `{named}` is not what it was in that run: {now}, and then {then}")]
    OtherSeries {
        /// How the kernel was named.
        named: String,
        /// Its label today.
        now: String,
        /// Its label then.
        then: String,
    },
    /// The record has no such kernel.
    #[error(
        "the record in `{folder}` does not say where the kernel `{kernel}` was from: its run.json lists no such kernel"
    )]
    Unknown {
        /// The run.
        folder: String,
        /// The kernel.
        kernel: String,
    },
    /// A run that goes on would have two kernels under one name.
    #[error("{label} for {arch} is not the kernel that the run in `{folder}` had")]
    OtherKernel {
        /// How the kernel was named.
        label: String,
        /// Its architecture.
        arch: Arch,
        /// The run.
        folder: String,
    },
    /// The suites have none of the cases any more.
    #[error("the suites of today have no such case any more")]
    NoCase,
    /// The suites lack some of the cases.
    #[error("{missing} of the {all} cases that are left are not in the suites of today")]
    Missing {
        /// How many are not there.
        missing: usize,
        /// How many are left.
        all: usize,
    },
}

impl Blamed for AgainError {
    fn blame(&self) -> Blame {
        match self {
            Self::Series(error) => error.blame(),
            Self::Select(error) => error.blame(),
            _ => Blame::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::OtherKernel { .. } => "start a new run: one run tells of one kernel",
            Self::Missing { .. } => "start a new run",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// What is selected for some cases of an earlier run: its suites on the kernels of those cases. More than those are in the plan.
///
/// # Errors
/// A kernel is not what it was, or its record does not say where it was from.
pub fn selection_of<'a>(
    record: &RunRecord,
    keys: &[CaseKey],
    suites: &'a [Arc<LoadedSuite>],
    qemus: BTreeMap<Arch, PathBuf>,
) -> Result<Selection<'a>, AgainError> {
    let mut specs: Vec<KernelSpec> = Vec::new();
    for kernel in &record.facts.kernels {
        let spec = spec_of(kernel)?;
        if keys.iter().any(|key| kernel.is_of(key)) && !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    if let (true, Some(key)) = (specs.is_empty(), keys.first()) {
        return Err(AgainError::Unknown {
            folder: record.folder.to_string(),
            kernel: key.kernel_name(),
        });
    }
    let arches: BTreeSet<Arch> = keys.iter().map(|key| key.arch).collect();
    Ok(Selection {
        kernels: kernels(&specs, &Vec::from_iter(arches))?,
        suites,
        filter: Filter::default(),
        reaches: None,
        qemus,
    })
}

/// The kernel that a run had, as it was named then.
fn spec_of(then: &KernelFacts) -> Result<KernelSpec, AgainError> {
    let named = then.source.as_ref().unwrap_or(&then.label);
    let mut spec: KernelSpec = named.parse()?;
    if let (None, KernelSource::Source(build), Some(_)) = (&spec.name, &spec.source, &then.source) {
        let cache = Cache::open(&Ui::silent()).map_err(SeriesError::from)?;
        let now = build.label(&cache)?;
        if now != then.label {
            return Err(AgainError::OtherSeries {
                named: named.clone(),
                now,
                then: then.label.clone(),
            });
        }
    }
    if let KernelSource::Image(_) | KernelSource::Packages(..) = spec.source {
        // What it was called may have depended on the other kernels of that run.
        spec.name = spec.name.or_else(|| KernelName::new(&then.label));
    }
    Ok(spec)
}

/// Leaves the jobs that are what these cases were. The kernel may have a newer release by now: the answer has those, a line for each.
///
/// # Errors
/// None is.
pub fn replayed(
    selected: &mut Selected,
    then: &RunFacts,
    keys: &[CaseKey],
) -> Result<Vec<String>, AgainError> {
    let kernels = selected.rig.planned();
    let jobs = &mut selected.jobs;
    jobs.retain(|job| keys.iter().any(|key| is_again(key, &job.key)));
    match jobs.is_empty() {
        true => Err(AgainError::NoCase),
        false => Ok(renewed(then, jobs, &kernels)),
    }
}

/// Lets the jobs go round an issue of their kernel that went round it in the earlier run; the others show it.
pub fn around_again(selected: &mut Selected, record: &RunRecord, issues: &[Arc<KernelIssue>]) {
    let kernels = selected.rig.planned();
    let went = |job: &Job| {
        let mut those = record.cases.iter().filter(|case| is_again(&case.key, &job.key));
        those.any(|case| case.around.is_some())
    };
    go_around(&mut selected.jobs, &kernels, issues, |job, _| !went(job));
}

/// Whether a job is what a case of an earlier run was: what its kernel was asked for by is the same.
fn is_again(then: &CaseKey, now: &CaseKey) -> bool {
    (then.arch, &then.label, then.name()) == (now.arch, &now.label, now.name())
}

/// Kernels of jobs that have another release than in an earlier run.
fn renewed(then: &RunFacts, jobs: &[Job], kernels: &[PlannedKernel]) -> Vec<String> {
    let now = jobs.iter().map(|job| &kernels[job.kernel]);
    let renewed: BTreeSet<(&str, &str, &str)> = now
        .filter_map(|now| {
            let same = |then: &&KernelFacts| (then.arch, &then.label) == (now.arch, &now.label);
            let then = then.kernels.iter().find(same)?;
            let release = now.release.as_deref()?;
            (then.release != release).then_some((&*now.label, &*then.release, release))
        })
        .collect();
    renewed
        .into_iter()
        .map(|(label, then, now)| format!("{label} is {now} by now; that run had {then}"))
        .collect()
}

/// Leaves the jobs of these cases, under their keys: those that a run which was cut off did not end.
///
/// # Errors
/// A kernel is not what it was, or the suites lack a case.
pub fn resumed(selected: &mut Selected, record: &RunRecord, keys: &[CaseKey]) -> Result<(), AgainError> {
    for then in &record.facts.kernels {
        let mut kernels = selected.rig.kernels.iter().map(|prepared| &prepared.kernel);
        let now = kernels.find(|now| (&now.label, now.arch) == (&then.label, then.arch));
        if now.is_some_and(|now| now.sha256 != then.image_sha256) {
            return Err(AgainError::OtherKernel {
                label: then.label.clone(),
                arch: then.arch,
                folder: record.folder.to_string(),
            });
        }
    }
    let planned: HashMap<&CaseKey, &Job> = selected.jobs.iter().map(|job| (&job.key, job)).collect();
    let again = |key: &CaseKey| {
        let job = planned.get(&key.without_round())?;
        Some(job.called(key.clone()))
    };
    let jobs: Vec<Job> = keys.iter().filter_map(again).collect();
    if jobs.len() != keys.len() {
        return Err(AgainError::Missing {
            missing: keys.len() - jobs.len(),
            all: keys.len(),
        });
    }
    selected.jobs = jobs;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use suite::Suite;

    const SUITE: &str = "\
suite: x
cases:
  - { id: A, name: a, steps: [log: { has: x }] }
  - { id: B, name: b, steps: [log: { has: x }] }
";

    fn facts(label: &str, release: &str) -> RunFacts {
        serde_json::from_value(serde_json::json!({
            "format": 1, "id": "20260914T101530Z-3f9a1c", "started": "2026-09-14T10:15:30Z", "memrig": "0.1.0", "argv": [],
            "host": { "uname": "", "cpus": 1, "memory": "1G" }, "qemus": [], "images": [], "suites": [], "seed": 0,
            "kernels": [{ "label": label, "release": release, "arch": "x86_64", "image_sha256": "" }],
        }))
        .unwrap()
    }

    /// The jobs of today on one kernel, and what an earlier run of one case named it.
    fn found(label: &str, then: &str, now: &str) -> (Vec<String>, Vec<String>) {
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", SUITE).unwrap(),
        });
        let kernels = [PlannedKernel {
            label: label.to_owned(),
            named: label.to_owned(),
            arch: Arch::X86_64,
            release: Some(now.to_owned()),
            config: None,
        }];
        let mut jobs = plan(&[suite], &kernels, &Filter::default()).unwrap();
        let facts = facts(label, then);
        let mut key = jobs[1].key.clone();
        key.release = Some(facts.kernels[0].release.clone());
        jobs.retain(|job| is_again(&key, &job.key));
        let renewed = renewed(&facts, &jobs, &kernels);
        (jobs.iter().map(|job| job.key.case.clone()).collect(), renewed)
    }

    #[test]
    fn a_case_is_found_again_on_whatever_release_its_kernel_has_by_now() {
        let (jobs, renewed) = found("debian:trixie", "6.12.107+deb13-amd64", "6.12.117+deb13-amd64");
        assert_eq!(jobs, ["B"]);
        assert_eq!(
            renewed,
            ["debian:trixie is 6.12.117+deb13-amd64 by now; that run had 6.12.107+deb13-amd64"]
        );
        let (jobs, renewed) = found("tree:../linux-next", "7.2.0-rc1-dirty", "7.2.0-rc1-dirty");
        assert_eq!((jobs, renewed.len()), (vec!["B".to_owned()], 0));
    }
}
