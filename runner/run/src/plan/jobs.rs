// SPDX-License-Identifier: MIT OR Apache-2.0
//! From suites and kernels to jobs. Pure: the same input gives the same plan.

use std::{path::Path, sync::Arc};

use super::{expression::Candidate, selection::Filter};
use base::{Arch, ByteSize};
use format::kconfig::Kconfig;
use record::{CaseKey, NotUnique, check_unique};
use suite::{Act, Action, Case, CaseMachine, KernelIssue, Needs, Suite, Variant};

/// A suite as it was read.
#[derive(Debug)]
pub struct LoadedSuite {
    /// Where it came from, as the user would name it.
    pub file: String,
    /// SHA-256 of its text, in hex.
    pub sha256: String,
    /// The suite.
    pub suite: Suite,
}

impl LoadedSuite {
    /// The folder of its file.
    pub fn folder(&self) -> &Path {
        Path::new(&self.file).parent().unwrap_or(Path::new(""))
    }
}

/// What a plan must know of a kernel.
#[derive(Debug, Clone)]
pub struct PlannedKernel {
    /// What reports and the history call it.
    pub label: String,
    /// The text by which the user named it.
    pub named: String,
    /// Its architecture.
    pub arch: Arch,
    /// Its release, as far as it is known before it boots; `None` where the kernel is still to be got, so that jobs go by its label alone.
    pub release: Option<String>,
    /// Its configuration, where it came with one.
    pub config: Option<Arc<Kconfig>>,
}

/// One case on one kernel in one variant.
#[derive(Debug, Clone)]
pub struct Job {
    /// What tells it from all others of the run.
    pub key: CaseKey,
    /// Its suite.
    pub suite: Arc<LoadedSuite>,
    /// Index of the case in the suite.
    pub case: usize,
    /// The variant.
    pub variant: Variant,
    /// Index of the kernel in the plan's input.
    pub kernel: usize,
    /// The machine, with what the variant changes.
    pub machine: CaseMachine,
    /// Words for the kernel's command line.
    pub cmdline: Vec<String>,
    /// Why it is not run, where that can be seen without booting.
    pub skip: Option<String>,
    /// Which of the run's templates its guest goes on from, counted from 0; a run that clones says so before it starts any. `None`: it boots.
    pub(crate) template: Option<usize>,
    /// An issue of its kernel that it is to show: of all jobs that would, one does.
    pub(crate) shows: Option<Arc<KernelIssue>>,
    /// Issues of its kernel that words of its command line go round.
    pub(crate) around: Vec<Arc<KernelIssue>>,
}

impl Job {
    /// The case.
    pub fn case(&self) -> &Case {
        &self.suite.suite.cases[self.case]
    }

    /// The same job under another key.
    pub(crate) fn called(&self, key: CaseKey) -> Self {
        Self { key, ..self.clone() }
    }

    /// What its guest can use at the most, in bytes: its memory, and what can be plugged or assigned, unless the case leaves that alone.
    pub fn memory(&self) -> ByteSize {
        if self.plugs() {
            self.machine.memory + self.machine.hotplug
        } else {
            self.machine.memory
        }
    }

    /// Whether memory may come to the guest that it did not boot with. Where there are only scripts, and none of them so
    /// much as says "memory", none does.
    fn plugs(&self) -> bool {
        let by_itself = self
            .cmdline
            .iter()
            .any(|word| word.starts_with("memhp_default_state") || word.starts_with("auto_online"));
        by_itself || self.case().steps.iter().any(|step| plugs(&step.action))
    }
}

fn plugs(action: &Action) -> bool {
    match action {
        // Such as /sys/devices/system/memory/auto_online_blocks.
        Action::Act(Act::Guest(program)) => program.run.contains("memory"),
        Action::Act(_) => true,
        Action::Look(_) => false,
        action => action.within().iter().any(|step| plugs(&step.action)),
    }
}

/// Makes the jobs: by suite, then by case, then by kernel, then by variant.
///
/// A case that does not mean anything on an architecture makes no job there. One that lacks something else makes a job that is
/// skipped with the reason.
pub(crate) fn plan(
    suites: &[Arc<LoadedSuite>],
    kernels: &[PlannedKernel],
    filter: &Filter,
) -> Result<Vec<Job>, NotUnique> {
    let mut jobs = Vec::new();
    for suite in suites {
        for (index, case) in suite.suite.cases.iter().enumerate() {
            for (at, kernel) in kernels
                .iter()
                .enumerate()
                .filter(|(_, kernel)| means_something(case, kernel.arch))
            {
                let takes = |variant: &&Variant| {
                    filter.takes_candidate(Candidate {
                        suite: &suite.suite.name,
                        case,
                        variant,
                        on: Some(kernel),
                    })
                };
                for variant in case.variants.iter().filter(takes) {
                    jobs.push(job(suite, index, variant, at, kernel));
                }
            }
        }
    }
    check_unique(jobs.iter().map(|job| &job.key))?;
    Ok(jobs)
}

/// Each job `rounds` times, told apart by its round; a plan of one round stays as it is.
pub fn repeated(jobs: Vec<Job>, rounds: u32) -> Vec<Job> {
    if rounds <= 1 {
        return jobs;
    }
    (1..=rounds)
        .flat_map(|round| jobs.iter().map(move |job| job.called(job.key.in_round(round))))
        .collect()
}

