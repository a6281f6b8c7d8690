// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running machine: one QEMU with its monitor and its console.
//!
//! [`MachineSpec`] describes it, [`command_line`] turns the description into arguments, and [`Machine`] runs it. What a guest
//! says on its console is read from before its first instruction on, and its end, whatever it is, is noticed when it comes and
//! not by a time limit. Nothing here knows what runs in the guest.

mod ask;
mod command_line;
mod console;
mod end;
mod launch;
mod logs;
mod meter;
mod monitor;
mod port;
mod running;
mod saved;
mod share;
mod spec;

pub use command_line::{Wiring, command_line};
pub use console::{Console, Line, Lines};
pub use end::{End, PanicSource, Wait};
pub use launch::StartOptions;
pub use logs::{Clock, Logs};
pub use meter::Meter;
pub use running::{Machine, MachineError};
pub use saved::Memory;
pub use share::Share;
pub use spec::{Accel, Counter, Hotplug, MachineSpec, MemoryFiles, Property, Qemu, SpecError, Standby};

pub(crate) use saved::State;
