// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig shell`: a terminal, or a script, in the very guest of a case.

use super::{args::Shell, failure::Failure, suites};
use ::run::open_shell;
use base::{fault::Exit, ui::Ui};

pub(super) fn shell(args: &Shell, ui: &Ui) -> Result<Exit, Failure> {
    let suites = suites::load(&args.select.suites, &["quick"])?;
    let selected = args
        .select
        .of(&suites, &args.places)
        .map_err(Failure::of)?
        .select(ui)
        .map_err(Failure::of)?;
    let Some(job) = selected.jobs.iter().find(|job| job.skip.is_none()) else {
        ui.error("nothing is selected that could be booted");
        return Ok(Exit::NothingSelected);
    };
    open_shell(job, selected.rig, ui).map_err(|lost| {
        if !lost.console.is_empty() {
            ui.line(&format!("the last lines of the console:\n{}", lost.console));
        }
        Failure::of(lost).hint("`memrig run` with the same arguments keeps the console and QEMU's own log")
    })
}
