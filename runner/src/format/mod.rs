// SPDX-License-Identifier: MIT OR Apache-2.0
//! Protocols and file formats. This room knows nothing of tests.

pub mod cpio;
pub mod deb;
pub mod elf;
pub mod kconfig;
pub mod klog;
pub mod ktap;
pub mod line;
pub mod mail;
pub mod qmp;
pub mod slurm;
pub mod ssh;
