// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exploring: sequences that the crate `explore` draws run in guests of a kernel until their time is over; each failure that nobody knows is made
//! shorter there and then, and what is left of it is run as a suite like any other.

mod both;
mod exploration;
mod field;
#[cfg(test)]
mod field_tests;
mod findings;
mod kept_file;
mod kernel;
mod lead;

pub use both::ExploredBoth;
pub(crate) use both::explore_both;
pub use exploration::{Budget, ExploreError, Leading, Sequences, explore, explore_first, planned};
