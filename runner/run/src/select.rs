// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what is asked for to jobs and what they need, which is got, or only looked for. Nothing boots here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    plan::{Filter, Job, LoadedSuite, PlannedKernel, Shard, matrix_jobs, plan},
    reach::{ReachError, Reaches},
    session::{Foreseen, PrepareError, Rig, Wanted, for_guests, foresee, prepare},
};
use base::{
    Arch, ByteSize,
    fault::{Blame, Blamed, Exit},
    ui::Ui,
};
use record::{NotUnique, RunPart, index::HistoryKey};
use suite::Matrix;
use supply::{
    host::{self, HostFacts},
    kernel::{KernelError, KernelSource, SourceError, label},
    packages::DebianRelease,
};

/// What a selection comes to: the rig, or what of it can be foreseen, and the jobs.
#[derive(Debug, Clone)]
pub struct Selected<R = Rig> {
    /// What the jobs need; they refer to its kernels by index.
    pub rig: R,
    /// The jobs, in their order.
    pub jobs: Vec<Job>,
    /// Which part of what was meant the jobs are.
    pub part: RunPart,
    /// The host.
    pub host: HostFacts,
}

impl<R> Selected<R> {
    /// All of what was meant.
    fn whole(rig: R, jobs: Vec<Job>, host: HostFacts) -> Self {
        Self {
            rig,
            jobs,
            part: RunPart::Whole,
            host,
        }
    }

    /// Leaves the jobs of a part. `times` are those of [`Shard::part`]; `require_all` is a part of what the plan is.
    pub fn narrow(&mut self, shard: &Shard, times: &BTreeMap<String, u64>, require_all: bool) {
        self.part = shard.facts(&self.jobs, require_all);
        self.jobs = shard.part(std::mem::take(&mut self.jobs), times);
    }
}

impl Selected {
    /// Kernels without jobs, on which costs are counted.
    ///
    /// # Errors
    /// What is needed cannot be got.
    pub fn kernels(wanted: &Wanted, ui: &Ui) -> Result<Self, SelectError> {
        let host = host::facts().map_err(SelectError::Host)?;
        Ok(Self::whole(get(wanted, ui)?, Vec::new(), host))
    }
}

