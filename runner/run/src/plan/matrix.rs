// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a matrix to jobs. Pure.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    jobs::{Job, LoadedSuite, PlannedKernel, plan},
    selection::Filter,
};
use record::{
    NotUnique, check_unique,
    index::{HistoryKey, Seen},
};
use suite::{Coordinates, Matrix};

/// Makes the jobs of a matrix. `suites` are its suites with the names that it has for them.
///
/// # Errors
///
/// Two jobs cannot be told apart.
pub(crate) fn matrix_jobs(
    matrix: &Matrix,
    suites: &[(String, Arc<LoadedSuite>)],
    kernels: &[PlannedKernel],
) -> Result<Vec<Job>, NotUnique> {
    let mut jobs = Vec::new();
    for (name, suite) in suites {
        for job in plan(std::slice::from_ref(suite), kernels, &Filter::default())? {
            let choices: Vec<String> = job.variant.choices.iter().map(ToString::to_string).collect();
            for words in matrix.all_cmdlines() {
                let here = Coordinates {
                    kernel: &kernels[job.kernel].named,
                    arch: job.key.arch,
                    suite: name,
                    case: &job.key.case,
                    variant: &choices,
                    cmdline: &words,
                };
                if matrix.takes(here) {
                    jobs.push(with_words(&job, words));
                }
            }
        }
    }
    check_unique(jobs.iter().map(|job| &job.key))?;
    Ok(jobs)
}

/// The job with words added to the kernel's command line; they become part of its variant.
fn with_words(job: &Job, words: Vec<String>) -> Job {
    let mut job = job.clone();
    if !words.is_empty() {
        let variant = [job.key.variant.as_str(), &words.join(" ")];
        let parts: Vec<&str> = variant.into_iter().filter(|part| !part.is_empty()).collect();
        job.key.variant = parts.join(" ");
        job.cmdline.extend(words);
    }
    job
}

/// How long each job took in earlier runs, in milliseconds by the id of the case: the median of its last ten.
///
/// Jobs of which nothing is known are not in the answer.
pub(crate) fn times(jobs: &[Job], before: &[Seen]) -> BTreeMap<String, u64> {
    let mut seen: BTreeMap<&HistoryKey, Vec<u64>> = BTreeMap::new();
    for one in before.iter().filter(|one| one.attempts > 0) {
        let times = seen.entry(&one.key).or_default();
        if times.len() < 10 {
            times.push(one.seconds.as_millis());
        }
    }
    jobs.iter()
        .filter_map(|job| {
            let mut times = seen.get(&HistoryKey::of(&job.key))?.clone();
            times.sort_unstable();
            let middle = *times.get(times.len() / 2)?;
            Some((job.key.id(), middle))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use suite::Suite;

    const SUITE: &str = "\
suite: x
variants: { memmap_on_memory: [off, on] }
cases:
  - { id: A, name: a, steps: [log: { has: x }] }
  - { id: B, name: b, needs: { arch: [s390x] }, variants: {}, steps: [log: { has: x }] }
";

    fn jobs(text: &str) -> Vec<String> {
        let suite = Arc::new(LoadedSuite {
            file: "suites/x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", SUITE).unwrap(),
        });
        let kernel = |label: &str, arch| PlannedKernel {
            label: format!("of-{label}"),
            named: label.to_owned(),
            arch,
            release: Some("6.1".to_owned()),
            config: None,
        };
        let kernels = Arch::ALL
            .map(|arch| [kernel("a", arch), kernel("b", arch)])
            .concat();
        let matrix = Matrix::parse("m.yaml", text, &|_| Ok(()), &|_| Ok(())).unwrap();
        let jobs = matrix_jobs(&matrix, &[("x".to_owned(), suite)], &kernels).unwrap();
        jobs.iter()
            .map(|job| {
                format!(
                    "{} {} {} {} {}",
                    job.key.arch,
                    job.key.kernel_name(),
                    job.key.case,
                    job.key.variant,
                    job.cmdline.join(" ")
                )
            })
            .collect()
    }

    #[test]
    fn words_of_a_command_line_make_jobs_of_their_own() {
        let text = "matrix: m\nkernels: [a]\narches: [s390x]\nsuites: [x]\nvariants: [memmap_on_memory=on]\ncmdlines: [[], [p=1, q]]\n\
            exclude:\n  - { case: A, cmdline: [p=1, q] }\ninclude:\n  - { kernel: b, suite: x, arch: x86_64, variant: memmap_on_memory=off }\n";
        assert_eq!(
            jobs(text),
            [
                "x86_64 of-b-6.1 A memmap_on_memory=off memory_hotplug.memmap_on_memory=off",
                "s390x of-a-6.1 A memmap_on_memory=on memory_hotplug.memmap_on_memory=on",
                "s390x of-a-6.1 B  ",
                "s390x of-a-6.1 B p=1 q p=1 q",
            ]
        );
    }
}
