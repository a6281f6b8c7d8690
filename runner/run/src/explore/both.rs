// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same sequences on both kernels of a comparison: what either of them shows is a case of it.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use camino::Utf8PathBuf;

use super::exploration::{
    Budget, Exploration, ExploreError, Leading, draw_all, finish, openings, suite_of, write,
};
use crate::{
    compare::compare_jobs,
    plan::{Filter, LoadedSuite},
    select::Selected,
    session::{RunError, waited_for},
};
use base::{fault::Exit, ui::Ui};
use record::{ExploreRecord, Sides};

/// How both kernels of a comparison are explored.
#[derive(Debug, Clone)]
pub struct ExploreBoth<'a> {
    /// How long; they share it.
    pub time: Duration,
    /// By which the sequences are drawn, the same on both.
    pub seed: u64,
    /// Guests that one finding is given, to make it shorter.
    pub tries: u32,
    /// Suites whose known issues are no findings.
    pub known: &'a [Arc<LoadedSuite>],
}

/// Both kernels of a comparison, explored.
#[derive(Debug)]
pub struct ExploredBoth {
    /// The folder of the exploration.
    pub folder: Utf8PathBuf,
    /// What was explored, of the kernels before first.
    pub record: ExploreRecord,
    /// Somebody stopped it.
    pub stopped: bool,
    /// A suite for each thing that either kernel showed.
    pub(crate) found: Vec<Arc<LoadedSuite>>,
}

impl ExploreBoth<'_> {
    /// Explores kernels without jobs. `sides` has the places of each side's.
    ///
    /// # Errors
    /// Something cannot be written down, or a machine does not fit the host.
    pub(crate) fn explore(
        &self,
        selected: Selected,
        sides: &Sides<Vec<usize>>,
        (guests, results): (Option<NonZeroUsize>, Utf8PathBuf),
        ui: &Ui,
    ) -> Result<ExploredBoth, ExploreError> {
        let openings = openings(&selected.host, &[])?;
        let all = compare_jobs(&openings, &selected.rig.planned(), sides, &Filter::default())?;
        let exploration = Exploration {
            kernels: Vec::new(),
            qemus: BTreeMap::new(),
            results,
            known: self.known,
            seed: self.seed,
            budget: Budget::Time(self.time),
            tries: self.tries,
            guests,
            // What leads the draw on one of them would not lead it on the other.
            leading: Leading::SeedUnseen,
            cmdline: Vec::new(),
        };
        let drawing = draw_all(&exploration, selected, all, ui);
        let (folder, record, stopped) = waited_for(drawing).map_err(RunError::Host)??;
        write(&folder, &record)?;
        let mut found: Vec<Arc<LoadedSuite>> = Vec::new();
        for finding in record.kernels.iter().flat_map(|kernel| &kernel.findings) {
            let suite = suite_of(finding, folder.path())?;
            // What both show in one sequence has one file.
            if found.iter().all(|other| other.file != suite.file) {
                found.push(suite);
            }
        }
        finish(&folder, exit(&record, stopped))?;
        Ok(ExploredBoth {
            folder: folder.path().to_owned(),
            record,
            stopped,
            found,
        })
    }
}

fn exit(record: &ExploreRecord, stopped: bool) -> Exit {
    let kernels = || record.kernels.iter();
    if stopped {
        Exit::Interrupted
    } else if kernels().any(|kernel| !kernel.findings.is_empty()) {
        Exit::KernelFailed
    } else if kernels().any(|kernel| !kernel.errors.is_empty()) {
        Exit::Broken
    } else {
        Exit::Pass
    }
}
