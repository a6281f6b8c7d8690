// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig matrix`: many kernels, many machines, one run.

use super::{
    args::{Matrix, TRIES, any_seed},
    failure::Failure,
    matrices, places, suites, told,
};
use ::run::{Budget, Leading, Request, Sequences, explore_first, repeated, run};
use base::{fault::Exit, ui::Ui};

pub(super) fn matrix(args: &Matrix, ui: &Ui) -> Result<Exit, Failure> {
    let planned = &args.planned;
    let loaded = matrices::load(&planned.file)?;
    let times = matrices::times_of(&planned.part)?;
    let results = places::results(&planned.places.results)?;
    let mut selected = loaded.select(planned.places.qemus(), ui).map_err(Failure::of)?;
    selected.go_around(&suites::issues()?, ui);
    selected.jobs = repeated(selected.jobs, args.repeat.rounds());
    let explored = selected.in_use();
    planned.part.narrow(&mut selected, &times, args.how.require_all);
    let request = Request::of(selected, results.clone(), args.how.how());
    let outcome = match (loaded.matrix.explore, planned.part.share(&explored)) {
        (Some(explore), own) if !own.is_empty() => {
            let known = suites::with_known()?;
            let sequences = Sequences {
                known: &known,
                seed: explore.seed.unwrap_or_else(any_seed),
                budget: Budget::Time(explore.share(own.len(), explored.len())),
                tries: TRIES,
                guests: args.how.jobs,
                leading: Leading::Code(None),
                cmdline: Vec::new(),
            };
            explore_first(request, &own, &sequences, ui).map_err(Failure::of)?
        }
        _ => run(request, ui).map_err(Failure::of)?,
    };
    told::over(&outcome, &results, ui)
}
