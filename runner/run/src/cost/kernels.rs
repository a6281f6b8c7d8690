// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measuring several kernels, as many at once as the host takes, and writing down what comes of it.

use std::{collections::BTreeMap, io, num::NonZeroUsize, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

use super::measure::{self, CostOptions, CountingError, NoCost, counting, measure};
use crate::{
    case::chain,
    select::Selected,
    session::{Admission, Capacity, Emulator, Prepared, QEMU_OVERHEAD, Stop, facts, run_all, waited_for},
};
use base::{
    ByteSize,
    fault::{Blame, Blamed, Exit},
    ui::Ui,
};
use record::{CostRecord, Event, FolderError, Journal, JournalError, RunFolder};
use supply::{cache::CacheError, qemu::Counting};
use vm::scratch;

/// Why costs could not be measured or kept.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The plugin.
    #[error(transparent)]
    Counting(#[from] CountingError),
    /// A file, or the signals.
    #[error("measuring costs")]
    Io(#[from] io::Error),
    /// The host does not say what it has, or gives no threads.
    #[error(transparent)]
    Host(io::Error),
    /// A record does not become JSON.
    #[error("writing costs down")]
    Json(#[from] serde_json::Error),
}

impl Blamed for CostsError {
    fn blame(&self) -> Blame {
        match self {
            Self::Folder(error) => error.blame(),
            Self::Cache(error) => error.blame(),
            Self::Counting(error) => error.blame(),
            Self::Journal(_) | Self::Io(_) | Self::Host(_) | Self::Json(_) => Blame::Bench,
        }
    }
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

/// One kernel in one variant.
struct Measuring {
    /// Its place in the order of what is told.
    number: usize,
    prepared: Prepared,
    options: CostOptions,
}

/// What came of it, with its name.
type Measured = (String, Result<CostRecord, NotMeasured>);

enum NotMeasured {
    Cost(NoCost),
    /// The folder of its logs.
    Io(io::Error),
    /// Somebody said stop.
    Interrupted,
}

impl Measuring {
    fn name(&self) -> String {
        let kernel = &self.prepared.kernel;
        format!("{} {} {}", kernel.arch, kernel.label, self.options.variant())
    }

    async fn measured(
        &self,
        emulator: &Emulator,
        counting: &Counting,
        logs: &Utf8Path,
        stop: &Stop,
    ) -> Result<CostRecord, NotMeasured> {
        fs_err::create_dir_all(logs).map_err(NotMeasured::Io)?;
        tokio::select! {
            measured = measure(&self.prepared, emulator, counting, &self.options, logs.as_std_path()) => {
                measured.map_err(NotMeasured::Cost)
            }
            () = stop.asked() => Err(NotMeasured::Interrupted),
        }
    }
}

/// Measures each kernel, without and with memmap_on_memory where it has that, whatever the options say of it; jobs are not run. Guests that share the
/// host count the same.
///
/// `cost.json` in the run's folder has what was measured so far.
///
/// # Errors
/// If nothing can be measured at all, or something cannot be written down.
pub fn costs(
    selected: &Selected,
    results: &Utf8Path,
    guests: Option<NonZeroUsize>,
    options: CostOptions,
    ui: &Ui,
) -> Result<Costs, CostsError> {
    let capacity = Capacity::of(guests, &selected.host).map_err(CostsError::Host)?;
    waited_for(measure_all(selected, results, capacity, options, ui)).map_err(CostsError::Host)?
}

async fn measure_all(
    selected: &Selected,
    results: &Utf8Path,
    capacity: Capacity,
    options: CostOptions,
    ui: &Ui,
) -> Result<Costs, CostsError> {
    let stop = Stop::on_signals()?;
    if let Err(error) = scratch::sweep() {
        ui.warning(&format!("folders of runs that were killed stay: {error}"));
    }
    let slots = capacity.slots(&selected.host, ui)?;
    let mut by_arch = BTreeMap::new();
    for (arch, emulator) in &selected.rig.emulators {
        by_arch.insert(*arch, counting(emulator, ui)?);
    }
    let folder = RunFolder::create(results)?;
    let journal = Arc::new(Journal::create(folder.path())?);
    let facts = facts(selected, &folder);
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
    let variants = selected.rig.kernels.iter().flat_map(|prepared| {
        [false, true].map(|memmap_on_memory| {
            let options = CostOptions {
                memmap_on_memory,
                ..options
            };
            (prepared, options)
        })
    });
    let jobs = variants
        .enumerate()
        .map(|(number, (prepared, options))| Admission {
            job: Measuring {
                number,
                prepared: prepared.clone(),
                options,
            },
            memory: measure::most_memory() + QEMU_OVERHEAD,
        });
    let mut measured: BTreeMap<usize, Measured> = BTreeMap::new();
    let mut broken = None;
    run_all(
        jobs.collect(),
        (capacity, &slots),
        &stop,
        || ByteSize::bytes(0),
        |_| false,
        |job| {
            let arch = job.prepared.kernel.arch;
            let (emulator, counting) = (selected.rig.emulators[&arch].clone(), by_arch[&arch].clone());
            let (stop, ui) = (stop.clone(), ui.clone());
            let logs = folder.path().join(format!("guests/{}", job.number));
            async move {
                let task = ui.task(format!("count {}", job.name()), None);
                let outcome = job.measured(&emulator, &counting, &logs, &stop).await;
                match &outcome {
                    Ok(record) => task.done(&record.in_short()),
                    Err(_) => task.failed(),
                }
                (job, outcome)
            }
        },
        |(job, outcome)| {
            measured.insert(job.number, (job.name(), outcome));
            let records: Vec<&CostRecord> = measured
                .values()
                .filter_map(|(_, done)| done.as_ref().ok())
                .collect();
            let kept = serde_json::to_vec_pretty(&records)
                .map_err(CostsError::from)
                .and_then(|text| Ok(folder.write("cost.json", &text)?));
            match kept {
                Ok(()) => true,
                Err(error) => {
                    broken = Some(error);
                    false
                }
            }
        },
    )
    .await;
    if let Some(error) = broken {
        return Err(error);
    }
    for (name, outcome) in measured.into_values() {
        match outcome {
            Ok(record) => costs.records.push(record),
            Err(NotMeasured::Interrupted) => {}
            Err(NotMeasured::Io(error)) => return Err(error.into()),
            Err(NotMeasured::Cost(error)) => {
                costs.missing.push(format!("{name}: {}", chain(&error)));
                costs.exit = match (&error, costs.exit) {
                    (NoCost::Lacking(_), exit) => exit,
                    (NoCost::Kernel(_), _) | (_, Exit::KernelFailed) => Exit::KernelFailed,
                    (NoCost::Bench(_), _) => Exit::Broken,
                };
            }
        }
    }
    if stop.is_asked() {
        costs.exit = Exit::Interrupted;
    }
    journal.append(&Event::RunFinished {
        exit: costs.exit.code(),
    })?;
    Ok(costs)
}
