// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cases by the code that they ran when they were covered last: which of them are chosen, and which have their turn first.

mod asked;
mod choose;
#[cfg(test)]
mod samples;
mod turns;

pub use choose::{ReachError, Reaches};
pub(crate) use turns::turns_by_series;
