// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest without QEMU: the naive books of its memory, a shell that knows the scripts of the bench, and QEMU's answers to its questions. It can
//! be told to lie, to refuse, to hang, to die and to lose the connection.

mod at_work;
mod fault;
mod guest;
mod held;
mod kernel;
mod lab;
mod qemu;

pub(super) use fault::Death;
pub(crate) use fault::Fault;
pub(super) use guest::Fake;
pub(crate) use held::HeldFault;
pub(crate) use lab::{Lab, Setup};
pub(super) use lab::{cases, comes_to, steps_of, tried};
