// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what is asked for to jobs and what they need, which is got, or only looked for. Nothing boots here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    plan::{Filter, Job, LoadedSuite, PlannedKernel, Shard, go_around, matrix_jobs, plan},
    reach::{ReachError, Reaches},
    session::{Foreseen, PrepareError, Rig, Wanted, for_guests, foresee, prepare},
};
use base::{
    Arch, ByteSize,
    fault::{Blame, Blamed, Exit},
    ui::Ui,
};
use record::{NotUnique, RunPart, index::HistoryKey};
use suite::{KernelIssue, Matrix};
use supply::{
    host::{self, HostFacts},
    kernel::{self, KernelError, KernelSpec, SourceError},
    packages::DebianSuite,
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

    /// The kernels, by their places, on which some job can run.
    pub fn in_use(&self) -> Vec<usize> {
        let runs = self.jobs.iter().filter(|job| job.skip.is_none());
        let kernels: BTreeSet<usize> = runs.map(|job| job.kernel).collect();
        kernels.into_iter().collect()
    }

    /// Leaves the jobs of a part. `times` are those of [`Shard::part`]; `require_all` is a part of what the plan is.
    pub fn narrow(&mut self, shard: &Shard, times: &BTreeMap<String, u64>, require_all: bool) {
        self.part = shard.facts(&self.jobs, require_all);
        self.jobs = shard.part(std::mem::take(&mut self.jobs), times);
    }
}

impl Selected {
    /// Lets one job of each kernel show an issue that its guests have, and the others go round it; tells of that.
    pub fn go_around(&mut self, issues: &[Arc<KernelIssue>], ui: &Ui) {
        let kernels = self.rig.planned();
        tell(go_around(&mut self.jobs, &kernels, issues, first), ui);
    }

    /// Kernels without jobs, on which costs are counted.
    ///
    /// # Errors
    /// What is needed cannot be got.
    pub fn kernels(wanted: &Wanted, ui: &Ui) -> Result<Self, SelectError> {
        let host = host::facts().map_err(SelectError::Host)?;
        Ok(Self::whole(get(wanted, ui)?, Vec::new(), host))
    }
}

impl Selected<Foreseen> {
    /// The same, as far as the kernels are known.
    pub fn go_around(&mut self, issues: &[Arc<KernelIssue>], ui: &Ui) {
        tell(go_around(&mut self.jobs, &self.rig.kernels, issues, first), ui);
    }
}

fn first(_: &Job, before: usize) -> bool {
    before == 0
}

