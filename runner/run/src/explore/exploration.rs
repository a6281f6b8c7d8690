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
        Capacity, How, Outcome, Request, Rig, RunError, Stage, Stop, Wanted, begin, facts, finish, run, tell,
        waited_for,
    },
};
use ::explore::{Corpus, Draw, Issues, Whose, opening, setups};
use base::{
    Arch,
    fault::{Blame, Blamed},
    ui::Ui,
};
use record::{
    CaseKey, CoverageLog, Event, ExploreRecord, FoundRecord, Journal, NotUnique, RunFolder, RunPart,
};
use suite::{Suite, SuiteErrors};
use supply::{
    cache::{self, Cache},
    host::{self, HostFacts},
    kernel::Kernel,
};
use vm::scratch;

/// What sequences are drawn, and how long.
#[derive(Debug, Clone)]
pub struct Sequences<'a> {
    /// Suites whose known issues are no findings.
    pub known: &'a [Arc<LoadedSuite>],
    /// By which they are drawn.
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

/// What was drawn on the kernels of a run.
pub(super) struct Explored {
    /// The folder of the run.
    pub(super) folder: RunFolder,
    /// What was explored, and what was found.
    pub(super) record: ExploreRecord,
    /// Somebody stopped it.
    pub(super) stopped: bool,
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

/// Explores kernels, and runs what was found as suites. What was explored lies in the run's folder.
///
/// # Errors
/// What is needed cannot be had, or something cannot be written down. What was written before stays.
pub fn explore(
    wanted: &Wanted,
    results: Utf8PathBuf,
    sequences: &Sequences<'_>,
    ui: &Ui,
) -> Result<Outcome, ExploreError> {
    if let Leading::Code(Some(folder)) = &sequences.leading {
        fs_err::create_dir_all(folder).map_err(KeptFileError::from)?;
    }
    let host = host::facts().map_err(SelectError::Host)?;
    let openings = openings(&host, &sequences.cmdline)?;
    let rig = get(wanted, ui)?;
    let all = plan(&openings, &rig.planned(), &Filter::default())?;
    let nothing = Selected {
        rig,
        jobs: Vec::new(),
        part: RunPart::Whole,
        host,
    };
    let how = How {
        guests: sequences.guests,
        ..How::default()
    };
    first(Request::of(nothing, results, how), sequences, all, ui)
}

/// Explores kernels of a run, by their places, before its cases, and runs what was found as more of them.
///
/// # Errors
/// Something cannot be written down, or a machine does not fit the host. What was written before stays.
pub fn explore_first(
    request: Request,
    kernels: &[usize],
    sequences: &Sequences<'_>,
    ui: &Ui,
) -> Result<Outcome, ExploreError> {
    let openings = openings(&request.selected.host, &sequences.cmdline)?;
    let mut all = plan(&openings, &request.selected.rig.planned(), &Filter::default())?;
    all.retain(|job| kernels.contains(&job.kernel));
    first(request, sequences, all, ui)
}

/// Draws sequences, and then runs the cases of a run and what was found; `all` as in [`draw_all`].
fn first(
    mut request: Request,
    sequences: &Sequences<'_>,
    all: Vec<Job>,
    ui: &Ui,
) -> Result<Outcome, ExploreError> {
    let drawn = waited_for(draw_all(sequences, &request, all, ui)).map_err(RunError::Host)??;
    let folder = &drawn.folder;
    let selected = &mut request.selected;
    let found = jobs_of_found(&drawn.record, folder.path(), &selected.rig)?;
    selected.jobs.extend(found);
    if drawn.stopped || selected.jobs.is_empty() {
        return over(&drawn);
    }
    folder
        .write_facts(&facts(selected, folder))
        .map_err(RunError::from)?;
    request.resume = Some(folder.path().to_owned());
    Ok(run(request, ui)?)
}

/// Ends a run of which no more cases are run.
pub(super) fn over(drawn: &Explored) -> Result<Outcome, ExploreError> {
    let folder = drawn.folder.path();
    let journal = Journal::resume(folder).map_err(RunError::from)?;
    Ok(finish(folder, &journal, drawn.stopped)?)
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

/// Begins a run, and explores its kernels: those of which `all` has jobs, one for each machine. Each is a case of the run.
pub(super) async fn draw_all(
    sequences: &Sequences<'_>,
    request: &Request,
    all: Vec<Job>,
    ui: &Ui,
) -> Result<Explored, ExploreError> {
    let Selected { rig, host, .. } = &request.selected;
    let capacity = Capacity::of(sequences.guests, host).map_err(RunError::Host)?;
    let stop = Stop::on_signals()?;
    if let Err(error) = scratch::sweep() {
        ui.warning(&format!("folders of runs that were killed stay: {error}"));
    }
    let slots = capacity.slots(host, ui).map_err(RunError::from)?;
    let (folder, journal) = begin(request)?;
    let rig = rig.clone();
    let planned = rig.planned();
    let kernels = || (0..planned.len()).filter(|index| all.iter().any(|job| job.kernel == *index));
    let several = kernels().count();
    ui.line(&format!(
        "exploring {} with seed {}, {} guests at once, record in {}",
        match several {
            1 => "1 kernel".to_owned(),
            n => format!("{n} kernels"),
        },
        sequences.seed,
        capacity.guests,
        folder.path()
    ));
    // A template is made where two jobs are alike.
    let mut twice: Vec<Job> = all.iter().flat_map(|job| [job.clone(), job.clone()]).collect();
    let builds: Vec<Whose> = kernels().map(|index| whose(&rig.kernels[index].kernel)).collect();
    let libraries = match sequences.leading {
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
    let stage = Stage::new(
        rig,
        folder.clone(),
        journal.clone(),
        stop.clone(),
        false,
        ui.clone(),
    );
    let stage = stage.map_err(RunError::Stage)?.covering(cover).once();
    let stage = Arc::new(stage.cloning(&mut twice));
    // What is kept of any kernel is read before the first one is explored.
    let leads = builds
        .into_iter()
        .map(|whose| lead(&sequences.leading, whose, &stage, ui));
    let leads = leads.collect::<Result<Vec<_>, _>>()?;
    let issues = Issues::of(sequences.known.iter().map(|suite| &suite.suite));
    let mut record = ExploreRecord::default();
    for (index, (lead, kept)) in kernels().zip(leads) {
        if stop.is_asked() {
            break;
        }
        let kernel = &planned[index];
        let jobs = setups(kernel.arch).iter().filter_map(|setup| {
            let is_its = |job: &&Job| job.kernel == index && job.key.case == setup.name;
            twice.iter().find(is_its).cloned()
        });
        let jobs: Vec<Job> = jobs.collect();
        let key = CaseKey {
            case: CASE.to_owned(),
            ..jobs[0].key.clone()
        };
        let ground = Ground {
            lead,
            kept,
            stage: &stage,
            capacity: (capacity, &slots),
            ui,
            kernel,
            jobs,
            seed: sequences.seed,
            budget: sequences.budget.part(several),
            tries: sequences.tries,
            issues: &issues,
            cmdline: &sequences.cmdline,
        };
        let explored = explore_kernel(ground).await;
        // What somebody interrupted before anything was found says nothing.
        if !stop.is_asked() || !explored.findings.is_empty() {
            let record = Box::new(explored.case(key));
            tell(&record, ui);
            let finished = Event::CaseFinished { record };
            journal.append(&finished).map_err(RunError::from)?;
        }
        record.kernels.push(explored);
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::from)?;
        folder.write(ExploreRecord::FILE, &text).map_err(RunError::from)?;
    }
    Ok(Explored {
        stopped: stop.is_asked(),
        folder,
        record,
    })
}

/// The id of the case that the exploration of a kernel is.
const CASE: &str = "sequences";

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
