// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a case: the guest under test, the steps that act on it or look at it, its log, and what became of all that.

mod act;
#[cfg(test)]
mod act_tests;
mod bench;
mod busy;
mod commands;
#[cfg(test)]
mod commands_tests;
mod cpu;
pub(crate) mod dimm;
mod drawn;
#[cfg(test)]
pub(crate) mod fake;
mod guest;
mod hold;
#[cfg(test)]
mod hold_tests;
mod hypervisor;
pub(crate) mod inside;
mod known;
#[cfg(test)]
mod known_tests;
mod level;
#[cfg(test)]
mod level_tests;
mod life;
#[cfg(test)]
mod life_tests;
mod lists;
mod load;
#[cfg(test)]
mod load_tests;
mod log;
mod look;
#[cfg(test)]
mod look_tests;
mod needs;
mod node;
pub(crate) mod notifiers;
mod outcome;
mod parallel;
#[cfg(test)]
mod parallel_tests;
mod pressure;
#[cfg(test)]
mod pressure_tests;
mod protocol;
mod script;
mod selftests;
mod standby;
mod steps;
mod subtests;
mod sweep;
#[cfg(test)]
mod sweep_tests;
mod trouble;
mod veto;
mod watch;

pub(crate) use drawn::{Drawn, Tried, acts, tried};
pub(crate) use guest::{Guests, UnderTest};
pub(crate) use life::{INTERRUPTED, run};
pub(crate) use log::{Found, findings, weigh};
pub(crate) use trouble::{Trouble, chain};
