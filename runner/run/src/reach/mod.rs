// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cases by the code that they ran when they were covered last, and which of them are chosen.

mod asked;
mod choose;
#[cfg(test)]
mod samples;

pub use choose::{ReachError, Reaches};
