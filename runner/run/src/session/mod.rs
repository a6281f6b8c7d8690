// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run: what it needs is got, its jobs are started as the host has room for them, and their guests come from templates.

mod foresee;
mod prepare;
mod progress;
mod queue;
mod rehearse;
mod room;
mod rounds;
mod run;
mod schedule;
mod stage;
mod templates;

pub use foresee::Foreseen;
pub(crate) use foresee::foresee;
pub use prepare::{
    Emulator, PrepareError, Prepared, Rig, Wanted, accelerator, host_packages, prepare, qemu_version,
};
pub(crate) use queue::QEMU_OVERHEAD;
#[cfg(test)]
pub(crate) use rehearse::nowhere;
pub use rehearse::{Rehearsed, rehearse};
pub(crate) use rounds::{again, how_often};
pub use run::{How, Outcome, Request, RunError, run};
pub(crate) use run::{begin, facts, finish, run_and_see, tell};
pub(crate) use schedule::{Admission, Capacity, Stop, for_guests, run_all, waited_for};
pub(crate) use stage::{Keys, NoGuest, Origin, Stage, boot};
pub(crate) use templates::Slot;
