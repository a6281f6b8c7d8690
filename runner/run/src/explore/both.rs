// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same sequences on both kernels of a comparison: what either of them shows is a case of it.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::exploration::{ExploreError, Explored, Sequences, draw_all, openings, over, suite_of};
use crate::{
    compare::compare_jobs,
    plan::{Filter, LoadedSuite},
    select::Selected,
    session::{How, Request, RunError, waited_for},
};
use base::{fault::Exit, ui::Ui};
use record::{ExploreRecord, Sides};

/// Both kernels of a comparison, explored.
#[derive(Debug)]
pub struct ExploredBoth {
    /// The folder of the exploration.
    pub folder: Utf8PathBuf,
    /// What was explored, of the kernels before first.
    pub record: ExploreRecord,
    /// What the shell would be told of it alone.
    pub exit: Exit,
    /// A suite for each thing that either kernel showed.
    pub(crate) found: Vec<Arc<LoadedSuite>>,
}

/// Explores kernels without jobs. `sides` has the places of each side's.
///
/// # Errors
/// Something cannot be written down, or a machine does not fit the host.
pub(crate) fn explore_both(
    sequences: &Sequences<'_>,
    selected: Selected,
    sides: &Sides<Vec<usize>>,
    results: Utf8PathBuf,
    ui: &Ui,
) -> Result<ExploredBoth, ExploreError> {
    let openings = openings(&selected.host, &sequences.cmdline)?;
    let all = compare_jobs(&openings, &selected.rig.planned(), sides, &Filter::default())?;
    let request = Request::of(selected, results, How::default());
    let drawn = waited_for(draw_all(sequences, &request, all, ui)).map_err(RunError::Host)??;
    let exit = over(&drawn)?.exit;
    let Explored { folder, record, .. } = drawn;
    let mut found: Vec<Arc<LoadedSuite>> = Vec::new();
    for finding in record.kernels.iter().flat_map(|kernel| &kernel.findings) {
        let suite = suite_of(finding, folder.path())?;
        // What both show in one sequence has one file.
        if found.iter().all(|other| other.file != suite.file) {
            found.push(suite);
        }
    }
    Ok(ExploredBoth {
        folder: folder.path().to_owned(),
        record,
        exit,
        found,
    })
}
