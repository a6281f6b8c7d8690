// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which code of its kernel each case ran: QEMU's plugin notes it, the guest says where its kernel lies, and the run's coverage keeps it.

mod dead;
mod functions;
mod keep;
mod logged;
mod place;
mod plugin;
mod ran;
mod subject;
mod subject_code;

pub(crate) use functions::{ChangedCode, changed_code};
pub(crate) use keep::{Cover, RanInTurn, SYMBOLS_SCRIPT, Whose};
pub use plugin::LibraryError;
pub(crate) use plugin::libraries;
pub(crate) use ran::kernels_with_lines;
pub(crate) use subject_code::Reached;
#[cfg(test)]
pub(crate) use subject_code::SubjectCode;
