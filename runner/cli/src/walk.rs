// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig walk`: each patch of a series on its own, in order.

use super::{args::Walk, failure::Failure, places, suites, told};
use ::run::{How, Request, Selection, fill, run, walk as build};
use base::{fault::Exit, ui::Ui};
use tell::{walk_exit, walk_summary};

pub(super) fn walk(args: &Walk, ui: &Ui) -> Result<Exit, Failure> {
    let suites = suites::load(&args.suites, &["quick"])?;
    let results = places::results(&args.places.results)?;
    let mut built = build(&args.base, &args.series, &args.which.arches(), ui).map_err(Failure::of)?;
    let selection = Selection {
        kernels: built.kernels,
        suites: &suites,
        filter: args.which.filter(),
        reaches: None,
        qemus: args.places.qemus(),
    };
    let selected = selection.select(ui).map_err(Failure::of)?;
    let mut folder = None;
    if selected.jobs.is_empty() {
        ui.warning("no case fits: that the patches build is all that is said about them");
    } else {
        let how = How {
            guests: args.jobs,
            cover: !args.no_cover,
            ..How::default()
        };
        let outcome = run(Request::of(selected, results, how), ui).map_err(Failure::of)?;
        told::write(&outcome.record, None, &outcome.folder, ui)?;
        fill(&mut built.record, &outcome, ui).map_err(|error| Failure::broken(anyhow::Error::new(error)))?;
        let text = serde_json::to_vec_pretty(&built.record).map_err(Failure::broken)?;
        fs_err::write(outcome.folder.join("walk.json"), text).map_err(Failure::broken)?;
        if outcome.exit == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
        folder = Some(outcome.folder);
    }
    ui.out(walk_summary(&built.record, told::style()).trim_end());
    if let Some(folder) = folder {
        ui.out(&format!("\nrecord: {folder}"));
    }
    Ok(walk_exit(&built.record))
}