fn tell(lines: Vec<String>, ui: &Ui) {
    for line in lines {
        ui.line(&line);
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
    /// A file that is no kernel, or the name of one.
    #[error(transparent)]
    File(#[from] KernelError),
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
            Self::File(error) => error.blame(),
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

/// Every kernel on every architecture; what is not named is the default: the Debian kernels, on both. What is named twice is one.
///
/// # Errors
/// A file is no kernel.
pub fn kernels(specs: &[KernelSpec], arches: &[Arch]) -> Result<Vec<(KernelSpec, Arch)>, SelectError> {
    let specs = match specs {
        [] => DebianSuite::USUAL.into_iter().map(KernelSpec::debian).collect(),
        specs => specs.to_vec(),
    };
    let mut kernels = Vec::new();
    for spec in &specs {
        for arch in arches_of(spec, arches)? {
            if !kernels.contains(&(spec.clone(), arch)) {
                kernels.push((spec.clone(), arch));
            }
        }
    }
    Ok(kernels)
}

/// The architectures on which a kernel is meant. Files are a kernel for one; where others alone were asked for, it is refused by whoever gets it.
///
/// # Errors
/// A file is no kernel.
pub(crate) fn arches_of(spec: &KernelSpec, asked: &[Arch]) -> Result<Vec<Arch>, SelectError> {
    Ok(match kernel::only_arch(&spec.source)? {
        Some(arch) if asked.is_empty() || asked.contains(&arch) => vec![arch],
        _ if asked.is_empty() => Arch::ALL.to_vec(),
        _ => asked.to_vec(),
    })
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

/// Refuses a word of a filter that fits nothing in any of the suites.
///
/// # Errors
/// The first such word.
pub fn check_words(filter: &Filter, suites: &[Arc<LoadedSuite>]) -> Result<(), SelectError> {
    let Some(missed) = filter.misses(suites) else {
        return Ok(());
    };
    let files: Vec<&str> = suites.iter().map(|loaded| loaded.file.as_str()).collect();
    Err(SelectError::Missed {
        missed: missed.to_string(),
        files: files.join(", "),
    })
}

/// Some cases of suites on some kernels.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The kernels, in the order in which reports list them.
    pub kernels: Vec<(KernelSpec, Arch)>,
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
        check_words(&self.filter, self.suites)?;
        let (suites, filter) = (self.suites, self.filter);
        let wanted = Wanted::of(self.kernels, self.qemus);
        let chosen = match &self.reaches {
            Some(reaches) => {
                let foreseen = foresee(&wanted, ui).map_err(SelectError::NotForeseen)?;
                let jobs = plan(suites, &foreseen.kernels, &filter)?;
                Some(reaches.choose(&jobs, ui)?)
            }
            None => None,
        };
        Ok((wanted, chosen, host))
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
        let names = self.matrix.all_kernels();
        let specs = names.iter().map(|name| name.parse());
        let specs = specs.collect::<Result<Vec<KernelSpec>, SourceError>>()?;
        let kernels = kernels(&specs, &self.matrix.all_arches())?;
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes the least that is a kernel image of each architecture, without a release, and returns what names both.
    pub(crate) fn images(folder: &std::path::Path) -> [KernelSpec; 2] {
        let mut x86 = vec![0; 0x1000];
        x86[0x202..0x206].copy_from_slice(b"HdrS");
        x86[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        x86[0x236] = 1;
        let mut s390 = vec![0; 0x10010];
        s390[0x10008..0x1000e].copy_from_slice(b"S390EP");
        [("x86", x86), ("s390", s390)].map(|(name, bytes)| {
            let path = folder.join(name);
            fs_err::write(&path, bytes).unwrap();
            format!("image:{}", path.display()).parse().unwrap()
        })
    }

    #[test]
    fn an_image_is_meant_on_its_own_architecture() {
        let folder = tempfile::tempdir().unwrap();
        let [x86, s390] = images(folder.path());
        let debian = KernelSpec::debian(DebianSuite::Sid);
        let arches = |spec: &KernelSpec, asked: &[Arch]| arches_of(spec, asked).unwrap();
        assert_eq!(arches(&x86, &[]), [Arch::X86_64]);
        assert_eq!(arches(&s390, &[]), [Arch::S390x]);
        assert_eq!(arches(&s390, &Arch::ALL), [Arch::S390x]);
        assert_eq!(arches(&debian, &[]), Arch::ALL);
        // Whoever gets it says that it is for another one.
        assert_eq!(arches(&s390, &[Arch::X86_64]), [Arch::X86_64]);
        fs_err::write(folder.path().join("x86"), "no kernel").unwrap();
        let said = arches_of(&x86, &[]).unwrap_err().to_string();
        assert!(said.ends_with("/x86` cannot be booted"), "{said}");
    }

    #[test]
    fn a_kernel_that_is_named_twice_is_one() {
        let specs = ["debian:sid", "new=debian:sid", "debian:sid"].map(|text| text.parse().unwrap());
        let kernels = kernels(&specs, &[Arch::S390x, Arch::S390x]).unwrap();
        let kernels: Vec<String> = kernels.iter().map(|(spec, _)| spec.to_string()).collect();
        assert_eq!(kernels, ["debian:sid", "new=debian:sid"]);
    }
}
