// SPDX-License-Identifier: MIT OR Apache-2.0
//! Getting everything that a run needs: host packages, QEMU, kernels, guest images. What is there already is not got again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::foresee;
use crate::plan::PlannedKernel;
use base::{
    Arch,
    exec::{Command, ExecError},
    fault::{Blame, Blamed},
    ui::Ui,
};
use supply::{
    cache::{self, Cache, CacheError},
    host::{self, HostError},
    image::{self, ImageError},
    kernel::{self, Kernel, KernelError, KernelSpec, SameName},
    packages::{DebianSuite, Packages, PackagesError},
    qemu::{self, BuildError, Capabilities, CapabilityError},
};
use vm::{
    accel,
    machine::{Accel, MachineError, Qemu},
};

/// What is to be got.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Kernels, in the order in which reports list them.
    pub kernels: Vec<(KernelSpec, Arch)>,
    /// QEMU binaries that the user names.
    pub qemus: BTreeMap<Arch, PathBuf>,
    /// Ask the mirror for newer versions.
    pub refresh: bool,
}

impl Wanted {
    /// Kernels on the QEMUs that the user names, by what is there.
    pub(crate) fn of(kernels: Vec<(KernelSpec, Arch)>, qemus: BTreeMap<Arch, PathBuf>) -> Self {
        Self {
            kernels,
            qemus,
            refresh: false,
        }
    }
}

/// What is there.
#[derive(Debug, Clone)]
pub struct Rig {
    /// The kernels, in the order in which they were asked for.
    pub kernels: Vec<Prepared>,
    /// A QEMU for each architecture that is needed.
    pub emulators: BTreeMap<Arch, Emulator>,
}

/// A kernel that can be booted.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The kernel.
    pub kernel: Kernel,
    /// Its initramfs.
    pub initrd: PathBuf,
    /// SHA-256 of the initramfs, in hex.
    pub image_sha256: String,
}

/// A QEMU and what it can do.
#[derive(Debug, Clone)]
pub struct Emulator {
    /// The binary.
    pub qemu: Qemu,
    /// How it runs guests.
    pub accel: Accel,
    /// What it says its version is.
    pub version: String,
    /// SHA-256 of the binary, in hex.
    pub sha256: String,
    /// What it offers beyond what every QEMU does; s390x.
    pub(crate) capabilities: Option<Capabilities>,
}

