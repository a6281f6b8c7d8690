// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's userland: an initramfs out of Debian's packages, our init, and the modules that the kernel needs.
//!
//! It depends on its inputs alone: same inputs, same bytes. The keys of a run come in a second small archive behind it.

mod initramfs;
mod programs;
mod userland;

pub use initramfs::{Extra, Image, ImageError, keys_cpio, obtain};
pub(crate) use initramfs::{SPARE_MODULES, boot_modules};
