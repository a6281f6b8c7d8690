// SPDX-License-Identifier: MIT OR Apache-2.0
//! One exploration: kernel by kernel, and what was found run as suites.

use std::{collections::BTreeMap, fmt::Write as _, io, num::NonZeroUsize, path::PathBuf, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

pub use super::kernel::Budget;
use super::{
    kept_file::{KeptFile, KeptFileError},
    kernel::{Ground, explore as explore_kernel},
    lead::Lead,
};
use crate::{
    cover::{Cover, libraries},
    plan::{Filter, Job, LoadedSuite, plan},
    select::{SelectError, Selected, check_memory, get},
    session::{
        Capacity, How, Outcome, Request, Rig, RunError, Stage, Stop, Wanted, begin, facts, run, waited_for,
    },
};
use ::explore::{Corpus, Draw, Issues, Whose, opening, setups};
use base::{
    Arch,
    fault::{Blame, Blamed, Exit},
    ui::Ui,
};
use record::{CoverageLog, Event, ExploreRecord, FoundRecord, NotUnique, RunFolder, RunPart};
use suite::{Suite, SuiteErrors};
use supply::{
    cache::{self, Cache},
    host::{self, HostFacts},
    kernel::{Kernel, KernelSpec},
};
use vm::scratch;

/// What is explored, and how.
#[derive(Debug)]
pub struct Exploration<'a> {
    /// The kernels, each with its architecture.
    pub kernels: Vec<(KernelSpec, Arch)>,
    /// QEMUs to use instead of memrig's choice.
    pub qemus: BTreeMap<Arch, PathBuf>,
    /// The folder that gets the folder of the run.
    pub results: Utf8PathBuf,
    /// Suites whose known issues are no findings.
    pub known: &'a [Arc<LoadedSuite>],
    /// By which sequences are drawn.
    pub seed: u64,
    /// How long.
    pub budget: Budget,
    /// Guests that one finding is given, to make it shorter.
    pub tries: u32,
    /// Guests at once, where somebody says how many.
    pub guests: Option<NonZeroUsize>,
    /// What leads the draw.
    pub leading: Leading,
    /// Words for the command line of every guest.
    pub cmdline: Vec<String>,
}

/// What leads the draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leading {
    /// Which code ran: sequences that reach new code are kept in this folder, or in the cache, and varied.
    Code(Option<PathBuf>),
    /// The seed alone; it is told which code was reached.
    Seed,
    /// The seed alone; nobody looks which code runs.
    SeedUnseen,
}

/// An exploration that is over.
#[derive(Debug)]
pub struct Explored {
    /// The folder of the run.
    pub folder: Utf8PathBuf,
    /// What was explored.
    pub record: ExploreRecord,
    /// The run of what was found, where something was.
    pub confirmed: Option<Outcome>,
    /// What the shell is to be told.
    pub exit: Exit,
}

