// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run: a folder, a journal, the jobs, and what came of them.

use std::{collections::BTreeMap, io, num::NonZeroUsize, sync::Arc, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    progress::Progress,
    queue::{Times, in_order},
    schedule::{Capacity, Stop, run_all, waited_for},
    stage::Stage,
};
use crate::{
    case::{self, INTERRUPTED},
    cover::{Cover, LibraryError, libraries},
    plan::Turns,
    reach::turns_by_series,
    select::Selected,
};
use base::{
    fault::{Blame, Blamed, Exit, Verdict},
    ui::Ui,
};
use record::{
    CaseRecord, CoverageLog, Event, FORMAT, FolderError, HostFacts, ImageFacts, Journal, JournalError,
    KernelFacts, PackageFacts, QemuFacts, ReadError, RunFacts, RunFolder, RunRecord, SuiteFacts,
};
use supply::cache::CacheError;
use vm::scratch;

/// What is to be run, and how.
#[derive(Debug)]
pub struct Request {
    /// The jobs, and what they need.
    pub selected: Selected,
    /// The folder that gets the run's folder.
    pub results: Utf8PathBuf,
    /// The folder of a run to go on with, instead of a new one.
    pub resume: Option<Utf8PathBuf>,
    /// How.
    pub how: How,
}

impl Request {
    /// A new run.
    pub fn of(selected: Selected, results: Utf8PathBuf, how: How) -> Self {
        Self {
            selected,
            results,
            resume: None,
            how,
        }
    }
}

/// How jobs are run.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Guests at once, where somebody says how many.
    pub guests: Option<NonZeroUsize>,
    /// Start no more jobs after a case that came to this or worse.
    pub fail_fast: Option<Verdict>,
    /// A skip is an error.
    pub require_all: bool,
    /// All guests boot; otherwise they go on from templates where several are alike.
    pub no_clone: bool,
    /// Each case has one guest, whatever comes of it.
    pub no_retry: bool,
    /// See what the comparison of two kernels needs.
    pub watch: bool,
    /// Keep which code each case ran.
    pub cover: bool,
}

