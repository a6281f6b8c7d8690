// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's machine protocol: commands, their replies, and events.
//!
//! The types of commands and events are `qapi`'s; the transport is our own. `qapi`'s transport ends at the first event that its
//! schema does not know (`MEM_UNPLUG_ERROR` of QEMU 7.2, which a refused unplug sends), and aborts the process after a command
//! whose future was dropped, as every time-out does.
//!
//! There are no time limits here: every future can be dropped at any time, and the caller races it against what it likes.

mod client;
mod error;
mod event;
#[cfg(test)]
mod tests;

pub use client::{Client, Direction, Transcript};
pub use error::QmpError;
pub use event::{Event, Events, NoEvent, Timestamp};
