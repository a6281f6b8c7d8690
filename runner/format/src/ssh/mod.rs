// SPDX-License-Identifier: MIT OR Apache-2.0
//! A shell in a guest, over SSH.
//!
//! libssh2 blocks, and serves one call at a time, so that a session has a thread of its own. Its exit status cannot be believed: it is 0
//! also where a connection broke in mid-command or where a signal ended it. A command counts as done only if its output was read to
//! the end, the channel closed in order, no signal is reported, and the trailer that our own shell text prints has come.
//!
//! A [`Carry`] is a command whose streams are ours, with a terminal or without; what it ended with is not asked of libssh2 either.

mod carry;
mod error;
mod escape;
mod script;
mod session;
mod wire;

pub use carry::{Carried, Carry, Pty, Resizer};
pub use error::SshError;
pub use session::{Login, Output, Session};
