// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig run`.

use std::{collections::BTreeMap, path::Path};

use super::{
    args::Run,
    failure::Failure,
    matrices,
    places::{self, run_folder, utf8},
    suites, told,
};
use ::run::{Foreseen, Request, Selected, Selection, good, repeated, resumed, run as run_jobs, selection_of};
use base::{fault::Exit, ui::Ui};
use record::{CaseKey, RunRecord};

pub(super) fn run(args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    if let Some(run) = &args.resume {
        return resume(run, args, ui);
    }
    let suites = suites::load(&args.select.suites, &["quick"])?;
    let times = matrices::times_of(&args.part)?;
    let selection = Selection {
        reaches: args.reaches(utf8(&args.places.results)?),
        ..args.select.of(&suites, &args.places).map_err(Failure::of)?
    };
    if args.dry_run {
        let mut foreseen = selection.foresee(ui).map_err(Failure::of)?;
        foreseen.go_around(&suites::issues()?, ui);
        if !narrowed(&mut foreseen, args, &times, ui) {
            return Ok(Exit::NothingSelected);
        }
        tell_plan(&foreseen, ui);
        return Ok(Exit::Pass);
    }
    let results = places::results(&args.places.results)?;
    let mut selected = selection.select(ui).map_err(Failure::of)?;
    selected.go_around(&suites::issues()?, ui);
    if !narrowed(&mut selected, args, &times, ui) {
        return Ok(Exit::NothingSelected);
    }
    let request = Request::of(selected, results.clone(), args.how.how());
    let outcome = run_jobs(request, ui).map_err(Failure::of)?;
    let exit = told::over(&outcome, &results, ui)?;
    if !args.bisect || exit == Exit::Interrupted {
        return Ok(exit);
    }
    Ok(match good(outcome.record.cases.iter().map(|case| case.verdict)) {
        Some(true) => Exit::Pass,
        Some(false) => Exit::KernelFailed,
        None => Exit::Broken,
    })
}

/// Leaves the rounds and the part that are meant; says so where that is nothing.
fn narrowed<R>(selected: &mut Selected<R>, args: &Run, times: &BTreeMap<String, u64>, ui: &Ui) -> bool {
    selected.jobs = repeated(std::mem::take(&mut selected.jobs), args.repeat.rounds());
    args.part.narrow(selected, times, args.how.require_all);
    if selected.jobs.is_empty() {
        ui.error("nothing is selected: no case fits the kernels, architectures, names and variants that were given");
    }
    !selected.jobs.is_empty()
}

/// Prints the jobs with their QEMU commands, as far as they are known.
fn tell_plan(selected: &Selected<Foreseen>, ui: &Ui) {
    for job in &selected.jobs {
        let key = &job.key;
        ui.out(&format!("# {} {} {}", key.arch, key.kernel_name(), key.name()));
        match (&job.skip, selected.rig.command(job)) {
            (Some(reason), _) => ui.out(&format!("# skipped: {reason}")),
            (None, Some(command)) => ui.out(&command),
            (None, None) => ui.out("# its QEMU command is not known before all of it is there"),
        }
    }
}

/// Finishes a run that was cut off: the cases that did not end, and those that were never begun.
fn resume(run: &Path, args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    let folder = run_folder(run, &args.places.results)?;
    let (record, _) = RunRecord::read(&folder).map_err(Failure::of)?;
    let keys: Vec<CaseKey> = record.unfinished.iter().chain(&record.not_run).cloned().collect();
    if keys.is_empty() {
        ui.error(&format!("the run in `{folder}` is whole: nothing is left to do"));
        return Ok(Exit::NothingSelected);
    }
    let suites = suites::of_run(&record, ui)?;
    let selection = selection_of(&record, &keys, &suites, args.places.qemus()).map_err(Failure::of)?;
    let mut selected = selection.select(ui).map_err(Failure::of)?;
    resumed(&mut selected, &record, &keys).map_err(Failure::of)?;
    selected.go_around(&suites::issues()?, ui);
    let results = utf8(&args.places.results)?;
    let request = Request {
        resume: Some(folder),
        ..Request::of(selected, results.clone(), args.how.how())
    };
    told::over(&run_jobs(request, ui).map_err(Failure::of)?, &results, ui)
}