/// Why nothing is selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// The host does not say what it is.
    #[error(transparent)]
    Host(io::Error),
    /// A machine that is larger than the host.
    #[error("{file}:{line}: case {case} needs a guest with {memory} of memory, and the host has {} MiB for guests", .there.as_bytes() >> 20)]
    TooLarge {
        /// The suite's file.
        file: String,
        /// The case's line.
        line: usize,
        /// The case.
        case: String,
        /// What it needs, in bytes.
        memory: ByteSize,
        /// What there is, in bytes.
        there: ByteSize,
    },
    /// A word that fits nothing.
    #[error("nothing is selected: {missed}, in {files}")]
    Missed {
        /// The word.
        missed: String,
        /// Where it was looked for.
        files: String,
    },
    /// A matrix without jobs.
    #[error("the matrix `{0}` comes to nothing: everything is left out, or no case fits its kernels")]
    Empty(String),
    /// A kernel of the matrix.
    #[error(transparent)]
    Kernel(#[from] SourceError),
    /// The name of a kernel.
    #[error(transparent)]
    Label(#[from] KernelError),
    /// What cases reach.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// Two jobs with one name.
    #[error(transparent)]
    NotUnique(#[from] NotUnique),
    /// Something cannot be got.
    #[error(transparent)]
    NotGot(PrepareError),
    /// What would be got cannot be said.
    #[error(transparent)]
    NotForeseen(PrepareError),
}

impl Blamed for SelectError {
    fn blame(&self) -> Blame {
        match self {
            Self::Host(_) => Blame::Bench,
            Self::TooLarge { .. } | Self::Missed { .. } | Self::Empty(_) => Blame::Usage,
            Self::Kernel(error) => error.blame(),
            Self::Label(error) => error.blame(),
            Self::Reach(error) => error.blame(),
            Self::NotUnique(error) => error.blame(),
            Self::NotGot(error) | Self::NotForeseen(error) => error.blame(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Missed { .. } => Exit::NothingSelected,
            Self::Reach(error) => error.exit(),
            _ => self.blame().exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TooLarge { .. } => {
                "make the machine of the case smaller, or leave the case out with --case"
            }
            Self::Missed { .. } => "`memrig list` shows suites and cases",
            Self::Reach(error) => return error.hint(),
            Self::NotGot(error) if error.blame() != Blame::Usage => {
                "`memrig doctor` says what is there and what is missing; a second `memrig setup` goes on where this one stopped"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Gets what is wanted.
///
/// # Errors
/// The first thing that could not be got; what was got before it is kept.
pub fn get(wanted: &Wanted, ui: &Ui) -> Result<Rig, SelectError> {
    prepare(wanted, ui).map_err(SelectError::NotGot)
}

/// Looks at what there is of what is wanted, gets nothing, and tells what would be got.
fn look(wanted: &Wanted, ui: &Ui) -> Result<Foreseen, SelectError> {
    let foreseen = foresee(wanted, ui).map_err(SelectError::NotForeseen)?;
    for line in &foreseen.would {
        ui.line(line);
    }
    Ok(foreseen)
}

/// Every kernel on every architecture; what is not named is the default: the Debian kernels, on both.
pub fn kernels(sources: &[KernelSource], arches: &[Arch]) -> Vec<(KernelSource, Arch)> {
    let sources = match sources {
        [] => DebianRelease::ALL.into_iter().map(KernelSource::Debian).collect(),
        sources => sources.to_vec(),
    };
    let arches = match arches {
        [] => &Arch::ALL,
        arches => arches,
    };
    sources
        .iter()
        .flat_map(|source| arches.iter().map(|arch| (source.clone(), *arch)))
        .collect()
}

/// Refuses machines that are larger than the host.
pub(crate) fn check_memory<'a>(
    suites: impl IntoIterator<Item = &'a Arc<LoadedSuite>>,
    host: &HostFacts,
) -> Result<(), SelectError> {
    let there = for_guests(host.memory);
    for loaded in suites {
        for case in &loaded.suite.cases {
            if case.machine.memory > there {
                return Err(SelectError::TooLarge {
                    file: loaded.file.clone(),
                    line: case.line,
                    case: case.id.clone(),
                    memory: case.machine.memory,
                    there,
                });
            }
        }
    }
    Ok(())
}

/// Some cases of suites on some kernels.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The kernels, in the order in which reports list them.
    pub kernels: Vec<(KernelSource, Arch)>,
    /// The suites.
    pub suites: &'a [Arc<LoadedSuite>],
    /// Which of their cases.
    pub filter: Filter,
    /// Only those that reach something, where that is asked for.
    pub reaches: Option<Reaches>,
    /// QEMU binaries that the user names.
    pub qemus: BTreeMap<Arch, PathBuf>,
}

/// The cases that are left of what is planned; `None`: all.
type Chosen = Option<BTreeSet<HistoryKey>>;

impl Selection<'_> {
    /// Gets what is needed, and plans.
    ///
    /// # Errors
    /// No host can have it, nothing fits, or something cannot be got.
    pub fn select(self, ui: &Ui) -> Result<Selected, SelectError> {
        let (suites, filter) = (self.suites, self.filter.clone());
        let (wanted, chosen, host) = self.wanted(ui)?;
        let rig = get(&wanted, ui)?;
        let jobs = left(plan(suites, &rig.planned(), &filter)?, &chosen);
        Ok(Selected::whole(rig, jobs, host))
    }

    /// Plans by what is there: nothing is got for it. What would be got is told.
    ///
    /// # Errors
    /// No host can have it, nothing fits, or something was named wrong.
    pub fn foresee(self, ui: &Ui) -> Result<Selected<Foreseen>, SelectError> {
        let (suites, filter) = (self.suites, self.filter.clone());
        let (wanted, chosen, host) = self.wanted(ui)?;
        let rig = look(&wanted, ui)?;
        let jobs = left(plan(suites, &rig.kernels, &filter)?, &chosen);
        Ok(Selected::whole(rig, jobs, host))
    }

    /// What it needs, and which cases it means, unless it is one that no host can have or that nothing fits.
    fn wanted(self, ui: &Ui) -> Result<(Wanted, Chosen, HostFacts), SelectError> {
        let host = host::facts().map_err(SelectError::Host)?;
        check_memory(self.suites, &host)?;
        // A name that fits nothing is refused before anything is got for it.
        if let Some(missed) = self.filter.misses(self.suites) {
            let files: Vec<&str> = self.suites.iter().map(|loaded| loaded.file.as_str()).collect();
            return Err(SelectError::Missed {
                missed: missed.to_string(),
                files: files.join(", "),
            });
        }
        let chosen = match &self.reaches {
            Some(reaches) => Some(reaches.choose(&self.by_names()?, ui)?),
            None => None,
        };
        Ok((Wanted::of(self.kernels, self.qemus), chosen, host))
    }

    /// The jobs as far as they are known by the names of their kernels.
    fn by_names(&self) -> Result<Vec<Job>, SelectError> {
        let kernels = self.kernels.iter().map(|(source, arch)| {
            Ok(PlannedKernel {
                label: label(source)?,
                arch: *arch,
                release: None,
                config: None,
            })
        });
        let kernels: Vec<PlannedKernel> = kernels.collect::<Result<_, KernelError>>()?;
        Ok(plan(self.suites, &kernels, &self.filter)?)
    }
}

/// The jobs whose cases are chosen.
fn left(mut jobs: Vec<Job>, chosen: &Chosen) -> Vec<Job> {
    if let Some(chosen) = chosen {
        jobs.retain(|job| chosen.contains(&HistoryKey::of(&job.key)));
    }
    jobs
}

/// A matrix with its suites, by the names that it has for them.
#[derive(Debug)]
pub struct LoadedMatrix {
    /// The matrix.
    pub matrix: Matrix,
    /// The suites.
    pub suites: Vec<(String, Arc<LoadedSuite>)>,
}

impl LoadedMatrix {
    /// Gets what the matrix needs, and makes its jobs.
    ///
    /// # Errors
    /// No host can have it, it has no jobs, or something cannot be got.
    pub fn select(&self, qemus: BTreeMap<Arch, PathBuf>, ui: &Ui) -> Result<Selected, SelectError> {
        let (wanted, host) = self.wanted(qemus)?;
        let rig = get(&wanted, ui)?;
        let jobs = self.jobs(&rig.planned())?;
        Ok(Selected::whole(rig, jobs, host))
    }

    /// Makes its jobs by what is there: nothing is got for it. What would be got is told.
    ///
    /// # Errors
    /// No host can have it, it has no jobs, or something was named wrong.
    pub fn foresee(
        &self,
        qemus: BTreeMap<Arch, PathBuf>,
        ui: &Ui,
    ) -> Result<Selected<Foreseen>, SelectError> {
        let (wanted, host) = self.wanted(qemus)?;
        let rig = look(&wanted, ui)?;
        let jobs = self.jobs(&rig.kernels)?;
        Ok(Selected::whole(rig, jobs, host))
    }

    fn wanted(&self, qemus: BTreeMap<Arch, PathBuf>) -> Result<(Wanted, HostFacts), SelectError> {
        let host = host::facts().map_err(SelectError::Host)?;
        check_memory(self.suites.iter().map(|(_, suite)| suite), &host)?;
        let mut kernels = Vec::new();
        for name in self.matrix.all_kernels() {
            let source: KernelSource = name.parse()?;
            let arches = self.matrix.all_arches().into_iter();
            kernels.extend(arches.map(|arch| (source.clone(), arch)));
        }
        Ok((Wanted::of(kernels, qemus), host))
    }

    fn jobs(&self, kernels: &[PlannedKernel]) -> Result<Vec<Job>, SelectError> {
        let jobs = matrix_jobs(&self.matrix, &self.suites, kernels)?;
        match jobs.is_empty() {
            false => Ok(jobs),
            true => Err(SelectError::Empty(self.matrix.name.clone())),
        }
    }
}
