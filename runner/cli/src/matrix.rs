// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig matrix`: many kernels, many machines, one run.

use super::{args::Matrix, failure::Failure, matrices, places, suites, told};
use ::run::{Request, repeated, run};
use base::{fault::Exit, ui::Ui};

pub(super) fn matrix(args: &Matrix, ui: &Ui) -> Result<Exit, Failure> {
    let planned = &args.planned;
    let loaded = matrices::load(&planned.file)?;
    let times = matrices::times_of(&planned.part)?;
    let results = places::results(&planned.places.results)?;
    let mut selected = loaded.select(planned.places.qemus(), ui).map_err(Failure::of)?;
    selected.go_around(&suites::issues()?, ui);
    selected.jobs = repeated(selected.jobs, args.repeat.rounds());
    planned.part.narrow(&mut selected, &times, args.how.require_all);
    let request = Request::of(selected, results.clone(), args.how.how());
    told::over(&run(request, ui).map_err(Failure::of)?, &results, ui)
}