/// Why a run could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal could not be written any more; what it has so far is kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What was written does not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No plugin notes which code runs.
    #[error(transparent)]
    Cover(#[from] LibraryError),
    /// The run could not be prepared.
    #[error("preparing the run: {0}")]
    Stage(String),
    /// Signals cannot be caught.
    #[error("catching signals")]
    Signals(#[from] io::Error),
    /// The host does not say what it has, or gives no threads.
    #[error(transparent)]
    Host(io::Error),
}

impl Blamed for RunError {
    fn blame(&self) -> Blame {
        match self {
            Self::Folder(error) => error.blame(),
            Self::Cache(error) => error.blame(),
            Self::Cover(error) => error.blame(),
            Self::Journal(_) | Self::Read(_) | Self::Stage(_) | Self::Signals(_) | Self::Host(_) => {
                Blame::Bench
            }
        }
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Outcome {
    /// Its folder.
    pub folder: Utf8PathBuf,
    /// What it wrote down, read back.
    pub record: RunRecord,
    /// What the shell is to be told.
    pub exit: Exit,
}

/// Runs all jobs, and writes down what comes of them as it comes.
///
/// # Errors
/// If something cannot be written down. What was written before stays.
pub fn run(request: Request, ui: &Ui) -> Result<Outcome, RunError> {
    run_and_see(request, ui, |_, _| {})
}

/// The same; `see` gets each case that is over and written down, and the folder of the run.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_and_see(
    request: Request,
    ui: &Ui,
    see: impl FnMut(&CaseRecord, &Utf8Path),
) -> Result<Outcome, RunError> {
    waited_for(run_jobs(request, ui, see)).map_err(RunError::Host)?
}

async fn run_jobs(
    request: Request,
    ui: &Ui,
    mut see: impl FnMut(&CaseRecord, &Utf8Path),
) -> Result<Outcome, RunError> {
    let how = request.how;
    let capacity = Capacity::of(how.guests, &request.selected.host).map_err(RunError::Host)?;
    let stop = Stop::on_signals()?;
    // What a run that was killed left behind is in nobody's way; one that cannot be swept neither.
    if let Err(error) = scratch::sweep() {
        ui.warning(&format!("folders of runs that were killed stay: {error}"));
    }
    let slots = capacity.slots(&request.selected.host, ui)?;
    let times = Times::of_latest(&request.results);
    let turns = turns(&request, ui);
    let (folder, journal) = match &request.resume {
        None => begin(&request)?,
        Some(path) => take_up(path)?,
    };
    let Selected { rig, mut jobs, .. } = request.selected;
    ui.line(&format!(
        "{} {}, {} at once, record in {}",
        jobs.len(),
        match jobs.len() {
            1 => "job",
            _ => "jobs",
        },
        capacity.guests,
        folder.path()
    ));
    let path = folder.path().to_owned();
    let libraries = match how.cover {
        true => libraries(&rig, ui)?,
        false => BTreeMap::new(),
    };
    let cover = match libraries.is_empty() {
        true => None,
        false => Some(Cover::new(libraries, CoverageLog::open(&path)?, ui.clone())),
    };
    let stage = Stage::new(
        rig,
        folder,
        journal.clone(),
        stop.clone(),
        how.require_all,
        ui.clone(),
    )
    .map_err(RunError::Stage)?
    .failing_fast(how.fail_fast.is_some())
    .covering(cover);
    let stage = if how.no_clone {
        stage
    } else {
        stage.cloning(&mut jobs)
    };
    let stage = if how.no_retry { stage.once() } else { stage };
    let stage = Arc::new(if how.watch { stage.watching() } else { stage });
    let jobs = in_order(jobs, &times, &turns);
    let mut broken = None;
    let mut progress = Progress::new(jobs.len(), ui);
    run_all(
        jobs,
        (capacity, &slots),
        &stop,
        || stage.templates().resident(),
        |job| stage.templates().is_coming(job),
        |job| {
            let stage = stage.clone();
            stage.templates().begin(&job);
            async move {
                let task = stage
                    .ui
                    .live_task(&format!("{} {}", job.key.arch, job.key.case), None);
                if let Some(task) = &task {
                    task.message(&format!("{} {}", job.key.kernel_name(), job.key.name()));
                }
                let record = case::run(&job, &stage).await;
                stage.templates().done_with(&job);
                if let Some(task) = task {
                    task.clear();
                }
                record
            }
        },
        |record: CaseRecord| {
            tell(&record, ui);
            progress.over(record.verdict);
            let enough = how.fail_fast.is_some_and(|least| record.verdict >= least);
            // An interrupted case stays unfinished in the journal, so that a resumed run does it again.
            if record.reason.as_deref() == Some(INTERRUPTED) {
                return true;
            }
            let record = Box::new(record);
            let finished = Event::CaseFinished {
                record: record.clone(),
            };
            if let Err(error) = journal.append(&finished) {
                broken = Some(error);
                return false;
            }
            see(&record, &path);
            !enough
        },
    )
    .await;
    drop(progress);
    if let Some(error) = broken {
        return Err(error.into());
    }
    finish(&path, &journal, stop.is_asked())
}

/// When the cases have their turns. What keeps that from being known costs time alone, and is told.
fn turns(request: &Request, ui: &Ui) -> Turns {
    let Selected { rig, jobs, .. } = &request.selected;
    turns_by_series(rig, jobs, &request.results, ui).unwrap_or_else(|error| {
        ui.warning(&format!(
            "which cases reach what the series changes is not known, so that none come first: {}",
            case::chain(&error)
        ));
        Turns::default()
    })
}

/// Makes the folder and the journal of a new run.
pub(crate) fn begin(request: &Request) -> Result<(RunFolder, Arc<Journal>), RunError> {
    let folder = RunFolder::create(&request.results)?;
    let journal = Arc::new(Journal::create(folder.path())?);
    let facts = facts(&request.selected, &folder);
    folder.write_facts(&facts)?;
    let planned = request.selected.jobs.iter().map(|job| job.key.clone()).collect();
    journal.append(&Event::RunStarted {
        facts: Box::new(facts),
        planned,
    })?;
    folder.point_latest()?;
    Ok((folder, journal))
}

/// Goes on with a run that was cut off.
fn take_up(path: &Utf8Path) -> Result<(RunFolder, Arc<Journal>), RunError> {
    let (record, _) = RunRecord::read(path)?;
    let folder = RunFolder::of(path, &record.facts);
    let journal = Arc::new(Journal::resume(path)?);
    journal.append(&Event::RunResumed {
        argv: std::env::args().collect(),
    })?;
    Ok((folder, journal))
}

/// Reads the whole run back, and writes its last event.
pub(crate) fn finish(path: &Utf8Path, journal: &Journal, stopped: bool) -> Result<Outcome, RunError> {
    let (mut record, _) = RunRecord::read(path)?;
    let exit = match stopped {
        true => Exit::Interrupted,
        false => Exit::of(record.cases.iter().map(|case| case.verdict)),
    };
    journal.append(&Event::RunFinished { exit: exit.code() })?;
    record.ended(exit, journal);
    Ok(Outcome {
        folder: path.to_owned(),
        record,
        exit,
    })
}

/// One line for a case that is over.
pub(crate) fn tell(record: &CaseRecord, ui: &Ui) {
    let reason = record
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    ui.line(&format!(
        "{:5} {:6} {} {} ({:.1} s){reason}",
        record.verdict,
        record.key.arch,
        record.key.kernel_name(),
        record.key.name(),
        Duration::as_secs_f64(&record.seconds.duration()),
    ));
}

pub(crate) fn facts(selected: &Selected, folder: &RunFolder) -> RunFacts {
    let mut suites: Vec<SuiteFacts> = Vec::new();
    for job in &selected.jobs {
        if suites.iter().all(|suite| suite.file != job.suite.file) {
            suites.push(SuiteFacts {
                file: job.suite.file.clone(),
                sha256: job.suite.sha256.clone(),
            });
        }
    }
    RunFacts {
        format: FORMAT,
        id: folder.id().clone(),
        started: folder.started(),
        memrig: env!("CARGO_PKG_VERSION").to_owned(),
        argv: std::env::args().collect(),
        host: HostFacts {
            uname: format!(
                "{} {} {}",
                selected.host.system, selected.host.kernel, selected.host.machine
            ),
            cpus: selected.host.cpus as u32,
            memory: selected.host.memory,
        },
        kernels: selected
            .rig
            .kernels
            .iter()
            .map(|prepared| KernelFacts {
                label: prepared.kernel.label.clone(),
                source: prepared.kernel.source.clone(),
                release: prepared.kernel.release_or_unknown().to_owned(),
                arch: prepared.kernel.arch,
                packages: prepared
                    .kernel
                    .packages
                    .iter()
                    .map(|package| PackageFacts {
                        name: package.name.clone(),
                        version: package.version.clone(),
                        sha256: package.sha256.clone(),
                    })
                    .collect(),
                image_sha256: prepared.kernel.sha256.clone(),
                config: prepared.telling_options(),
            })
            .collect(),
        qemus: selected
            .rig
            .emulators
            .iter()
            .map(|(arch, emulator)| QemuFacts {
                arch: *arch,
                binary: emulator
                    .qemu
                    .binary
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                version: emulator.version.clone(),
                sha256: emulator.sha256.clone(),
                accel: emulator.accel_word().to_owned(),
            })
            .collect(),
        images: selected
            .rig
            .kernels
            .iter()
            .map(|prepared| ImageFacts {
                arch: prepared.kernel.arch,
                kernel: prepared.kernel.label.clone(),
                sha256: prepared.image_sha256.clone(),
            })
            .collect(),
        suites,
        part: Some(selected.part.clone()),
    }
}
