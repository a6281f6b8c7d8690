// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig cost`: what an operation on a memory block costs, in instructions.

use super::{
    args::{Cost, ListFormat},
    failure::Failure,
    places,
};
use ::run::{CostOptions, Selected, Wanted, costs, kernels};
use base::{fault::Exit, ui::Ui};

pub(super) fn cost(args: &Cost, ui: &Ui) -> Result<Exit, Failure> {
    let results = places::results(&args.places.results)?;
    let wanted = Wanted {
        kernels: kernels(&args.kernels, &args.arches).map_err(Failure::of)?,
        qemus: args.places.qemus(),
        refresh: false,
    };
    let selected = Selected::kernels(&wanted, ui).map_err(Failure::of)?;
    let options = CostOptions {
        repetitions: args.repetitions,
        by_function: args.by_function,
        ..CostOptions::default()
    };
    let measured = costs(&selected, &results, args.jobs, options, ui).map_err(Failure::of)?;
    if args.format == ListFormat::Json {
        ui.out(&serde_json::to_string_pretty(&measured.records).map_err(Failure::broken)?);
    } else {
        ui.out(tell::cost_summary(&measured.records).trim_end());
        if args.by_function {
            ui.out(tell::cost_functions(&measured.records).trim_end());
        }
        ui.out(&format!("\nrecord: {}", measured.folder));
    }
    for missing in &measured.missing {
        ui.line(&format!("not counted: {missing}"));
    }
    Ok(measured.exit)
}
