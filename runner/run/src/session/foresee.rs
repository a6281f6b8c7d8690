// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run would be, by what is known without getting anything: nothing is built, installed, fetched or written, and nothing runs but the probe
//! guest that says how guests are run. What `prepare` would get is told instead, a line for each thing.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::prepare::{
    Emulator, PrepareError, Prepared, Wanted, answering, check, firmware, host_packages, refused,
};
use crate::plan::{Job, PlannedKernel, dry_run};
use base::{Arch, ui::Ui};
use supply::{
    cache::Cache,
    host, image,
    kernel::{self, Kernel, KnownKernel},
    packages::Packages,
    qemu::{self, BuildError},
};

/// What a run would have.
#[derive(Debug)]
pub struct Foreseen {
    /// What a plan must know of the kernels, in the order in which they were asked for.
    pub kernels: Vec<PlannedKernel>,
    /// What of them can be booted already.
    prepared: Vec<Option<Prepared>>,
    /// The QEMUs that are there.
    emulators: BTreeMap<Arch, Emulator>,
    /// What would be got, a line for each thing.
    pub would: Vec<String>,
}

/// Looks at what there is of all this.
///
/// # Errors
/// What the user named is wrong, as far as that can be seen so.
pub(crate) fn foresee(wanted: &Wanted, ui: &Ui) -> Result<Foreseen, PrepareError> {
    let cache = Cache::look(ui)?;
    let mut foreseen = Foreseen {
        kernels: Vec::new(),
        prepared: Vec::new(),
        emulators: BTreeMap::new(),
        would: Vec::new(),
    };
    // Files that the user named wrongly are told first, as a run would.
    check(wanted)?;
    // A machine without dpkg has nothing that could be installed.
    if let Ok(missing @ [_, ..]) = host::missing_packages(&host_packages(wanted)).as_deref() {
        let line = format!("packages of the host: {} would be installed", missing.join(", "));
        foreseen.would.push(line);
    }
    for (_, arch) in &wanted.kernels {
        if !foreseen.emulators.contains_key(arch) {
            foreseen.emulator(*arch, wanted, &cache)?;
        }
    }
    for (known, (spec, arch)) in kernels(wanted, &cache, ui)?.into_iter().zip(&wanted.kernels) {
        match known {
            KnownKernel::Here(kernel) => foreseen.here(*kernel, &cache, ui)?,
            KnownKernel::NotHere { label, what } => {
                let line = format!("{label} for {arch} is not in the cache: {}", what.would);
                foreseen.would(line);
                foreseen.kernels.push(PlannedKernel {
                    label,
                    named: spec.to_string(),
                    arch: *arch,
                    release: what.release,
                    config: None,
                });
                foreseen.prepared.push(None);
            }
        }
    }
    Ok(foreseen)
}

/// What is known of the kernels; those that would be called the same are told apart.
fn kernels(wanted: &Wanted, cache: &Cache, ui: &Ui) -> Result<Vec<KnownKernel>, PrepareError> {
    let mut all = Vec::new();
    for (spec, arch) in &wanted.kernels {
        let known = kernel::known(spec, *arch, cache, ui);
        all.push(known.map_err(|error| refused(spec, *arch, error))?);
    }
    let labels = all.iter_mut().map(|known| known.label_mut().clone()).collect();
    let labels = kernel::told_apart(&wanted.kernels, labels);
    for (known, label) in all.iter_mut().zip(labels) {
        *known.label_mut() = label;
    }
    Ok(all)
}

impl Foreseen {
    fn would(&mut self, line: String) {
        if !self.would.contains(&line) {
            self.would.push(line);
        }
    }

    /// A kernel that is there, and its guest image.
    fn here(&mut self, kernel: Kernel, cache: &Cache, ui: &Ui) -> Result<(), PrepareError> {
        self.kernels.push(planned(&kernel));
        let image = image::obtain(&kernel, &[], &Packages::open(cache, ui), cache, ui);
        let prepared = match image {
            Ok(image) => Some(Prepared {
                initrd: image.path,
                image_sha256: image.sha256,
                kernel,
            }),
            Err(error) => match error.not_here() {
                Some(what) => {
                    self.would(format!(
                        "the guest image for {} on {} is not in the cache: {}",
                        kernel.label, kernel.arch, what.would
                    ));
                    None
                }
                None => {
                    return Err(PrepareError::Image {
                        label: kernel.label,
                        arch: kernel.arch,
                        source: Box::new(error),
                    });
                }
            },
        };
        self.prepared.push(prepared);
        Ok(())
    }

    /// The QEMU for an architecture, if it is there.
    fn emulator(&mut self, arch: Arch, wanted: &Wanted, cache: &Cache) -> Result<(), PrepareError> {
        let named = wanted.qemus.get(&arch);
        let (binary, firmware) = match (named, arch) {
            (Some(path), Arch::X86_64) => (path.clone(), None),
            (Some(path), Arch::S390x) => (path.clone(), Some(firmware(cache)?)),
            (None, Arch::X86_64) => match host::in_path(arch.qemu_binary()) {
                Some(path) => (path, None),
                // Its package is among those of the host.
                None => return Ok(()),
            },
            (None, Arch::S390x) => match qemu::find(&qemu::SOURCE.at(""), cache.root()) {
                Ok(Some(built)) => (built.binary, Some(built.firmware)),
                // Without the compiler, what it built is not found.
                Ok(None) | Err(BuildError::Missing { .. }) => {
                    self.would(format!("QEMU for {arch} is not in the cache: it would be built"));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            },
        };
        let asked = answering(arch, Path::new(&binary), named.is_some(), firmware);
        self.emulators.insert(arch, asked?.0);
        Ok(())
    }

    /// The QEMU command that a job would run, where all of it is there.
    pub fn command(&self, job: &Job) -> Option<String> {
        let prepared = self.prepared[job.kernel].as_ref()?;
        let emulator = self.emulators.get(&job.key.arch)?;
        Some(dry_run(job, prepared, emulator))
    }
}

/// What a plan must know of a kernel that is there.
pub(super) fn planned(kernel: &Kernel) -> PlannedKernel {
    PlannedKernel {
        label: kernel.label.clone(),
        named: kernel.named().to_owned(),
        arch: kernel.arch,
        release: Some(kernel.release_or_unknown().to_owned()),
        config: kernel.config.clone().map(Arc::new),
    }
}
