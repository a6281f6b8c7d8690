// SPDX-License-Identifier: MIT OR Apache-2.0
//! A plan as an array job of a cluster: submitted, and followed until each task has run its part or nothing more can be done for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    num::NonZeroUsize,
    time::Duration,
};

use camino::Utf8PathBuf;
use tokio::runtime::Runtime;

use crate::{plan::Job, session::Stop};
use base::{
    ByteSize,
    fault::{Blame, Blamed},
    ui::{Task as Bar, Ui},
};
use format::slurm::{Action, Attempt, Row, Script, Task};
use supply::slurm::{self, Folder, FolderError, SlurmError, Submission, Submitted};

/// What memrig and QEMU take in a task beside the memory of guests, for each guest at once.
const BESIDE: ByteSize = ByteSize::mib(512);

/// Hot-pluggable memory that is asked for at the most: cases that have more look at what it costs at boot, and touch none of it.
const TOUCHED: ByteSize = ByteSize::gib(4);

/// For how long Slurm may not answer, before following it makes no sense.
const SILENCE: Duration = Duration::from_secs(600);

/// Time between two looks right after something has changed.
const SOON: Duration = Duration::from_secs(2);

/// Memory of a task with so many guests at once, in bytes: the guests, the templates that they are cloned from, and what goes with them.
pub fn task_memory(jobs: &[Job], guests: NonZeroUsize) -> ByteSize {
    let run = || jobs.iter().filter(|job| job.skip.is_none());
    let guest = run()
        .map(|job| job.machine.memory + job.machine.hotplug.min(TOUCHED))
        .max();
    let template = run().map(|job| job.machine.memory).max();
    let one = guest.unwrap_or(ByteSize::bytes(0)) + template.unwrap_or(ByteSize::bytes(0)) + BESIDE;
    ByteSize::bytes(one.as_bytes().saturating_mul(guests.get() as u64))
}

/// Why a job is not submitted, or not followed any more.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Slurm does not do what it is asked for.
    #[error(transparent)]
    Slurm(#[from] SlurmError),
    /// The folder of the submission cannot be made or held.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file of it, or the host.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No task has made a run.
    #[error("no task has made a run")]
    NoRun {
        /// Where the tasks' output is.
        log: Utf8PathBuf,
    },
}

impl Blamed for ClusterError {
    fn blame(&self) -> Blame {
        match self {
            Self::Slurm(error) => error.blame(),
            Self::Folder(error) => error.blame(),
            Self::Io(_) | Self::NoRun { .. } => Blame::Bench,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoRun { log } => Some(format!("see {log}")),
            _ => None,
        }
    }
}

/// What is submitted.
#[derive(Debug)]
pub struct Order {
    /// The script.
    pub script: Script,
    /// Its text.
    pub text: String,
    /// The results folder.
    pub results: Utf8PathBuf,
    /// Where the script's command finds how long jobs take.
    pub times: Utf8PathBuf,
    /// How many jobs the plan has.
    pub jobs: usize,
    /// How often a task runs at the most.
    pub attempts: u32,
}

/// Makes the folder of a submission, with how long jobs took, and submits it.
///
/// # Errors
/// The folder cannot be made, or Slurm does not take the job.
pub fn submit(
    order: &Order,
    times: &BTreeMap<String, u64>,
    ui: &Ui,
) -> Result<(Folder, Submission), ClusterError> {
    let Order { script, results, .. } = order;
    let folder = Folder::create(results, &script.name)?;
    let known = serde_json::to_vec_pretty(times).map_err(io::Error::from)?;
    fs_err::write(&order.times, known)?;
    let path = folder.write_script(&order.text)?;
    let id = match slurm::submit(&path, None) {
        Ok(id) => id,
        Err(error) => {
            // It holds nothing but the script and the times.
            if let Err(stays) = fs_err::remove_dir_all(folder.path()) {
                ui.warning(&stays.to_string());
            }
            return Err(error.into());
        }
    };
    let submission = Submission {
        name: script.name.clone(),
        results: results.clone(),
        shards: script.tasks,
        most: order.attempts,
        jobs: vec![Submitted {
            id,
            tasks: (1..=script.tasks).collect(),
        }],
        merged: None,
    };
    folder.keep(&submission)?;
    ui.line(&format!(
        "submitted job {id}: {} jobs of the matrix in {} tasks of {} cores and {} MiB each",
        order.jobs,
        script.tasks,
        script.cpus,
        script.memory.as_bytes() >> 20
    ));
    Ok((folder, submission))
}

/// How following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// No task has anything left to do.
    Ended,
    /// The user wants no more of it.
    Interrupted,
}

/// The parts of a run, once every task is over.
#[derive(Debug)]
pub struct Parts {
    /// The runs that tasks made.
    pub runs: Vec<Utf8PathBuf>,
    /// The tasks that did not run their parts to the end.
    pub lost: Vec<u32>,
}

/// A task that needs nothing more.
#[derive(Debug)]
struct Over {
    /// The attempt that ran its part; `None` if none did.
    attempt: Option<Attempt>,
}