/// Why nothing is explored, or what was could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// What is needed cannot be had.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The run could not be made or kept.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A suite that memrig wrote does not read.
    #[error("a suite that memrig wrote does not read; this is a bug of memrig's: {0}")]
    Suite(#[from] SuiteErrors),
    /// Two jobs with one name.
    #[error(transparent)]
    NotUnique(#[from] NotUnique),
    /// What is kept for the next exploration.
    #[error(transparent)]
    Kept(#[from] KeptFileError),
    /// A file of the run.
    #[error("the run's files")]
    Io(#[from] io::Error),
}

impl Blamed for ExploreError {
    fn blame(&self) -> Blame {
        match self {
            Self::Select(error) => error.blame(),
            Self::Run(error) => error.blame(),
            Self::Kept(error) => error.blame(),
            Self::Suite(_) | Self::NotUnique(_) | Self::Io(_) => Blame::Bench,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Select(error) => error.hint(),
            _ => None,
        }
    }
}

/// The plan: the sequences of a seed on each architecture, wish by wish.
pub fn planned(arches: &[Arch], seed: u64, sequences: u64) -> String {
    let mut text = String::new();
    for &arch in arches {
        for number in 0..sequences {
            let sequence = Draw { arch, seed }.sequence(number);
            // A string takes all.
            let _ = writeln!(text, "# {arch} seed {seed} sequence {number}: {sequence}");
        }
    }
    text
}

/// Explores, and runs what was found as suites.
///
/// # Errors
/// What is needed cannot be had, or something cannot be written down. What was written before stays.
pub fn explore(exploration: &Exploration<'_>, ui: &Ui) -> Result<Explored, ExploreError> {
    if let Leading::Code(Some(folder)) = &exploration.leading {
        fs_err::create_dir_all(folder).map_err(KeptFileError::from)?;
    }
    let host = host::facts().map_err(SelectError::Host)?;
    let openings = openings(&host, &exploration.cmdline)?;
    let wanted = Wanted::of(exploration.kernels.clone(), exploration.qemus.clone());
    let rig = get(&wanted, ui)?;
    let nothing = Selected {
        rig,
        jobs: Vec::new(),
        part: RunPart::Whole,
        host,
    };
    let all = plan(&openings, &nothing.rig.planned(), &Filter::default())?;
    let drawing = draw_all(exploration, nothing.clone(), all, ui);
    let (folder, record, stopped) = waited_for(drawing).map_err(RunError::Host)??;
    write(&folder, &record)?;
    let errors = record.kernels.iter().any(|kernel| !kernel.errors.is_empty());
    let jobs = jobs_of_found(&record, folder.path(), &nothing.rig)?;
    let confirmed = match jobs.is_empty() || stopped {
        true => None,
        false => Some(confirm(exploration, Selected { jobs, ..nothing }, &folder, ui)?),
    };
    let exit = match &confirmed {
        _ if stopped => Exit::Interrupted,
        Some(outcome) if outcome.exit == Exit::Interrupted => Exit::Interrupted,
        Some(_) => Exit::KernelFailed,
        None if errors => Exit::Broken,
        None => Exit::Pass,
    };
    if confirmed.is_none() {
        finish(&folder, exit)?;
    }
    Ok(Explored {
        folder: folder.path().to_owned(),
        record,
        confirmed,
        exit,
    })
}

/// Writes the last event of a run in which no case ran.
pub(super) fn finish(folder: &RunFolder, exit: Exit) -> Result<(), ExploreError> {
    let journal = record::Journal::resume(folder.path()).map_err(RunError::from)?;
    let finished = Event::RunFinished { exit: exit.code() };
    Ok(journal.append(&finished).map_err(RunError::from)?)
}

/// The suites with which sequences begin, of which each machine fits the host.
pub(super) fn openings(host: &HostFacts, words: &[String]) -> Result<Vec<Arc<LoadedSuite>>, ExploreError> {
    let openings = Arch::ALL
        .map(|arch| loaded(arch, words))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    check_memory(&openings, host)?;
    Ok(openings)
}

/// The suite with which sequences begin.
fn loaded(arch: Arch, words: &[String]) -> Result<Arc<LoadedSuite>, SuiteErrors> {
    let text = opening(arch, words);
    let file = "explore.yaml".to_owned();
    Ok(Arc::new(LoadedSuite {
        sha256: cache::sha256(text.as_bytes()),
        suite: Suite::parse(&file, &text)?,
        file,
    }))
}

/// Explores each kernel; says whether somebody stopped it. `all` has a job for each machine of each kernel.
pub(super) async fn draw_all(
    exploration: &Exploration<'_>,
    selected: Selected,
    all: Vec<Job>,
    ui: &Ui,
) -> Result<(RunFolder, ExploreRecord, bool), ExploreError> {
    let capacity = Capacity::of(exploration.guests, &selected.host).map_err(RunError::Host)?;
    let stop = Stop::on_signals()?;
    if let Err(error) = scratch::sweep() {
        ui.warning(&format!("folders of runs that were killed stay: {error}"));
    }
    let slots = capacity.slots(&selected.host, ui).map_err(RunError::from)?;
    let request = Request::of(selected, exploration.results.clone(), How::default());
    let (folder, journal) = begin(&request)?;
    let rig = request.selected.rig;
    let kernels = rig.planned();
    ui.line(&format!(
        "exploring {} with seed {}, {} guests at once, record in {}",
        match kernels.len() {
            1 => "1 kernel".to_owned(),
            n => format!("{n} kernels"),
        },
        exploration.seed,
        capacity.guests,
        folder.path()
    ));
    // A template is made where two jobs are alike.
    let mut twice: Vec<Job> = all.iter().flat_map(|job| [job.clone(), job.clone()]).collect();
    let builds: Vec<Whose> = rig
        .kernels
        .iter()
        .map(|prepared| whose(&prepared.kernel))
        .collect();
    let libraries = match exploration.leading {
        Leading::SeedUnseen => BTreeMap::new(),
        _ => libraries(&rig, ui).map_err(RunError::from)?,
    };
    let cover = match libraries.is_empty() {
        true => None,
        false => {
            let log = CoverageLog::open(folder.path()).map_err(RunError::from)?;
            Some(Cover::new(libraries, log, ui.clone()))
        }
    };
    let stage = Stage::new(rig, folder.clone(), journal, stop.clone(), false, ui.clone());
    let stage = stage.map_err(RunError::Stage)?.covering(cover).once();
    let stage = Arc::new(stage.cloning(&mut twice));
    // What is kept of any kernel is read before the first one is explored.
    let leads = builds
        .into_iter()
        .map(|whose| lead(&exploration.leading, whose, &stage, ui));
    let leads = leads.collect::<Result<Vec<_>, _>>()?;
    let issues = Issues::of(exploration.known.iter().map(|suite| &suite.suite));
    let mut record = ExploreRecord {
        seed: exploration.seed,
        kernels: Vec::new(),
    };
    for ((index, kernel), (lead, kept)) in kernels.iter().enumerate().zip(leads) {
        if stop.is_asked() {
            break;
        }
        let jobs = setups(kernel.arch).iter().filter_map(|setup| {
            let is_its = |job: &&Job| job.kernel == index && job.key.case == setup.name;
            twice.iter().find(is_its).cloned()
        });
        let ground = Ground {
            lead,
            kept,
            stage: &stage,
            capacity: (capacity, &slots),
            ui,
            kernel,
            jobs: jobs.collect(),
            seed: exploration.seed,
            budget: exploration.budget.part(kernels.len()),
            tries: exploration.tries,
            issues: &issues,
            cmdline: &exploration.cmdline,
        };
        record.kernels.push(explore_kernel(ground).await);
        write(&folder, &record)?;
    }
    Ok((folder, record, stop.is_asked()))
}

/// The build of a kernel.
fn whose(kernel: &Kernel) -> Whose {
    Whose {
        kernel: kernel.label.clone(),
        arch: kernel.arch,
        build: kernel.sha256.clone(),
    }
}

/// What leads the draw of a kernel, and where it is kept.
fn lead(
    leading: &Leading,
    whose: Whose,
    stage: &Stage,
    ui: &Ui,
) -> Result<(Lead, Option<KeptFile>), ExploreError> {
    let cover = stage.cover.as_ref();
    let sees = cover.is_some_and(|cover| cover.library(whose.arch).is_some());
    match leading {
        Leading::Code(folder) if sees => {
            let cache = Cache::open(ui).map_err(KeptFileError::from)?;
            let (file, corpus) = KeptFile::open(folder.as_deref(), whose, &cache, ui)?;
            Ok((Lead::new(corpus, true), Some(file)))
        }
        _ => Ok((Lead::new(Corpus::new(whose), false), None)),
    }
}

pub(super) fn write(folder: &RunFolder, record: &ExploreRecord) -> Result<(), ExploreError> {
    let text = serde_json::to_vec_pretty(record).map_err(io::Error::from)?;
    folder.write("explore.json", &text).map_err(RunError::from)?;
    Ok(())
}

/// The jobs of the suites that were written for what was found, each on the kernel that showed it.
fn jobs_of_found(record: &ExploreRecord, folder: &Utf8Path, rig: &Rig) -> Result<Vec<Job>, ExploreError> {
    let kernels = rig.planned();
    let mut jobs = Vec::new();
    for (index, kernel) in record.kernels.iter().enumerate() {
        for found in &kernel.findings {
            let planned = plan(&[suite_of(found, folder)?], &kernels, &Filter::default())?;
            jobs.extend(planned.into_iter().filter(|job| job.kernel == index));
        }
    }
    Ok(jobs)
}

/// The suite that was written for a finding.
pub(super) fn suite_of(found: &FoundRecord, folder: &Utf8Path) -> Result<Arc<LoadedSuite>, ExploreError> {
    let file = folder.join(&found.file);
    let text = fs_err::read_to_string(&file)?;
    Ok(Arc::new(LoadedSuite {
        sha256: cache::sha256(text.as_bytes()),
        suite: Suite::parse(file.as_str(), &text)?,
        file: file.into_string(),
    }))
}

/// Runs what was found as suites, in the same run: always or sometimes, and with all that is kept of a case that fails.
fn confirm(
    exploration: &Exploration<'_>,
    selected: Selected,
    folder: &RunFolder,
    ui: &Ui,
) -> Result<Outcome, ExploreError> {
    folder
        .write_facts(&facts(&selected, folder))
        .map_err(RunError::from)?;
    let how = How {
        guests: exploration.guests,
        ..How::default()
    };
    let request = Request {
        resume: Some(folder.path().to_owned()),
        ..Request::of(selected, exploration.results.clone(), how)
    };
    Ok(run(request, ui)?)
}
