// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exploration of one kernel.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    field::Field,
    findings::{Ended, Signs, count},
    kept_file::KeptFile,
    lead::Lead,
};
use crate::{
    case::chain,
    plan::{Job, PlannedKernel},
    session::{Admission, Capacity, QEMU_OVERHEAD, Stage, run_all},
};
use ::explore::{Able, Draw, Issues};
use base::{ByteSize, fault::Verdict, ui::Ui};
use record::ExploredKernel;
use supply::slots::Slots;

/// How long a kernel is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// So many sequences.
    Sequences(u64),
    /// So long; what was found then is still made shorter.
    Time(Duration),
}

/// More sequences than any host runs in a second.
const A_SECOND: u64 = 20;

/// Time between two lines that say how far it is.
const TELL_AFTER: Duration = Duration::from_secs(60);

/// Sequences that may break before the first that does not, in one exploration.
const BROKEN: usize = 6;

impl Budget {
    /// Sequences, at the most.
    fn most(self) -> u64 {
        match self {
            Self::Sequences(number) => number,
            Self::Time(time) => (time.as_secs() + 1) * A_SECOND,
        }
    }

    /// When it is over that began then.
    fn until(self, began: Instant) -> Option<Instant> {
        match self {
            Self::Sequences(_) => None,
            Self::Time(time) => began.checked_add(time),
        }
    }

    fn is_over(self, spent: Duration) -> bool {
        matches!(self, Self::Time(time) if spent >= time)
    }

    /// The part of each of several kernels: they share the time, and each has all sequences.
    pub(super) fn part(self, kernels: usize) -> Self {
        match self {
            Self::Sequences(_) => self,
            Self::Time(time) => Self::Time(time / u32::try_from(kernels.max(1)).unwrap_or(u32::MAX)),
        }
    }
}

/// What an exploration of one kernel needs.
pub(super) struct Ground<'a> {
    /// The guests.
    pub(super) stage: &'a Arc<Stage>,
    /// What the host gives.
    pub(super) capacity: (Capacity, &'a Arc<Slots>),
    pub(super) ui: &'a Ui,
    /// The kernel.
    pub(super) kernel: &'a PlannedKernel,
    /// A job for each of its machines, in their order.
    pub(super) jobs: Vec<Job>,
    pub(super) seed: u64,
    pub(super) budget: Budget,
    /// Guests that one finding is given, to make it shorter.
    pub(super) tries: u32,
    pub(super) issues: &'a Issues,
    /// Words for the command line of every guest.
    pub(super) cmdline: &'a [String],
    /// What leads the draw.
    pub(super) lead: Lead,
    /// Where what is kept is written; none where nothing is.
    pub(super) kept: Option<KeptFile>,
}

