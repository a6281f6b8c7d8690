// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it takes to have a guest: the host, packages, kernels, images, QEMU, a running machine and the Linux in it.

pub mod accel;
pub mod cache;
mod git;
pub mod guest;
pub mod host;
pub mod image;
pub mod kernel;
pub mod keys;
pub mod machine;
pub mod packages;
pub mod qemu;
pub mod scratch;
pub mod selftests;
pub mod series;
pub mod slots;
pub mod slurm;
pub mod tree;
