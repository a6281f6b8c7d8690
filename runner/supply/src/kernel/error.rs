// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no kernel.

use std::{collections::BTreeSet, io, path::PathBuf};

use super::{header::HeaderError, modules::ModuleError, source::SourceKernelError, spec::PackageForm};
use crate::{
    cache::{CacheError, NotHere},
    packages::{DebianSuite, PackagesError},
};
use base::{
    Arch,
    fault::{Blame, Blamed},
    named::NoText,
};
use format::{build_id::BuildId, deb::DebError, kconfig::KconfigError, lines::LinesError, rpm::RpmError};

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// One of Debian's form.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// One of RPM's.
    #[error(transparent)]
    Rpm(#[from] RpmError),
}

/// Why a kernel could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Getting its packages.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A package of it.
    #[error("unpacking `{package}`")]
    Unpack {
        /// The package.
        package: String,
        /// What is wrong.
        source: PackageError,
    },
    /// No package has it.
    #[error("the packages of {label} have no {what}; they are: {packages}")]
    Missing {
        /// The kernel.
        label: String,
        /// What is not there.
        what: &'static str,
        /// Name and version of each.
        packages: String,
    },
    /// The suite has no kernel of this version.
    #[error(
        "{suite} has no kernel of version {version} for {arch}: it has {there}; `memrig setup --refresh` asks the mirror again"
    )]
    NoVersion {
        /// The suite.
        suite: DebianSuite,
        /// The version.
        version: String,
        /// The architecture.
        arch: Arch,
        /// The versions that there are.
        there: String,
    },
    /// A file that is no package.
    #[error("`{path}`")]
    NoPackage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PackageError,
    },
    /// A package that does not say what it is.
    #[error("`{path}` does not say its {field}: its `control` has none")]
    Control {
        /// The file.
        path: PathBuf,
        /// What is not there.
        field: &'static str,
    },
    /// A package of another architecture.
    #[error("`{path}` is a package for {found}, and {expected} was asked for")]
    PackageArch {
        /// The file.
        path: PathBuf,
        /// The distribution's name of the architecture that it is for.
        found: String,
        /// What was asked for.
        expected: Arch,
    },
    /// A kernel in several packages, of which some were not named.
    #[error(
        "{label} has no {what}, and depends on {lacks}: name these files too (`{form}:FILE.{form}+FILE.{form}`)"
    )]
    Split {
        /// The form of its packages.
        form: PackageForm,
        /// The kernel.
        label: String,
        /// What is not there.
        what: &'static str,
        /// Name and version of each package that was not named.
        lacks: String,
    },
    /// The file is no kernel, or not of this architecture.
    #[error("`{path}` cannot be booted")]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
    /// A folder without a kernel.
    #[error(
        "`{}` has no kernel: expected `arch/x86/boot/bzImage` or `arch/s390/boot/bzImage`, as where one was built, `vmlinuz-RELEASE`, \
         as in /boot, or `vmlinuz`", .0.display()
    )]
    EmptyFolder(PathBuf),
    /// A folder with several kernels.
    #[error("`{path}` has several kernels: name one of them, {images}")]
    SeveralImages {
        /// The folder.
        path: PathBuf,
        /// The words that name each.
        images: String,
    },
    /// Its modules.
    #[error("the modules in `{path}`")]
    Modules {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: ModuleError,
    },
    /// Not its modules.
    #[error(
        "`{path}` has no modules of this kernel: expected `modules.order` or `kernel/` in it, or in `lib/modules/{release}` under it"
    )]
    NoModules {
        /// The directory that was named.
        path: PathBuf,
        /// Release of the image.
        release: String,
    },
    /// Its configuration.
    #[error("`{path}`")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KconfigError,
    },
    /// Its configuration is no text.
    #[error("`{path}`")]
    NoText {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NoText,
    },
    /// Its `vmlinux` has no line tables.
    #[error("`{path}`")]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: LinesError,
    },
    /// Its `vmlinux` is of another kernel.
    #[error(
        "`{vmlinux}` is not of the kernel in `{image}`, and would tell wrong lines: its build id is {id}, and that of the image {}",
        .of_image.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    )]
    OtherVmlinux {
        /// The file with the line tables.
        vmlinux: PathBuf,
        /// The image.
        image: PathBuf,
        /// Build id of the former.
        id: BuildId,
        /// What may be that of the latter.
        of_image: BTreeSet<BuildId>,
    },
    /// Its configuration says nothing.
    #[error("`{0}` is no kernel configuration: it sets no option")]
    EmptyConfig(PathBuf),
    /// Its source.
    #[error(transparent)]
    Source(Box<SourceKernelError>),
    /// A file; the source has its path.
    #[error("getting a kernel")]
    Io(#[from] io::Error),
}

impl Blamed for KernelError {
    /// Usage, where what was named is no kernel, or its source says so.
    fn blame(&self) -> Blame {
        match self {
            Self::Image { .. }
            | Self::NoVersion { .. }
            | Self::NoPackage { .. }
            | Self::Control { .. }
            | Self::PackageArch { .. }
            | Self::Split { .. }
            | Self::EmptyFolder(_)
            | Self::SeveralImages { .. }
            | Self::NoModules { .. }
            | Self::Config { .. }
            | Self::NoText { .. }
            | Self::Lines { .. }
            | Self::OtherVmlinux { .. }
            | Self::EmptyConfig(_)
            | Self::Io(_) => Blame::Usage,
            Self::Source(error) => error.blame(),
            _ => Blame::Bench,
        }
    }
}

impl KernelError {
    /// What would be got or built, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            Self::Packages(error) => error.not_here(),
            Self::Source(error) => error.not_here(),
            _ => None,
        }
    }
}