/// Why something could not be got.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Packages of the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A package.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The source of QEMU is not the one that the patches are for.
    #[error(
        "the mirror has QEMU {seen}, and the patches are for {wanted}: name a QEMU with --qemu s390x=PATH, or use a mirror that has it"
    )]
    Source {
        /// What the patches are for.
        wanted: String,
        /// What there is.
        seen: String,
    },
    /// Building QEMU.
    #[error("building QEMU for s390x")]
    Build(#[from] BuildError),
    /// A QEMU does not answer.
    #[error("asking `{binary}` what it can do")]
    Capabilities {
        /// The binary.
        binary: PathBuf,
        /// Why.
        source: CapabilityError,
    },
    /// A kernel.
    #[error("getting {label} for {arch}")]
    Kernel {
        /// Its label.
        label: String,
        /// Its architecture.
        arch: Arch,
        /// Why.
        source: Box<KernelError>,
    },
    /// Two kernels have one name.
    #[error(transparent)]
    SameName(#[from] SameName),
    /// A guest image.
    #[error("making the guest image for {label} on {arch}")]
    Image {
        /// Label of the kernel.
        label: String,
        /// Its architecture.
        arch: Arch,
        /// Why.
        source: Box<ImageError>,
    },
    /// A QEMU that the user names cannot be used.
    #[error("--qemu {arch}={} cannot be used", .binary.display())]
    Named {
        /// The architecture.
        arch: Arch,
        /// The binary.
        binary: PathBuf,
        /// Why.
        source: Box<MachineError>,
    },
    /// A QEMU does not start.
    #[error("trying QEMU")]
    Machine(#[from] MachineError),
    /// A program does not run.
    #[error("a QEMU that does not run")]
    Exec(#[from] ExecError),
    /// A file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Blamed for PrepareError {
    /// Usage, where somebody has to do what memrig may not, or has named something wrong.
    fn blame(&self) -> Blame {
        match self {
            Self::Host(error) => error.blame(),
            Self::Cache(error) => error.blame(),
            Self::Kernel { source, .. } => source.blame(),
            Self::SameName(error) => error.blame(),
            Self::Capabilities { .. } | Self::Named { .. } | Self::Exec(_) => Blame::Usage,
            _ => Blame::Bench,
        }
    }
}

/// Packages of the host that all of this needs; of those that are there, some are left out.
pub fn host_packages(wanted: &Wanted) -> Vec<&'static str> {
    let ours =
        |arch| wanted.kernels.iter().any(|(_, needed)| *needed == arch) && !wanted.qemus.contains_key(&arch);
    let mut packages = BTreeSet::new();
    if ours(Arch::X86_64) {
        packages.insert("qemu-system-x86");
    }
    if ours(Arch::S390x) {
        packages.extend(qemu::HOST_PACKAGES);
    }
    for (spec, arch) in &wanted.kernels {
        packages.extend(kernel::host_packages(&spec.source, *arch));
    }
    packages.into_iter().collect()
}

/// Gets everything, shows what takes time, and leaves what is there alone.
///
/// # Errors
/// The first thing that could not be got; what was got before it is kept.
pub fn prepare(wanted: &Wanted, ui: &Ui) -> Result<Rig, PrepareError> {
    let cache = Cache::open(ui)?;
    let packages = if wanted.refresh {
        Packages::refreshing(&cache, ui)
    } else {
        Packages::open(&cache, ui)
    };
    let arches: BTreeSet<Arch> = wanted.kernels.iter().map(|(_, arch)| *arch).collect();
    // What the user named wrongly is found before anything long begins.
    check(wanted)?;
    // All at once: who has to install them by hand does so once. The key of our QEMU holds the compiler's version, so that the compiler
    // has to be there even where QEMU is.
    host::install_packages(&host_packages(wanted), ui)?;
    for (spec, arch) in &wanted.kernels {
        let listed = kernel::check_listed(&spec.source, *arch, &packages);
        listed.map_err(|error| refused(spec, *arch, error))?;
    }
    let mut emulators = BTreeMap::new();
    for &arch in &arches {
        emulators.insert(
            arch,
            emulator(arch, wanted.qemus.get(&arch), &packages, &cache, ui)?,
        );
    }
    let kernels = kernels(wanted, &packages, &cache, ui)?.into_iter();
    let prepared = kernels.map(|kernel| {
        let image = image::obtain(&kernel, &[], &packages, &cache, ui);
        match image {
            Ok(image) => Ok(Prepared {
                kernel,
                initrd: image.path,
                image_sha256: image.sha256,
            }),
            Err(source) => Err(PrepareError::Image {
                label: kernel.label,
                arch: kernel.arch,
                source: Box::new(source),
            }),
        }
    });
    Ok(Rig {
        kernels: prepared.collect::<Result<_, PrepareError>>()?,
        emulators,
    })
}

/// Looks at what the user named, as far as that is short.
pub(super) fn check(wanted: &Wanted) -> Result<(), PrepareError> {
    kernel::different_names(wanted.kernels.iter().map(|(spec, _)| spec))?;
    for (spec, arch) in &wanted.kernels {
        kernel::check(&spec.source, *arch).map_err(|error| refused(spec, *arch, error))?;
    }
    Ok(())
}

/// Gets all kernels, and tells apart those that would be called the same.
fn kernels(
    wanted: &Wanted,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Vec<Kernel>, PrepareError> {
    let mut kernels = Vec::new();
    for (spec, arch) in &wanted.kernels {
        let kernel = kernel::obtain(spec, *arch, packages, cache, ui);
        kernels.push(kernel.map_err(|error| refused(spec, *arch, error))?);
    }
    let labels = kernels.iter().map(|kernel| kernel.label.clone()).collect();
    let labels = kernel::told_apart(&wanted.kernels, labels);
    for (kernel, label) in kernels.iter_mut().zip(labels) {
        kernel.label = label;
    }
    Ok(kernels)
}

pub(super) fn refused(spec: &KernelSpec, arch: Arch, error: KernelError) -> PrepareError {
    PrepareError::Kernel {
        label: spec.to_string(),
        arch,
        source: Box::new(error),
    }
}

/// The QEMU for an architecture: the user's, the distribution's, or ours.
fn emulator(
    arch: Arch,
    named: Option<&PathBuf>,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Emulator, PrepareError> {
    let (binary, firmware) = match (named, arch) {
        (Some(path), Arch::X86_64) => (path.clone(), None),
        (Some(path), Arch::S390x) => (path.clone(), Some(firmware(cache)?)),
        (None, Arch::X86_64) => (PathBuf::from(arch.qemu_binary()), None),
        (None, Arch::S390x) => {
            let built = standby_qemu(packages, cache, ui)?;
            (built.binary, Some(built.firmware))
        }
    };
    let emulator = answering(arch, &binary, named.is_some(), firmware)?;
    cache.say_daily(&format!("{arch}: {}", emulator.1))?;
    Ok(emulator.0)
}

/// A QEMU that is there, asked what it is; with a word on how it runs guests here.
pub(super) fn answering(
    arch: Arch,
    binary: &Path,
    named: bool,
    firmware: Option<PathBuf>,
) -> Result<(Emulator, String), PrepareError> {
    // The name itself where it is not there, so that the error names it.
    let binary = host::in_path(binary).unwrap_or_else(|| binary.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let qemu = runtime
        .block_on(Qemu::ask(&binary, arch, firmware))
        .map_err(|source| match named {
            true => PrepareError::Named {
                arch,
                binary: binary.clone(),
                source: Box::new(source),
            },
            false => source.into(),
        })?;
    // Only standby memory is something that a QEMU may lack.
    let capabilities = match arch {
        Arch::X86_64 => None,
        Arch::S390x => {
            let asked = Capabilities::of(&binary);
            Some(asked.map_err(|source| PrepareError::Capabilities {
                binary: binary.clone(),
                source,
            })?)
        }
    };
    let choice = runtime.block_on(accel::choose(&qemu, arch));
    let loose = match qemu.sandbox {
        true => "",
        false => "; this QEMU was built without seccomp, and runs without its sandbox",
    };
    let emulator = Emulator {
        accel: choice.accel,
        version: qemu_version(&binary)?,
        sha256: cache::sha256_file(&binary)?,
        qemu,
        capabilities,
    };
    Ok((emulator, choice.why + loose))
}

/// What a QEMU says its version is, such as `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`.
///
/// # Errors
/// It does not run.
pub fn qemu_version(binary: &Path) -> Result<String, ExecError> {
    let said = Command::new(binary).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().next().unwrap_or_default();
    Ok(first.trim_start_matches("QEMU emulator version ").to_owned())
}

/// How guests of an architecture that the host could run itself are run here, and why; in one line. A probe guest runs for it.
///
/// # Errors
/// The QEMU does not run.
pub fn accelerator(binary: &Path) -> Result<String, PrepareError> {
    let arch = Arch::X86_64;
    let (_, why) = answering(arch, binary, false, None)?;
    Ok(why)
}

/// Our firmware for a QEMU that is not ours; in a cache that is only looked at, where it would be.
pub(super) fn firmware(cache: &Cache) -> Result<PathBuf, PrepareError> {
    let path = cache.dir("firmware")?.join("s390x-wait.elf");
    if !path.is_file() && !cache.only_looks() {
        fs_err::write(&path, qemu::firmware())?;
    }
    Ok(path)
}

/// Our QEMU, built if it was not yet. One that is there needs no source any more.
fn standby_qemu(packages: &Packages, cache: &Cache, ui: &Ui) -> Result<qemu::StandbyQemu, PrepareError> {
    let pinned = &qemu::SOURCE;
    if let Some(built) = qemu::find(&pinned.at(""), cache.root())? {
        return Ok(built);
    }
    let tarball = packages.fetch_source(DebianSuite::Trixie, pinned.package)?;
    if tarball.sha256 != pinned.sha256 {
        return Err(PrepareError::Source {
            wanted: pinned.version.to_owned(),
            seen: tarball.version,
        });
    }
    Ok(qemu::build(&pinned.at(tarball.path), cache.root(), ui)?)
}

impl Emulator {
    /// The word for how it runs guests.
    pub fn accel_word(&self) -> &'static str {
        match self.accel {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
            Accel::TcgIcount => "tcg with icount",
        }
    }
}

impl Rig {
    /// What a plan must know of its kernels.
    pub fn planned(&self) -> Vec<PlannedKernel> {
        let kernels = self.kernels.iter();
        kernels
            .map(|prepared| foresee::planned(&prepared.kernel))
            .collect()
    }
}

impl Prepared {
    /// Options of the configuration that say something about memory hotplug.
    pub(super) fn telling_options(&self) -> BTreeMap<String, String> {
        const TELLING: [&str; 12] = [
            "CONFIG_DEBUG_VM",
            "CONFIG_HUGETLB_PAGE",
            "CONFIG_KASAN",
            "CONFIG_MEMORY_HOTPLUG",
            "CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE",
            "CONFIG_MEMORY_HOTREMOVE",
            "CONFIG_MEMORY_NOTIFIER_ERROR_INJECT",
            "CONFIG_MHP_DEFAULT_ONLINE_TYPE_OFFLINE",
            "CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_AUTO",
            "CONFIG_MHP_MEMMAP_ON_MEMORY",
            "CONFIG_PAGE_OWNER",
            "CONFIG_SPARSEMEM_VMEMMAP",
        ];
        let Some(config) = &self.kernel.config else {
            return BTreeMap::new();
        };
        TELLING
            .iter()
            .map(|option| ((*option).to_owned(), config.shown(option).into_owned()))
            .collect()
    }
}
