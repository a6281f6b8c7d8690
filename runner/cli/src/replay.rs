// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig replay`: a case of an earlier run again.

use super::{
    args::Replay,
    failure::Failure,
    places::{run_folder, utf8},
    suites, told,
};
use ::run::{How, Request, around_again, repeated, replayed, run, selection_of};
use base::{fault::Exit, ui::Ui};
use record::{ExploreRecord, RunRecord};

pub(super) fn replay(args: &Replay, ui: &Ui) -> Result<Exit, Failure> {
    let folder = run_folder(&args.run, &args.places.results)?;
    let (record, _) = RunRecord::read(&folder).map_err(Failure::of)?;
    let ended = record.cases.iter().map(|case| &case.key);
    let keys: Vec<_> = ended
        .chain(&record.not_run)
        .filter(|key| key.is_called(&args.case))
        .map(|key| key.without_round())
        .collect();
    if keys.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "the run in `{folder}` has no case `{}`",
            args.case
        ))
        .hint("name it by its id, as B03, or by classname/id as in the reports"));
    }
    let mut cases = record.cases.iter().filter(|case| keys.contains(&case.key));
    if let Some(explored) = cases.find(|case| case.is_exploration()) {
        let key = &explored.key;
        let explored = ExploreRecord::read(&folder).map_err(Failure::broken)?;
        let mut kernels = explored.iter().flat_map(|record| &record.kernels);
        let seed = kernels.find(|kernel| (kernel.arch, &kernel.kernel) == (key.arch, &key.label));
        // A run that was killed between the two files does not say by which seed it drew.
        let seed = seed.map_or_else(String::new, |kernel| format!(" --seed {}", kernel.seed));
        let why = format!("`{}` is no case of a suite: it is an exploration", args.case);
        let again = format!("memrig explore -k {} -a {}{seed}", key.label, key.arch);
        return Err(Failure::usage(anyhow::anyhow!(why)).hint(format!("repeat it with: {again}")));
    }
    let suites = suites::of_run(&record, ui)?;
    let selection = selection_of(&record, &keys, &suites, args.places.qemus()).map_err(Failure::of)?;
    let mut selected = selection.select(ui).map_err(Failure::of)?;
    for line in replayed(&mut selected, &record.facts, &keys).map_err(Failure::of)? {
        ui.line(&line);
    }
    around_again(&mut selected, &record, &suites::issues()?);
    selected.jobs = repeated(selected.jobs, args.repeat.rounds());
    let results = utf8(&args.places.results)?;
    let request = Request::of(selected, results.clone(), How::default());
    told::over(&run(request, ui).map_err(Failure::of)?, &results, ui)
}
