// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig explore`: sequences that nobody thought of.

use super::{
    args::{Explore, any_seed},
    failure::Failure,
    places, suites, told,
};
use ::run::{Exploration, explore as run_sequences, kernels, planned};
use base::{Arch, fault::Exit, ui::Ui};
use tell::explore_summary;

pub(super) fn explore(args: &Explore, ui: &Ui) -> Result<Exit, Failure> {
    let seed = args.seed.unwrap_or_else(any_seed);
    if let (true, Some(sequences)) = (args.dry_run, args.sequences) {
        let arches = match args.arches.is_empty() {
            true => Arch::ALL.to_vec(),
            false => args.arches.clone(),
        };
        ui.out(planned(&arches, seed, sequences).trim_end());
        return Ok(Exit::Pass);
    }
    let known = match args.with_known {
        true => Vec::new(),
        false => suites::load(&["all".to_owned(), "stress".to_owned()], &[])?,
    };
    let results = places::results(&args.places.results)?;
    let exploration = Exploration {
        kernels: kernels(&args.kernels, &args.arches).map_err(Failure::of)?,
        qemus: args.places.qemus(),
        results: results.clone(),
        known: &known,
        seed,
        budget: args.budget(),
        tries: args.tries,
        guests: args.jobs,
        leading: args.leading(),
        cmdline: args.cmdline.split_whitespace().map(str::to_owned).collect(),
    };
    let explored = run_sequences(&exploration, ui).map_err(Failure::of)?;
    match &explored.confirmed {
        Some(outcome) => {
            told::over(outcome, &results, ui)?;
        }
        None => told::write_html(&told::read(&explored.folder, ui)?, None, None, &explored.folder)?,
    }
    let again = explored.confirmed.as_ref().map(|outcome| &outcome.record);
    ui.out(explore_summary(&explored.record, explored.folder.as_str(), again).trim_end());
    Ok(explored.exit)
}
