// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig submit`: a matrix as an array job of Slurm, followed to its end and merged into one run.

use std::{collections::BTreeSet, num::NonZeroUsize, time::Duration};

use camino::Utf8Path;
use jiff::Timestamp;

use super::{
    args::{FailFast, How, Submit},
    failure::Failure,
    matrix,
    run::{check_results, planned_kernels, utf8},
};
use ::run::{Job, Stop};
use base::{
    ByteSize,
    fault::Exit,
    ui::{Task as Bar, Ui},
};
use format::slurm::{Action, Attempt, Row, Script, Task};
use supply::slurm::{self, Folder, SlurmError, Submission, Submitted};

/// What memrig and QEMU take in a task beside the memory of guests, for each guest at once.
const BESIDE: ByteSize = ByteSize::mib(512);

/// Hot-pluggable memory that is asked for at the most: cases that have more look at what it costs at boot, and touch none of it.
const TOUCHED: ByteSize = ByteSize::gib(4);

/// For how long Slurm may not answer, before following it makes no sense.
const SILENCE: Duration = Duration::from_secs(600);

/// Time between two looks right after something has changed.
const SOON: Duration = Duration::from_secs(2);

pub(super) fn submit(args: &Submit, ui: &Ui) -> Result<Exit, Failure> {
    // A task runs in a folder of the cluster's: every path is whole.
    let results = std::path::absolute(&args.places.results).map_err(Failure::usage)?;
    let results = utf8(&results)?;
    let (folder, submission) = match (args.follow, &args.file) {
        (Some(job), _) => Folder::find(&results, job).map_err(Failure::of)?,
        (None, Some(file)) => match start(file, args, &results, ui)? {
            Some(started) => started,
            None => return Ok(Exit::Pass),
        },
        (None, None) => return Err(Failure::usage(anyhow::anyhow!("name a matrix"))),
    };
    if let Some(merged) = &submission.merged {
        ui.line(&format!(
            "it was followed to its end before, and merged into {merged}"
        ));
        let report = super::args::Report {
            run: Some(merged.clone().into_std_path_buf()),
            write: false,
            format: super::args::ReportFormat::Text,
            html: false,
            results: None,
        };
        return super::report::report(&report, ui);
    }
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::broken)?;
    let mut follower = Follower::new(folder, submission, args, ui);
    let followed = runtime.block_on(follower.follow())?;
    match followed {
        Followed::Ended => follower.merge(),
        Followed::Interrupted => follower.interrupted(args.cancel_on_interrupt),
    }
}

/// Plans, writes the script and submits it; `None` after `--dry-run`.
fn start(
    file: &str,
    args: &Submit,
    results: &Utf8Path,
    ui: &Ui,
) -> Result<Option<(Folder, Submission)>, Failure> {
    let loaded = matrix::load(file)?;
    if !args.dry_run {
        slurm::look().map_err(Failure::of)?;
        check_results(results)?;
    }
    let (jobs, kernels) = if args.dry_run {
        let foreseen = matrix::foresee(&loaded, &args.places, ui)?;
        (foreseen.jobs, foreseen.rig.kernels)
    } else {
        let selected = matrix::select(&loaded, &args.places, ui)?;
        let kernels = planned_kernels(&selected.rig);
        (selected.jobs, kernels)
    };
    let most = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
    let shards = args.shards.min(most);
    if shards < args.shards {
        ui.warning(&format!(
            "the matrix has {most} jobs: {shards} shards are made of it"
        ));
    }
    let name = format!(
        "memrig-{}-{:06x}",
        Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
        std::process::id()
    );
    let home = results.join("slurm").join(&name);
    let times = home.join("times.json");
    let dir = std::env::current_dir().map_err(Failure::broken)?;
    let script = Script {
        name: name.clone(),
        tasks: shards,
        cpus: args.how.jobs.map_or(1, NonZeroUsize::get),
        memory: args
            .mem
            .unwrap_or_else(|| memory(&jobs, args.how.jobs.map_or(1, NonZeroUsize::get))),
        partition: args.partition.clone(),
        account: args.account.clone(),
        time: args.time.clone(),
        extra: args.sbatch_arg.clone(),
        dir: utf8(&dir)?.into_string(),
        folder: home.into_string(),
        command: command(file, args, &times)?,
        by: args.by.word().to_owned(),
    };
    let text = script.text().map_err(Failure::of)?;
    if args.dry_run {
        ui.out(text.trim_end());
        return Ok(None);
    }
    let known = matrix::history_of(&jobs, &kernels, results, ui);
    let folder = Folder::create(results, &name).map_err(Failure::of)?;
    fs_err::write(
        &times,
        serde_json::to_vec_pretty(&known).map_err(Failure::broken)?,
    )
    .map_err(Failure::broken)?;
    let path = folder.write_script(&text).map_err(Failure::broken)?;
    let id = match slurm::submit(&path, None) {
        Ok(id) => id,
        Err(error) => {
            // The folder holds nothing but the script then; what cannot be taken away does no harm.
            let _ = fs_err::remove_dir_all(folder.path());
            return Err(Failure::of(error));
        }
    };
    let submission = Submission {
        name,
        results: results.to_owned(),
        shards,
        most: args.attempts,
        jobs: vec![Submitted {
            id,
            tasks: (1..=shards).collect(),
        }],
        merged: None,
    };
    folder.keep(&submission).map_err(Failure::broken)?;
    ui.line(&format!(
        "submitted job {id}: {} jobs of the matrix in {shards} tasks of {} cores and {} MiB each",
        jobs.len(),
        script.cpus,
        script.memory.as_bytes() >> 20
    ));
    Ok(Some((folder, submission)))
}

