// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plugin for the QEMUs of a run.

use std::{collections::BTreeMap, path::PathBuf};

use crate::session::Rig;
use base::{
    Arch,
    fault::{Blame, Blamed},
    ui::Ui,
};
use supply::{
    cache::{Cache, CacheError},
    host::{self, HostError},
    qemu::{COMPILER_PACKAGES, NotLoaded, Plugin, PluginError},
};
use vm::machine::Accel;

/// Why it cannot be known which code runs.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The compiler.
    #[error(
        "which code runs is noted by a plugin for QEMU, which needs a C compiler; do without by --no-cover, or by leaving out --cover"
    )]
    Host(#[from] HostError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

impl Blamed for LibraryError {
    fn blame(&self) -> Blame {
        match self {
            Self::Host(error) => error.blame(),
            Self::Cache(error) => error.blame(),
            Self::Plugin(_) => Blame::Bench,
        }
    }
}

/// The plugin for each QEMU that translates its guests and loads it; a line says why another has none.
///
/// Takes a second, and blocks.
///
/// # Errors
/// It does not compile.
pub(crate) fn libraries(rig: &Rig, ui: &Ui) -> Result<BTreeMap<Arch, PathBuf>, LibraryError> {
    let mut libraries = BTreeMap::new();
    let (translated, others): (Vec<_>, Vec<_>) = rig
        .emulators
        .iter()
        .partition(|(_, emulator)| emulator.accel != Accel::Kvm);
    for (arch, _) in others {
        ui.line(&format!(
            "{arch}: which code runs is not known under KVM: only translated code is seen"
        ));
    }
    if translated.is_empty() {
        return Ok(libraries);
    }
    host::install_packages(&COMPILER_PACKAGES, ui)?;
    let cache = Cache::open(ui)?;
    for (arch, emulator) in translated {
        match Plugin::Cover.library(&emulator.qemu.binary, &cache)? {
            Ok(library) => {
                libraries.insert(*arch, library);
            }
            Err(NotLoaded(why)) => ui.warning(&format!(
                "{arch}: which code runs is not known: QEMU {} does not load the plugin: {why}",
                emulator.version
            )),
        }
    }
    Ok(libraries)
}