/// Follows what was submitted.
#[derive(Debug)]
pub struct Follower<'a> {
    folder: Folder,
    submission: Submission,
    ui: &'a Ui,
    /// Time between two looks, at the most.
    poll: Duration,
    /// By task, from 1.
    over: Vec<Option<Over>>,
    /// What was last said of each task.
    said: Vec<String>,
    /// Why tasks wait, as far as it was said.
    reasons: BTreeSet<String>,
    /// How often in a row Slurm knew nothing of each task.
    missing: Vec<u32>,
    /// Whether sacct has ever answered; it is not asked again where it did not.
    accounts: bool,
    /// Lives as long as this, since it is where signals are heard: who insists can end memrig also while parts are merged.
    runtime: Runtime,
}

impl<'a> Follower<'a> {
    /// Follows a submission, and looks at the queue as seldom as `poll` at the most.
    ///
    /// # Errors
    /// The host gives no threads.
    pub fn new(
        folder: Folder,
        submission: Submission,
        poll: Duration,
        ui: &'a Ui,
    ) -> Result<Self, ClusterError> {
        let tasks = submission.shards as usize;
        Ok(Self {
            folder,
            submission,
            ui,
            poll,
            over: (0..tasks).map(|_| None).collect(),
            said: vec![String::new(); tasks],
            reasons: BTreeSet::new(),
            missing: vec![0; tasks],
            accounts: true,
            runtime: Runtime::new()?,
        })
    }

    /// The id that the user knows.
    fn job(&self) -> u64 {
        self.submission.jobs.first().map_or(0, |job| job.id)
    }

    /// Looks at the queue until every task is over. The time between two looks grows while nothing changes.
    ///
    /// # Errors
    /// Slurm does not answer for too long, or refuses; or the folder cannot be read or written.
    pub fn follow(&mut self) -> Result<Followed, ClusterError> {
        let runtime = self.runtime.handle().clone();
        runtime.block_on(self.until_over())
    }