/// Memory of a task with so many guests at once: the guests, the templates that they are cloned from, and what goes with them.
fn memory(jobs: &[Job], guests: usize) -> ByteSize {
    let run = || jobs.iter().filter(|job| job.skip.is_none());
    let guest = run()
        .map(|job| job.machine.memory + job.machine.hotplug.min(TOUCHED))
        .max();
    let template = run().map(|job| job.machine.memory).max();
    let one = guest.unwrap_or(ByteSize::bytes(0)) + template.unwrap_or(ByteSize::bytes(0)) + BESIDE;
    ByteSize::bytes(one.as_bytes().saturating_mul(guests.max(1) as u64))
}

/// What a task runs, without its part and its results folder.
fn command(file: &str, args: &Submit, times: &Utf8Path) -> Result<Vec<String>, Failure> {
    let program = std::env::current_exe().map_err(Failure::broken)?;
    let guests = args.how.jobs.map_or(1, NonZeroUsize::get).to_string();
    let mut words = vec![
        utf8(&program)?.into_string(),
        "matrix".to_owned(),
        file.to_owned(),
    ];
    words.extend(["--jobs".to_owned(), guests]);
    let How {
        jobs: _,
        fail_fast,
        no_clone,
        require_all,
    } = &args.how;
    let when = |least| *fail_fast == Some(least);
    let flags = [
        (when(FailFast::Fail), "--fail-fast"),
        (when(FailFast::Error), "--fail-fast=error"),
        (*no_clone, "--no-clone"),
        (*require_all, "--require-all"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, flag)| (*flag).to_owned()),
    );
    for (arch, path) in &args.places.qemus {
        let path = std::path::absolute(path).map_err(Failure::usage)?;
        words.extend(["--qemu".to_owned(), format!("{arch}={}", utf8(&path)?)]);
    }
    words.extend(["--times".to_owned(), times.to_string()]);
    Ok(words)
}

/// How following ended.
enum Followed {
    /// No task has anything left to do.
    Ended,
    /// The user wants no more of it.
    Interrupted,
}

/// A task that needs nothing more.
struct Over {
    /// The attempt that ran its part; `None` if none did.
    attempt: Option<Attempt>,
}

/// Follows what was submitted.
struct Follower<'a> {
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
}

impl<'a> Follower<'a> {
    fn new(folder: Folder, submission: Submission, args: &Submit, ui: &'a Ui) -> Self {
        let tasks = submission.shards as usize;
        Self {
            folder,
            submission,
            ui,
            poll: Duration::from_secs(args.poll),
            over: (0..tasks).map(|_| None).collect(),
            said: vec![String::new(); tasks],
            reasons: BTreeSet::new(),
            missing: vec![0; tasks],
            accounts: true,
        }
    }

