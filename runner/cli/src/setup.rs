// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig setup`: get everything, run nothing.

use super::{args::Setup, failure::Failure};
use ::run::{Foreseen, Rig, Wanted, prepare};
use base::{
    Arch,
    fault::{Blame, Blamed as _, Exit},
    ui::Ui,
};
use supply::{kernel::KernelSource, packages::DebianRelease};

/// The kernels that are meant where none is named.
pub(super) fn default_kernels() -> Vec<KernelSource> {
    DebianRelease::ALL.into_iter().map(KernelSource::Debian).collect()
}

/// Every kernel on every architecture; what is not named is the default.
pub(super) fn kernels(sources: &[KernelSource], arches: &[Arch]) -> Vec<(KernelSource, Arch)> {
    let sources = if sources.is_empty() {
        default_kernels()
    } else {
        sources.to_vec()
    };
    let arches = if arches.is_empty() {
        Arch::ALL.to_vec()
    } else {
        arches.to_vec()
    };
    sources
        .iter()
        .flat_map(|source| arches.iter().map(|arch| (source.clone(), *arch)))
        .collect()
}

/// Gets what is wanted, and tells what the user has to do where that fails.
pub(super) fn get(wanted: &Wanted, ui: &Ui) -> Result<Rig, Failure> {
    prepare(wanted, ui).map_err(|error| {
        let blame = error.blame();
        let failure = Failure::of(error);
        match blame {
            Blame::Usage => failure,
            Blame::Bench | Blame::Kernel => failure.hint(GO_ON),
        }
    })
}

/// Looks at what there is of what is wanted, gets nothing, and tells what would be got.
pub(super) fn foresee(wanted: &Wanted, ui: &Ui) -> Result<Foreseen, Failure> {
    let foreseen = run::foresee(wanted, ui).map_err(Failure::of)?;
    for line in &foreseen.would {
        ui.line(line);
    }
    Ok(foreseen)
}

/// What somebody can do who could not get everything.
const GO_ON: &str = "`memrig doctor` says what is there and what is missing; a second `memrig setup` goes on where this one stopped";

pub(super) fn setup(args: &Setup, ui: &Ui) -> Result<Exit, Failure> {
    let wanted = Wanted {
        kernels: kernels(&args.kernels, &args.arches),
        qemus: Default::default(),
        refresh: args.refresh,
    };
    let rig = get(&wanted, ui)?;
    for (arch, emulator) in &rig.emulators {
        ui.out(&format!(
            "{arch:7} QEMU {} by {}",
            emulator.version,
            emulator.accel_word()
        ));
    }
    for prepared in &rig.kernels {
        ui.out(&format!(
            "{:7} {} {}",
            prepared.kernel.arch,
            prepared.kernel.label,
            prepared.kernel.release_or_unknown()
        ));
    }
    Ok(Exit::Pass)
}
