// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it takes to have a guest: the host and what is kept on it, packages, source trees, patch series, kernels, images, a QEMU of our own,
//! and a cluster.
//!
//! It may use `format`, `memory` and `base`. It never meets `vm`: what is made here are files and their facts, and no guest is run. What was
//! got or made once is in the [`cache`].

pub mod cache;
pub mod confined;
mod git;
pub mod host;
pub mod image;
pub mod kernel;
pub mod packages;
pub mod qemu;
pub mod selftests;
pub mod series;
pub mod slots;
pub mod slurm;
pub mod tree;
pub mod unused;