    /// The id that the user knows.
    fn job(&self) -> u64 {
        self.submission.jobs.first().map_or(0, |job| job.id)
    }

    /// Looks at the queue until every task is over. The time between two looks grows while nothing changes.
    async fn follow(&mut self) -> Result<Followed, Failure> {
        let stop = Stop::on_signals().map_err(Failure::broken)?;
        let mut bar = self.ui.live_task(&format!("slurm job {}", self.job()));
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
                Err(LookError::Slurm(error)) if error.passes() && silent < SILENCE => {
                    if silent == Duration::ZERO {
                        self.ui.warning(&format!("{error}; it is asked again"));
                    }
                    pause = (pause * 3 / 2).min(self.poll);
                    silent += pause;
                }
                Err(LookError::Slurm(error)) => return Err(Failure::of(error).hint(self.again())),
                Err(LookError::Folder(error)) => return Err(Failure::broken(error).hint(self.again())),
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

    fn again(&self) -> String {
        format!(
            "Slurm goes on with it; follow it again with: memrig submit --slurm --follow {}",
            self.job()
        )
    }

    /// The lines of Slurm and the ends in the folder, put together for each task; then does what is to be done. Whether anything changed.
    fn look(&mut self, bar: &mut Option<Bar>) -> Result<bool, LookError> {
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
                    let log = self.folder.path().join("log").join(format!("{job}_{task}"));
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

    /// Puts the parts together.
    fn merge(mut self) -> Result<Exit, Failure> {
        let mut runs = Vec::new();
        let mut lost = Vec::new();
        for (task, over) in (1..).zip(&self.over) {
            let run = match over.as_ref().and_then(|over| over.attempt) {
                Some(attempt) => self.folder.run_of(task, attempt),
                None => None,
            };
            if run.is_none() {
                lost.push(task.to_string());
            }
            // What an attempt that was cut off has found counts, and the record says what is not in it.
            let run = match run {
                Some(run) => Some(run),
                None => self.folder.last_run(task).map_err(Failure::broken)?,
            };
            runs.extend(run);
        }
        if runs.is_empty() {
            return Err(Failure::broken(anyhow::anyhow!("no task has made a run"))
                .hint(format!("see {}", self.folder.path().join("log"))));
        }
        let (merged, exit) = matrix::merge_into(&runs, &self.submission.results, true, self.ui)?;
        self.submission.merged = Some(merged);
        self.folder.keep(&self.submission).map_err(Failure::broken)?;
        if lost.is_empty() {
            self.folder.remove_parts().map_err(Failure::broken)?;
            return Ok(exit);
        }
        self.ui.error(&format!(
            "tasks {} did not run their parts to the end: the run is cut off; what they said is in {}",
            lost.join(", "),
            self.folder.path().join("log")
        ));
        Ok(match exit {
            Exit::Pass | Exit::NothingSelected => Exit::Broken,
            exit => exit,
        })
    }

    /// The user wants no more: cancels our own jobs where that was asked for, and says what can be done.
    fn interrupted(&self, cancel: bool) -> Result<Exit, Failure> {
        let ids: Vec<String> = self
            .submission
            .jobs
            .iter()
            .map(|job| job.id.to_string())
            .collect();
        if cancel {
            slurm::cancel(&ids).map_err(|error| {
                Failure::of(error).hint(format!("cancel it with: scancel {}", ids.join(" ")))
            })?;
            self.ui.line(&format!("cancelled job {}", ids.join(", ")));
        } else {
            self.ui.line(&self.again());
            self.ui
                .line(&format!("or cancel it with: scancel {}", ids.join(" ")));
        }
        Ok(Exit::Interrupted)
    }
}

/// Why a look at the queue failed.
enum LookError {
    Slurm(SlurmError),
    Folder(std::io::Error),
}

impl From<SlurmError> for LookError {
    fn from(error: SlurmError) -> Self {
        Self::Slurm(error)
    }
}

impl From<std::io::Error> for LookError {
    fn from(error: std::io::Error) -> Self {
        Self::Folder(error)
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