/// Explores a kernel until its part is over, or the run is stopped.
pub(super) async fn explore(ground: Ground<'_>) -> ExploredKernel {
    let Ground {
        stage,
        kernel,
        budget,
        ui,
        ..
    } = ground;
    let began = Instant::now();
    let draw = Draw {
        arch: kernel.arch,
        seed: ground.seed,
    };
    let field = Arc::new(Field {
        grounds: stage.clone(),
        draw,
        able: able(kernel),
        tries: ground.tries,
        issues: ground.issues.clone(),
        cmdline: ground.cmdline.to_vec(),
        signs: Mutex::new(Signs::default()),
        lead: Mutex::new(ground.lead),
        began,
        until: budget.until(began),
        jobs: ground.jobs,
    });
    let machines = field
        .jobs
        .iter()
        .map(|job| job.machine.memory + job.machine.hotplug);
    let memory = machines.fold(ByteSize::bytes(0), ByteSize::max) + QEMU_OVERHEAD;
    let sequences = (0..budget.most()).map(|job| Admission { job, memory });
    let release = stage.kernel(&field.jobs[0]).release_or_unknown();
    let mut explored = ExploredKernel::new(ground.seed, kernel.arch, &kernel.label, release);
    let mut times = BTreeMap::new();
    let mut told = began;
    let save = || {
        let Some(file) = &ground.kept else { return };
        let corpus = field.lead().corpus.clone();
        if let Err(error) = file.save(&corpus) {
            ui.warning(&chain(&error));
        }
    };
    run_all(
        sequences.collect(),
        ground.capacity,
        &stage.stop,
        || stage.templates().resident(),
        |number| stage.templates().is_coming(&field.jobs[draw.setup(*number)]),
        |number| {
            stage.templates().begin(&field.jobs[draw.setup(number)]);
            field.clone().run(number)
        },
        |ended: Ended| {
            // What somebody interrupted says nothing.
            if stage.stop.is_asked() && ended.verdict == Verdict::Error {
                return true;
            }
            tell(&ended, draw, ui);
            count(&mut explored, &mut times, ended, began.elapsed());
            if told.elapsed() >= TELL_AFTER {
                told = Instant::now();
                explored.reached = field.lead().record();
                ui.line(&how_far(&explored, began.elapsed()));
                save();
            }
            let hopeless = explored.sequences == 0 && explored.errors.len() >= BROKEN;
            !budget.is_over(began.elapsed()) && !hopeless
        },
    )
    .await;
    explored.seconds = began.elapsed().into();
    explored.reached = field.lead().record();
    save();
    for job in &field.jobs {
        // Each template was made for two jobs, so that it is made at all.
        stage.templates().done_with(job);
        stage.templates().done_with(job);
    }
    explored
}

/// What the kernel can be asked for, as far as its configuration says.
fn able(kernel: &PlannedKernel) -> Able {
    let Some(config) = &kernel.config else {
        return Able::default();
    };
    let has = |name: &str| matches!(&*config.shown(name), "y" | "m");
    let fails = [
        "CONFIG_FAILSLAB",
        "CONFIG_FAIL_PAGE_ALLOC",
        "CONFIG_FAULT_INJECTION_DEBUG_FS",
    ];
    Able {
        vetoes: has("CONFIG_MEMORY_NOTIFIER_ERROR_INJECT"),
        sweeps: fails.into_iter().all(has),
        thp: has("CONFIG_TRANSPARENT_HUGEPAGE"),
        ksm: has("CONFIG_KSM"),
        hugetlb: has("CONFIG_HUGETLB_PAGE"),
        compacts: has("CONFIG_COMPACTION"),
        tells_pages: has("CONFIG_PROC_PAGE_MONITOR"),
        pins: has("CONFIG_IO_URING"),
    }
}

/// One line for a sequence that did not end as most do.
fn tell(ended: &Ended, draw: Draw, ui: &Ui) {
    if let Some(found) = &ended.found {
        ui.line(&format!(
            "found  {} {}: {} steps of {}, {}",
            draw.arch, found.sign, found.shortest, found.steps, found.file
        ));
    } else if ended.verdict == Verdict::Error {
        ui.line(&format!("error  {} {}", draw.arch, ended.reason));
    }
}

/// How far it is.
fn how_far(explored: &ExploredKernel, spent: Duration) -> String {
    format!(
        "{} {}: {} sequences, {} operations in {} s ({:.1} a second), {} found{}",
        explored.arch,
        explored.release,
        explored.sequences,
        explored.operations,
        spent.as_secs(),
        explored.operations as f64 / spent.as_secs_f64().max(1.0),
        explored.findings.len(),
        match explored.reached.as_ref().and_then(|reached| reached.grew.last()) {
            None => String::new(),
            Some(grew) => format!(", {} functions of memory hotplug reached", grew.reached.functions),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_share_the_time_and_not_the_sequences() {
        let minute = Budget::Time(Duration::from_secs(60));
        assert_eq!(minute.part(3), Budget::Time(Duration::from_secs(20)));
        assert_eq!(Budget::Sequences(9).part(3), Budget::Sequences(9));
        assert!(minute.is_over(Duration::from_secs(60)) && !minute.is_over(Duration::from_secs(59)));
        assert!(!Budget::Sequences(1).is_over(Duration::MAX));
        assert_eq!(Budget::Sequences(9).most(), 9);
    }
}
