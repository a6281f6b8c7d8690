// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels: something bootable with its facts.

mod debian;
mod header;
mod modules;
mod obtain;
pub mod source;

pub use header::{Header, HeaderError};
pub(crate) use modules::ModuleFile;
pub use modules::{ModuleError, Modules};
pub use obtain::{
    Kernel, KernelError, KernelSource, Known, SeriesChanges, SourceError, check, host_packages, known, label,
    obtain,
};

#[cfg(test)]
pub(super) use header::tests::{s390_image, x86_image};