/// Whether a case means anything on an architecture: only s390x has generations of the interface.
fn means_something(case: &Case, arch: Arch) -> bool {
    case.needs.allows(arch) && (case.needs.generation.is_none() || arch == Arch::S390x)
}

fn job(suite: &Arc<LoadedSuite>, index: usize, variant: &Variant, at: usize, kernel: &PlannedKernel) -> Job {
    let case = &suite.suite.cases[index];
    Job {
        key: CaseKey {
            arch: kernel.arch,
            label: kernel.label.clone(),
            release: kernel.release.clone(),
            config: String::new(),
            side: None,
            suite: suite.suite.name.clone(),
            variant: variant.to_string(),
            case: case.id.clone(),
            round: None,
        },
        suite: suite.clone(),
        case: index,
        variant: variant.clone(),
        kernel: at,
        machine: variant.machine(&case.machine),
        cmdline: case.cmdline.iter().cloned().chain(variant.cmdline()).collect(),
        skip: lacking(&case.needs, kernel),
        template: None,
        shows: None,
        around: Vec::new(),
    }
}

/// What the kernel lacks, as far as it can be seen without booting.
fn lacking(needs: &Needs, kernel: &PlannedKernel) -> Option<String> {
    if let (Some(range), Some(release)) = (&needs.kernels, &kernel.release)
        && !range.contains(release)
    {
        return Some(format!("needs a kernel in {range}, and this is {release}"));
    }
    let config = kernel.config.as_ref()?;
    needs.config.iter().find_map(|(option, wanted)| {
        let seen = config.shown(option);
        (!fits(config, option, wanted))
            .then(|| format!("needs {option}={wanted}, and the kernel has {option}={seen}"))
    })
}

/// Whether an option of the configuration is what a suite asks for.
pub(super) fn fits(config: &Kconfig, option: &str, wanted: &str) -> bool {
    let seen = config.shown(option);
    match wanted {
        "set" => matches!(&*seen, "y" | "m"),
        wanted => seen == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The jobs of a suite of one case with these steps on one kernel.
    fn jobs(steps: &str) -> Vec<Job> {
        let text = format!(
            "suite: x\nabout: x\nmachine: {{ memory: 1GiB, hotplug: 2GiB }}\ncases:\n  - id: X1\n    name: x\n    steps:\n{steps}"
        );
        let suite = Suite::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite,
        });
        let kernel = PlannedKernel {
            label: "k".to_owned(),
            named: "k".to_owned(),
            arch: Arch::S390x,
            release: Some("6.12.0".to_owned()),
            config: None,
        };
        plan(&[suite], &[kernel], &Filter::default()).unwrap()
    }

    /// What the guest of a case with these steps may grow to, in GiB; it has 1, and 2 can be plugged.
    fn most(steps: &str) -> u64 {
        jobs(steps)[0].memory().as_bytes() >> 30
    }

    #[test]
    fn rounds_are_told_apart_and_one_round_is_no_repetition() {
        let once = jobs("      - guest: { run: \"true\" }\n");
        let keys = |rounds| {
            let jobs = repeated(once.clone(), rounds);
            let keys: Vec<_> = jobs.into_iter().map(|job| job.key).collect();
            keys
        };
        assert_eq!(keys(1), [once[0].key.clone()]);
        assert_eq!(keys(3), [1, 2, 3].map(|round| once[0].key.in_round(round)));
        check_unique(&keys(20)).unwrap();
    }

    #[test]
    fn a_kernel_that_is_still_to_be_got_is_planned_by_its_label() {
        let text = "suite: x\ncases:\n  - { id: X1, name: x, needs: { kernels: ..6.1 }, steps: [log: { has: x }] }\n";
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", text).unwrap(),
        });
        let planned = |release: Option<&str>| {
            let kernel = PlannedKernel {
                label: "debian:trixie".to_owned(),
                named: "debian:trixie".to_owned(),
                arch: Arch::S390x,
                release: release.map(str::to_owned),
                config: None,
            };
            let jobs = plan(std::slice::from_ref(&suite), &[kernel], &Filter::default()).unwrap();
            (jobs[0].key.kernel_name(), jobs[0].skip.is_some())
        };
        assert_eq!(planned(None), ("debian:trixie".to_owned(), false));
        assert_eq!(planned(Some("6.12.9")), ("debian:trixie-6.12.9".to_owned(), true));
    }

    #[test]
    fn memory_that_no_step_brings_is_not_waited_for() {
        assert_eq!(most("      - guest: { run: cat /proc/meminfo }\n"), 1);
        assert_eq!(most("      - log: { has: x }\n"), 1);
        assert_eq!(most("      - add: { as: b }\n"), 3);
        assert_eq!(
            most("      - guest: { run: cd /sys/devices/system/memory && echo online > memory9/state }\n"),
            3
        );
        assert_eq!(
            most("      - repeat: { times: 2, steps: [ { add: { as: b } }, { remove: { block: b } } ] }\n"),
            3
        );
    }
}
