// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children: every program that memrig starts is started here.
//!
//! A child leads a process group of its own, dies with memrig even if memrig is killed, and is ended by its group. It reads
//! nothing from the terminal. What it prints goes to a file, to a pipe, or nowhere, but never to the terminal by itself.

mod child;
mod command;
mod error;
mod shell;
#[cfg(test)]
mod tests;

pub use child::Child;
pub use command::Command;
pub use error::{ExecError, ended};
pub use shell::{shell_line, shell_quote};
