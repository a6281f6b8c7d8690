// SPDX-License-Identifier: MIT OR Apache-2.0
//! memrig: a test bench for Linux memory-hotplug patch series.
//!
//! The rooms, from bottom to top: [`base`]; [`format`](mod@format) and [`memory`]; [`rig`], [`suite`] and [`record`];
//! [`compare`]; [`run`] and [`tell`]; [`cli`]. A room uses only rooms below it; `tests/it/layering.rs` holds that.

pub mod base;
pub mod cli;
pub mod compare;
pub mod format;
pub mod memory;
pub mod record;
pub mod rig;
pub mod run;
pub mod suite;
pub mod tell;
