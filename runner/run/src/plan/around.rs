// SPDX-License-Identifier: MIT OR Apache-2.0
//! Jobs whose kernel has an issue that shows while any guest of theirs boots: one shows it, the others go round it. Pure.

use std::sync::Arc;

use super::jobs::{Job, PlannedKernel, fits};
use suite::KernelIssue;

/// Lets some jobs of each kernel show an issue, and the others have the words that go round it. `shows` says of a job, with how many of its kernel came
/// before it, whether it is one of those that show it. The answer tells of each kernel and issue, in a line.
///
/// A kernel whose release or configuration is not known yet has none.
pub(crate) fn go_around(
    jobs: &mut [Job],
    kernels: &[PlannedKernel],
    issues: &[Arc<KernelIssue>],
    shows: impl Fn(&Job, usize) -> bool,
) -> Vec<String> {
    let mut told = Vec::new();
    for issue in issues {
        for (at, kernel) in kernels.iter().enumerate() {
            let those = jobs
                .iter_mut()
                .filter(|job| job.kernel == at && has(issue, kernel, job));
            let (mut showing, mut others) = (0, 0);
            for job in those {
                // One that shows another issue is no witness of this one.
                if job.shows.is_none() && shows(job, showing + others) {
                    job.shows = Some(issue.clone());
                    showing += 1;
                } else {
                    job.cmdline.extend(issue.around.iter().cloned());
                    job.around.push(issue.clone());
                    others += 1;
                }
            }
            if showing + others > 0 {
                told.push(format!(
                    "known: {} {}: {}; jobs that are to show it: {showing}; with {}: {others}",
                    kernel.arch,
                    kernel.label,
                    issue.known.reason,
                    issue.around.join(" ")
                ));
            }
        }
    }
    told
}

/// Whether the job's guest would show the issue.
fn has(issue: &KernelIssue, kernel: &PlannedKernel, job: &Job) -> bool {
    let (Some(release), Some(config)) = (&kernel.release, &kernel.config) else {
        return false;
    };
    let is = |option: &str, wanted: &str| fits(config, option, wanted);
    job.skip.is_none() && issue.shows(release, kernel.arch, &job.cmdline, is)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            jobs::{LoadedSuite, plan},
            selection::Filter,
        },
        *,
    };
    use base::Arch;
    use format::kconfig::Kconfig;
    use suite::Suite;

    const SUITE: &str = "\
suite: x
variants: { memmap_on_memory: [off, on] }
cases:
  - { id: A, name: a, steps: [log: { has: x }] }
  - { id: B, name: b, steps: [log: { has: x }] }
  - { id: C, name: c, needs: { kernels: ..6.1 }, steps: [log: { has: x }] }
";
    const ISSUE: &str = "issues: [{ kernels: 6.12, arch: [s390x], config: { CONFIG_DEBUG_VM: y }, cmdline: [memory_hotplug.memmap_on_memory=on], \
        reason: it dies, sign: { kind: panic, pattern: poison }, around: [vm_debug=-], evidence: x }]";

    fn kernel(label: &str, arch: Arch, config: Option<&str>) -> PlannedKernel {
        PlannedKernel {
            label: label.to_owned(),
            named: label.to_owned(),
            arch,
            release: Some("6.12.117".to_owned()),
            config: config.map(|text| Arc::new(Kconfig::parse(text).unwrap())),
        }
    }

    /// `KERNEL CASE VARIANT` of the jobs that show the issue, and of those that go round it.
    fn standing(shows: impl Fn(&Job, usize) -> bool) -> (Vec<String>, Vec<String>, Vec<String>) {
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", SUITE).unwrap_or_else(|errors| panic!("{errors}")),
        });
        let kernels = [
            kernel("debug", Arch::S390x, Some("CONFIG_DEBUG_VM=y")),
            kernel("plain", Arch::S390x, Some("# CONFIG_DEBUG_VM is not set")),
            kernel("unknown", Arch::S390x, None),
            kernel("other", Arch::X86_64, Some("CONFIG_DEBUG_VM=y")),
        ];
        let issues: Vec<_> = KernelIssue::parse("x.yaml", ISSUE)
            .unwrap_or_else(|errors| panic!("{errors}"))
            .into_iter()
            .map(Arc::new)
            .collect();
        let mut jobs = plan(&[suite], &kernels, &Filter::default()).unwrap();
        let told = go_around(&mut jobs, &kernels, &issues, shows);
        let names = |which: &dyn Fn(&Job) -> bool| {
            let those = jobs.iter().filter(|job| which(job));
            those
                .map(|job| format!("{} {} {}", job.key.label, job.key.case, job.key.variant))
                .collect()
        };
        for job in &jobs {
            let worded = job.cmdline.contains(&"vm_debug=-".to_owned());
            assert_eq!(worded, !job.around.is_empty(), "{:?}", job.key);
        }
        (
            names(&|job| job.shows.is_some()),
            names(&|job| !job.around.is_empty()),
            told,
        )
    }

    #[test]
    fn one_job_shows_the_issue_and_the_others_go_round_it() {
        let (shows, around, told) = standing(|_, before| before == 0);
        assert_eq!(shows, ["debug A memmap_on_memory=on"]);
        assert_eq!(around, ["debug B memmap_on_memory=on"]);
        let line = "known: s390x debug: it dies; jobs that are to show it: 1; with vm_debug=-: 1";
        assert_eq!(told, [line]);
    }

    #[test]
    fn a_case_that_is_run_again_does_what_it_did() {
        let (shows, around, _) = standing(|job, _| job.key.case == "B");
        assert_eq!(shows, ["debug B memmap_on_memory=on"]);
        assert_eq!(around, ["debug A memmap_on_memory=on"]);
    }
}
