// SPDX-License-Identifier: MIT OR Apache-2.0
//! The index over many runs: what each case came to and which code it ran, and what operations cost, run by run, ready to be asked.
//!
//! The results folder is the truth. The index is an SQLite file that is made from it and can be thrown away: it is
//! brought up to date before it is asked, and made anew whenever it does not read.

mod cost;
mod cover;
mod head;
mod query;
mod seen;
mod store;
#[cfg(test)]
mod tests;

pub use cost::Cost;
pub use cover::{CoveredBy, LastCovered};
pub use query::Which;
pub use seen::{Boot, HistoryKey, RunVerdict, Seen, Unsteady};
pub use store::{Index, IndexError, Refreshed, Unread};
