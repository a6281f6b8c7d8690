// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log, from the console or from dmesg, sorted into findings.
//!
//! Bytes go in, as they came and not always UTF-8; [`Finding`]s come out: one for each event that the kernel reported. A line
//! counts as the kernel's only behind printk's prefix (`[    1.234567] `, also with a caller or a `<4>`, also after userspace's words
//! on the same line), so boot with `printk.time=1`. A log whose `Kernel command line:` line has no prefix is taken as a log
//! without times, and from there every line counts.
//!
//! [`is_panic`] says of a line that the kernel died; [`classify`] reads a whole log.
//!
//! It does no I/O, knows no suite and forgives nothing: which findings a case allows is the case's matter.

mod classify;
#[cfg(test)]
mod corpus;
mod injected;
mod kind;
mod line;
mod pattern;
mod place;
mod report;
mod rules;
mod tasks;
#[cfg(test)]
mod tests;
mod title;

pub use classify::{classify, has_spoken, is_panic};
pub use injected::failed_allocation;
pub use kind::{Finding, Kind, UnknownKind};
pub use tasks::{Task, is_idle, stands_still, stuck, tasks};

pub(crate) use kind::MAX_LINES;
