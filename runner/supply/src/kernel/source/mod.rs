// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels from source: a tree, a series on it, and a configuration out of `kconfigs/`, built for an architecture.

mod asked;
mod build;
mod fragments;
mod log;
mod obtain;
mod spec;
mod table;
mod toolchain;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod built_tests;
#[cfg(test)]
mod tests;

pub use asked::{Lost, Weight};
pub use build::make_alone;
pub use fragments::UnknownFragment;
pub use log::{NotBuilt, Warning};
pub use obtain::{BuiltKernel, Prospect, SourceKernelError, build_kernel, prospect};
pub use spec::{BuildSpec, BuildSpecError};
pub use toolchain::CompilerError;

pub(super) use obtain::{check, host_packages, obtain};
