// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults that are done to memrig and to what it stands on, and what must come of each: no wrong verdict, nothing lost, nothing left.
//!
//! The tests `faults` do some of them once, `cargo bench --bench faults` does all, as often as it is told to.

mod cache;
mod calls;
mod faults;
mod guest;
mod host;
mod processes;
mod qemu;
mod run;
mod scene;

pub(crate) use faults::{Fault, faults};
pub(crate) use scene::{Harm, Tried, tried};
