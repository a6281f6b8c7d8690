// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig setup`: get everything, run nothing.

use super::{args::Setup, failure::Failure};
use ::run::{Wanted, get, kernels};
use base::{fault::Exit, ui::Ui};

pub(super) fn setup(args: &Setup, ui: &Ui) -> Result<Exit, Failure> {
    let wanted = Wanted {
        kernels: kernels(&args.kernels, &args.arches).map_err(Failure::of)?,
        qemus: Default::default(),
        refresh: args.refresh,
    };
    let rig = get(&wanted, ui).map_err(Failure::of)?;
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
