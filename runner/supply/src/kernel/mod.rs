// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels: something bootable with its facts.

mod debian;
mod error;
mod folder;
mod header;
mod label;
mod modules;
mod obtain;
mod package;
mod part;
pub mod source;
mod spec;
mod unpack;

pub use error::{KernelError, PackageError};
pub use header::{Header, HeaderError};
pub use label::{SameName, different_names, told_apart};
pub(crate) use modules::ModuleFile;
pub use modules::{ModuleError, Modules};
pub use obtain::{
    Kernel, KernelPackage, KnownKernel, SeriesChanges, check, check_listed, host_packages, known, obtain,
    only_arch,
};
pub use spec::{KernelName, KernelSource, KernelSpec, PackageForm, SourceError};

#[cfg(test)]
pub(super) use header::tests::{s390_image, x86_image};