    async fn until_over(&mut self) -> Result<Followed, ClusterError> {
        let stop = Stop::on_signals()?;
        let mut bar = self.ui.live_task(&format!("slurm job {}", self.job()), None);
        let mut pause = SOON.min(self.poll);
        let mut silent = Duration::ZERO;
        loop {
            match self.look(&mut bar) {
                Ok(changed) => {
                    if silent > Duration::ZERO {
                        self.ui.line("Slurm answers again");
                        silent = Duration::ZERO;
                    }
                    pause = if changed {
                        SOON.min(self.poll)
                    } else {
                        (pause * 3 / 2).min(self.poll)
                    };
                }
                Err(ClusterError::Slurm(error)) if error.passes() && silent < SILENCE => {
                    if silent == Duration::ZERO {
                        self.ui.warning(&format!("{error}; it is asked again"));
                    }
                    pause = (pause * 3 / 2).min(self.poll);
                    silent += pause;
                }
                Err(error) => return Err(error),
            }
            if self.over.iter().all(Option::is_some) {
                if let Some(bar) = bar {
                    bar.clear();
                }
                return Ok(Followed::Ended);
            }
            tokio::select! {
                () = stop.asked() => {
                    if let Some(bar) = bar {
                        bar.clear();
                    }
                    return Ok(Followed::Interrupted);
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How to go on with it.
    pub fn again(&self) -> String {
        format!(
            "Slurm goes on with it; follow it again with: memrig submit --slurm --follow {}",
            self.job()
        )
    }

    /// The lines of Slurm and the ends in the folder, put together for each task; then does what is to be done. Whether anything changed.
    fn look(&mut self, bar: &mut Option<Bar>) -> Result<bool, ClusterError> {
        let open: Vec<u32> = (1..=self.submission.shards)
            .filter(|task| self.over[*task as usize - 1].is_none())
            .collect();
        let jobs: BTreeSet<u64> = open
            .iter()
            .filter_map(|task| self.submission.of(*task))
            .map(|(job, _)| job)
            .collect();
        let jobs: Vec<u64> = jobs.into_iter().collect();
        // The queue first: an end that is written after that is seen at the next look.
        let mut rows = slurm::queue(&jobs)?;
        let ends = self.folder.ends()?;
        let has =
            |rows: &[Row], task: u32, job: u64| rows.iter().any(|row| (row.task, row.job) == (task, job));
        let unseen = |rows: &[Row], task: &u32| {
            self.submission
                .of(*task)
                .is_some_and(|(job, _)| !has(rows, *task, job))
        };
        if self.accounts && open.iter().any(|task| unseen(&rows, task)) {
            match slurm::accounting(&jobs) {
                Some(past) => {
                    for row in past {
                        // What accounting has of the living may be old.
                        if row.state.is_over() && !has(&rows, row.task, row.job) {
                            rows.push(row);
                        }
                    }
                }
                None => self.accounts = false,
            }
        }
        let mut changed = false;
        let mut again = Vec::new();
        let mut counts = (0, 0);
        for task in open {
            let at = task as usize - 1;
            let Some((job, submissions)) = self.submission.of(task) else {
                continue;
            };
            let row = rows
                .iter()
                .find(|row| (row.task, row.job) == (task, job))
                .cloned();
            self.missing[at] = if row.is_some() { 0 } else { self.missing[at] + 1 };
            let known = Task {
                ends: ends
                    .iter()
                    .filter(|(of, _)| *of == task)
                    .map(|(_, end)| *end)
                    .collect(),
                job,
                submissions,
                missing: self.missing[at],
                row,
            };
            let text = match known.judge(self.submission.most) {
                Action::Waits(reason) => {
                    counts.0 += 1;
                    self.wait(&reason);
                    "waits".to_owned()
                }
                Action::Runs(node) => {
                    counts.1 += 1;
                    format!("runs on {node}")
                }
                Action::Ask => continue,
                Action::Done(end) => {
                    self.over[at] = Some(Over {
                        attempt: Some(end.attempt),
                    });
                    format!("ended: {}", outcome(end.code))
                }
                Action::Again(why) => {
                    again.push(task);
                    format!("{why}: it goes into the queue again")
                }
                Action::Cancel(why) => {
                    slurm::cancel(&[format!("{job}_{task}")])?;
                    self.over[at] = Some(Over { attempt: None });
                    format!("given up: {why}")
                }
                Action::GiveUp(why) => {
                    self.over[at] = Some(Over { attempt: None });
                    let log = self.log().join(format!("{job}_{task}"));
                    format!("given up: {why}; see {log}")
                }
            };
            if self.said[at] != text {
                // That all of them wait at first is no change.
                if !(self.said[at].is_empty() && text == "waits") {
                    self.ui.line(&format!("task {task}: {text}"));
                    changed = true;
                }
                self.said[at] = text;
            }
        }
        if let Some(bar) = bar {
            let over = self.over.iter().flatten().count();
            bar.message(&format!(
                "{over} of {} ended, {} run, {} wait",
                self.over.len(),
                counts.1,
                counts.0
            ));
        }
        if !again.is_empty() {
            let id = slurm::submit(&self.folder.script(), Some(&again))?;
            for task in &again {
                self.missing[*task as usize - 1] = 0;
            }
            self.submission.jobs.push(Submitted { id, tasks: again });
            self.folder.keep(&self.submission)?;
        }
        Ok(changed)
    }

    /// Says once why tasks wait.
    fn wait(&mut self, reason: &str) {
        // What every job waits for, for a moment or for its turn.
        if !["", "None", "Priority", "Resources", "BeginTime"].contains(&reason)
            && self.reasons.insert(reason.to_owned())
        {
            self.ui.warning(&format!("tasks wait, says Slurm, for: {reason}"));
        }
    }

    /// The runs of the parts.
    ///
    /// # Errors
    /// There is none, or the folder cannot be listed.
    pub fn parts(&self) -> Result<Parts, ClusterError> {
        let mut parts = Parts {
            runs: Vec::new(),
            lost: Vec::new(),
        };
        for (task, over) in (1..).zip(&self.over) {
            let attempt = over.as_ref().and_then(|over| over.attempt);
            let run = attempt.and_then(|attempt| self.folder.run_of(task, attempt));
            if run.is_none() {
                parts.lost.push(task);
            }
            // What an attempt that was cut off has found counts, and the record says what is not in it.
            let run = match run {
                Some(run) => Some(run),
                None => self.folder.last_run(task)?,
            };
            parts.runs.extend(run);
        }
        match parts.runs.is_empty() {
            true => Err(ClusterError::NoRun { log: self.log() }),
            false => Ok(parts),
        }
    }

    /// Where the tasks' output is.
    pub fn log(&self) -> Utf8PathBuf {
        self.folder.path().join("log")
    }

    /// Writes down where the merged run is; the parts go, unless some are lost.
    ///
    /// # Errors
    /// The folder does not take it.
    pub fn merged(mut self, run: Utf8PathBuf, parts: &Parts) -> Result<(), ClusterError> {
        self.submission.merged = Some(run);
        self.folder.keep(&self.submission)?;
        if parts.lost.is_empty() {
            self.folder.remove_parts()?;
        }
        Ok(())
    }

    /// The command that cancels it.
    pub fn scancel(&self) -> String {
        format!("scancel {}", self.ids().join(" "))
    }

    /// Cancels it.
    ///
    /// # Errors
    /// Slurm does not answer.
    pub fn cancel(&self) -> Result<(), SlurmError> {
        let ids = self.ids();
        slurm::cancel(&ids)?;
        self.ui.line(&format!("cancelled job {}", ids.join(", ")));
        Ok(())
    }

    fn ids(&self) -> Vec<String> {
        let jobs = self.submission.jobs.iter();
        jobs.map(|job| job.id.to_string()).collect()
    }
}

/// What an exit code of memrig's says.
fn outcome(code: u8) -> String {
    let words = match code {
        0 => "all passed",
        1 => "a kernel failed",
        3 => "errors",
        _ => "nothing to do",
    };
    format!("{words} (exit code {code})")
}
