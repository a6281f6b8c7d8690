// SPDX-License-Identifier: MIT OR Apache-2.0
//! Protocols and file formats: what QEMU, Linux, Debian, Slurm and people who send patches write, and what they read.
//!
//! It knows nothing of tests, and keeps nothing: bytes or a connection in, typed values out. It uses `base` alone. The feature `samples` has
//! packages and modules that are made for the tests of the crates above.

pub mod build_id;
pub mod cover;
pub mod cpio;
pub mod deb;
pub mod elf;
pub mod kallsyms;
pub mod kconfig;
pub mod klog;
pub mod ktap;
pub mod line;
pub mod lines;
pub mod mail;
mod packing;
pub mod qmp;
pub mod rpm;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod slurm;
pub mod ssh;
pub mod standby;
