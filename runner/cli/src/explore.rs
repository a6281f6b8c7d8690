// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig explore`: sequences that nobody thought of.

use super::{
    args::{Explore, any_seed},
    failure::Failure,
    places, suites, told,
};
use ::run::{Sequences, Wanted, explore as run_sequences, kernels, planned};
use base::{Arch, fault::Exit, ui::Ui};

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
        false => suites::with_known()?,
    };
    let results = places::results(&args.places.results)?;
    let kernels = kernels(&args.kernels, &args.arches).map_err(Failure::of)?;
    let sequences = Sequences {
        known: &known,
        seed,
        budget: args.budget(),
        tries: args.tries,
        guests: args.jobs,
        leading: args.leading(),
        cmdline: args.cmdline.split_whitespace().map(str::to_owned).collect(),
    };
    let wanted = Wanted {
        kernels,
        qemus: args.places.qemus(),
        ..Wanted::default()
    };
    let explored = run_sequences(&wanted, results.clone(), &sequences, ui).map_err(Failure::of)?;
    told::over(&explored, &results, ui)
}
