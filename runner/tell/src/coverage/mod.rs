// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which code the cases of a run ran: for a person, and in the forms that other programs read.

mod cobertura;
mod counts;
mod lcov;
mod markdown;
mod summary;

pub use cobertura::cobertura;
pub use lcov::lcov;
pub use markdown::coverage_markdown;
pub use summary::{coverage_json, coverage_summary};

#[cfg(test)]
mod tests;
