// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison of two kernels: the answer, the differences, and what was not compared.

mod csv;
mod mail;
mod ran;
mod summary;
#[cfg(test)]
mod tests;
mod words;

pub use csv::compare_csv;
pub use mail::compare_mail;
pub(super) use ran::{SeriesFile, series_files};
pub use summary::compare_summary;
pub(super) use summary::{Compared, besides, compared};
pub(super) use words::ran;
