// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measuring several kernels one after the other, and writing down what comes of it.

use std::{collections::BTreeMap, sync::Arc};

use camino::Utf8PathBuf;

use super::{
    case::chain,
    cost::{CostError, CostOptions, CountingError, counting, measure},
    schedule::Stop,
    session::{Request, facts},
};
use crate::{
    base::{fault::Exit, ui::Ui},
    record::{CostRecord, Event, FolderError, Journal, JournalError, RunFolder},
    rig::scratch,
};

/// Why costs could not be measured or kept.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The plugin.
    #[error(transparent)]
    Counting(#[from] CountingError),
    /// A file, or the signals.
    #[error("measuring costs")]
    Io(#[from] std::io::Error),
    /// A record does not become JSON.
    #[error("writing costs down")]
    Json(#[from] serde_json::Error),
}

/// What was measured.
#[derive(Debug)]
pub struct Costs {
    /// The folder of the run.
    pub folder: Utf8PathBuf,
    /// What was measured, by kernel and variant in their order.
    pub records: Vec<CostRecord>,
    /// What was not, and why.
    pub missing: Vec<String>,
    /// What the shell is to be told.
    pub exit: Exit,
}

/// Measures each kernel of a request, without and with memmap_on_memory where it has that. The request's jobs are not run.
///
/// `cost.json` in the run's folder has what was measured so far.
///
/// # Errors
/// If nothing can be measured at all, or something cannot be written down.
pub async fn costs(request: Request, repetitions: u32, ui: &Ui) -> Result<Costs, CostsError> {
    let stop = Stop::on_signals()?;
    if let Err(error) = scratch::sweep() {
        ui.warning(&format!("folders of runs that were killed stay: {error}"));
    }
    let mut by_arch = BTreeMap::new();
    for (arch, emulator) in &request.rig.emulators {
        by_arch.insert(*arch, counting(emulator, ui)?);
    }
    let folder = RunFolder::create(&request.results)?;
    let journal = Arc::new(Journal::create(folder.path())?);
    let facts = facts(&request, &folder);
    folder.write_facts(&facts)?;
    journal.append(&Event::RunStarted {
        facts: Box::new(facts),
        planned: Vec::new(),
    })?;
    let mut costs = Costs {
        folder: folder.path().to_owned(),
        records: Vec::new(),
        missing: Vec::new(),
        exit: Exit::Pass,
    };
    let variants = request.rig.kernels.iter().flat_map(|prepared| {
        [false, true].map(|memmap_on_memory| {
            let options = CostOptions {
                repetitions,
                memmap_on_memory,
                ..CostOptions::default()
            };
            (prepared, options)
        })
    });
    for (number, (prepared, options)) in variants.enumerate() {
        let kernel = &prepared.kernel;
        let name = format!("{} {} {}", kernel.arch, kernel.label, options.variant());
        let logs = folder.path().join(format!("guests/{number}"));
        fs_err::create_dir_all(&logs)?;
        let task = ui.task(format!("count {name}"), None);
        let emulator = &request.rig.emulators[&kernel.arch];
        let measured = tokio::select! {
            measured = measure(prepared, emulator, &by_arch[&kernel.arch], &options, logs.as_std_path()) => measured,
            () = stop.asked() => {
                task.failed();
                costs.exit = Exit::Interrupted;
                break;
            }
        };
        match measured {
            Ok(record) => {
                task.done("");
                costs.records.push(record);
                folder.write("cost.json", &serde_json::to_vec_pretty(&costs.records)?)?;
            }
            Err(error) => {
                task.failed();
                costs.missing.push(format!("{name}: {}", chain(&error)));
                costs.exit = match (&error, costs.exit) {
                    (CostError::Lacking(_), exit) => exit,
                    (CostError::Kernel(_), _) | (_, Exit::KernelFailed) => Exit::KernelFailed,
                    (CostError::Bench(_), _) => Exit::Broken,
                };
            }
        }
    }
    journal.append(&Event::RunFinished {
        exit: costs.exit.code(),
    })?;
    Ok(costs)
}
