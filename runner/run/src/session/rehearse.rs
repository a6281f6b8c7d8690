// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run without guests: its jobs are planned, put in order and started as those of any other, and each ends at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    prepare::{Emulator, Prepared, Rig},
    queue::{Times, in_order},
    schedule::{Capacity, Stop, run_all, waited_for},
    templates::Templates,
};
use crate::plan::{Filter, LoadedSuite, Turns, plan, repeated, spec};
use base::{Arch, ByteSize, ui::Ui};
use supply::{
    kernel::{Kernel, SeriesChanges},
    slots::Slots,
};
use vm::machine::{Accel, Qemu};

/// How long the parts of a rehearsal took.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsed {
    /// How many jobs were started.
    pub jobs: usize,
    /// From suites and kernels to jobs.
    pub planned: Duration,
    /// To the order in which they are started, each with its template.
    pub ordered: Duration,
    /// To the end of the last one.
    pub started: Duration,
}

/// Starts what each case of the suites would be on so many kernels, so often, three at once.
///
/// # Errors
/// Cases have one name, or the host gives no threads.
pub fn rehearse(
    suites: &[Arc<LoadedSuite>],
    kernels: u32,
    rounds: u32,
) -> Result<Rehearsed, Box<dyn std::error::Error>> {
    let rig = nowhere(kernels);
    let began = Instant::now();
    let jobs = plan(suites, &rig.planned(), &Filter::default())?;
    let mut jobs = repeated(jobs, rounds);
    let planned = began.elapsed();
    let count = jobs.len();
    let templates = Arc::new(Templates::<()>::of(&mut jobs, |job| {
        let prepared = &rig.kernels[job.kernel];
        let ramdisks = vec![prepared.initrd.clone(), "keys.cpio".into()];
        let machine = spec(job, prepared, &rig.emulators[&job.key.arch], ramdisks);
        Some((job.kernel, machine))
    }));
    let jobs = in_order(jobs, &Times::default(), &Turns::default());
    let ordered = began.elapsed() - planned;
    let capacity = Capacity {
        guests: 3,
        memory: ByteSize::gib(64),
    };
    let (slots, stop) = (Arc::new(Slots::alone(&Ui::silent())), Stop::default());
    let started = run_all(
        jobs,
        (capacity, &slots),
        &stop,
        || ByteSize::bytes(0),
        |job| templates.is_coming(job),
        |job| {
            let templates = templates.clone();
            templates.begin(&job);
            async move {
                let make = async || {
                    tokio::task::yield_now().await;
                    Ok(())
                };
                templates.get(&job, make).await;
                templates.done_with(&job);
            }
        },
        |()| true,
    );
    waited_for(started)?;
    Ok(Rehearsed {
        jobs: count,
        planned,
        ordered,
        started: began.elapsed() - planned - ordered,
    })
}

/// Kernels that are nowhere.
pub(crate) fn nowhere(kernels: u32) -> Rig {
    let arch = |number: u32| Arch::ALL[number as usize % Arch::ALL.len()];
    let prepared = |number| Prepared {
        kernel: Kernel {
            label: format!("tree:linux@{number}"),
            source: None,
            origin: None,
            arch: arch(number),
            release: Some(format!("7.{number}.0")),
            image: format!("image-{number}").into(),
            modules_dir: None,
            config: None,
            lines: None,
            changed: SeriesChanges::default(),
            packages: Vec::new(),
            sha256: String::new(),
        },
        initrd: format!("initrd-{number}").into(),
        image_sha256: String::new(),
    };
    let emulator = |arch: Arch| Emulator {
        qemu: Qemu::plain(arch.qemu_binary()),
        accel: Accel::Tcg,
        version: String::new(),
        sha256: String::new(),
        capabilities: None,
    };
    Rig {
        kernels: (0..kernels).map(prepared).collect(),
        emulators: Arch::ALL.map(|arch| (arch, emulator(arch))).into(),
    }
}
