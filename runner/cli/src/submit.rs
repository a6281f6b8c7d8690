// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig submit`: a matrix as an array job of Slurm, followed to its end and merged into one run.

use std::{num::NonZeroUsize, time::Duration};

use camino::Utf8Path;
use jiff::Timestamp;

use super::{
    args::{FailFast, How, Submit},
    failure::Failure,
    matrices,
    places::{check_results, utf8},
    told,
};
use ::run::{Followed, Follower, Order, submit as submit_order, task_memory};
use base::{fault::Exit, ui::Ui};
use format::slurm::Script;
use supply::slurm::{self, Folder, Submission};

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
        let record = told::read(merged, ui)?;
        let news = told::news_beside(&record, merged, ui);
        told::summary(&record, news.as_ref(), None, ui);
        return Ok(Exit::of(record.cases.iter().map(|case| case.verdict)));
    }
    let results = submission.results.clone();
    let follower = Follower::new(folder, submission, Duration::from_secs(args.poll), ui);
    let mut follower = follower.map_err(Failure::of)?;
    let followed = follower.follow();
    match followed.map_err(|error| Failure::of(error).hint(follower.again()))? {
        Followed::Ended => merge(follower, &results, ui),
        Followed::Interrupted if args.cancel_on_interrupt => {
            let scancel = follower.scancel();
            let cancelled = follower.cancel();
            cancelled.map_err(|error| Failure::of(error).hint(format!("cancel it with: {scancel}")))?;
            Ok(Exit::Interrupted)
        }
        Followed::Interrupted => {
            ui.line(&follower.again());
            ui.line(&format!("or cancel it with: {}", follower.scancel()));
            Ok(Exit::Interrupted)
        }
    }
}

/// Plans, writes the script and submits it; `None` after `--dry-run`.
fn start(
    file: &str,
    args: &Submit,
    results: &Utf8Path,
    ui: &Ui,
) -> Result<Option<(Folder, Submission)>, Failure> {
    let loaded = matrices::load(file)?;
    if !args.dry_run {
        slurm::look().map_err(Failure::of)?;
        check_results(results)?;
    }
    let qemus = args.places.qemus();
    let jobs = match args.dry_run {
        true => loaded.foresee(qemus, ui).map_err(Failure::of)?.jobs,
        false => loaded.select(qemus, ui).map_err(Failure::of)?.jobs,
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
        name,
        tasks: shards,
        cpus: guests(args).get(),
        memory: args.mem.unwrap_or_else(|| task_memory(&jobs, guests(args))),
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
    let known = matrices::history_of(&jobs, results, ui);
    let order = Order {
        script,
        text,
        results: results.to_owned(),
        times,
        jobs: jobs.len(),
        attempts: args.attempts,
    };
    submit_order(&order, &known, ui).map(Some).map_err(Failure::of)
}

/// Guests at once in a task.
fn guests(args: &Submit) -> NonZeroUsize {
    args.how.jobs.unwrap_or(NonZeroUsize::MIN)
}

/// What a task runs, without its part and its results folder.
fn command(file: &str, args: &Submit, times: &Utf8Path) -> Result<Vec<String>, Failure> {
    let program = std::env::current_exe().map_err(Failure::broken)?;
    let guests = guests(args).to_string();
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
        no_retry,
        cover,
        require_all,
    } = &args.how;
    let when = |least| *fail_fast == Some(least);
    let flags = [
        (when(FailFast::Fail), "--fail-fast"),
        (when(FailFast::Error), "--fail-fast=error"),
        (*no_clone, "--no-clone"),
        (*no_retry, "--no-retry"),
        (*cover, "--cover"),
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

/// Puts the parts together.
fn merge(follower: Follower<'_>, results: &Utf8Path, ui: &Ui) -> Result<Exit, Failure> {
    let parts = follower.parts().map_err(Failure::of)?;
    let log = follower.log();
    let (run, exit) = told::merged(&parts.runs, results, true, ui)?;
    follower.merged(run, &parts).map_err(Failure::of)?;
    if parts.lost.is_empty() {
        return Ok(exit);
    }
    let lost: Vec<String> = parts.lost.iter().map(ToString::to_string).collect();
    ui.error(&format!(
        "tasks {} did not run their parts to the end: the run is cut off; what they said is in {log}",
        lost.join(", "),
    ));
    Ok(match exit {
        Exit::Pass | Exit::NothingSelected => Exit::Broken,
        exit => exit,
    })
}
