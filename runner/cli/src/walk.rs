// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig walk`: each patch of a series on its own, in order.

use super::{
    args::{How, Walk},
    failure::Failure,
    report, run, suites,
};
use ::run::{fill, walk as build};
use base::{fault::Exit, ui::Ui};
use tell::{walk_exit, walk_summary};

pub(super) fn walk(args: &Walk, ui: &Ui) -> Result<Exit, Failure> {
    let suites = suites::load(&args.suites, &["quick"])?;
    let results = run::utf8(&args.places.results)?;
    run::check_results(&results)?;
    let arches = args.which.arches();
    let built = build(&args.base, &args.series, &arches, ui);
    let mut built = built.map_err(Failure::of)?;
    let selected = run::select_of(built.kernels, &args.which.filter(), &args.places, &suites, ui)?;
    let mut folder = None;
    if selected.jobs.is_empty() {
        ui.warning("no case fits: that the patches build is all that is said about them");
    } else {
        let how = How {
            jobs: args.jobs,
            ..How::default()
        };
        let outcome = run::outcome(selected, results, None, &how, ui)?;
        report::write(&outcome.record, None, &outcome.folder)?;
        fill(&mut built.record, &outcome.record);
        let text = serde_json::to_vec_pretty(&built.record).map_err(Failure::broken)?;
        fs_err::write(outcome.folder.join("walk.json"), text).map_err(Failure::broken)?;
        if outcome.exit == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
        folder = Some(outcome.folder);
    }
    ui.out(walk_summary(&built.record, report::style()).trim_end());
    if let Some(folder) = folder {
        ui.out(&format!("\nrecord: {folder}"));
    }
    Ok(walk_exit(&built.record))
}
