// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patch series: what a person names, and the commits that it becomes on a source tree of our own.

mod apply;
mod b4;
mod base;
mod excerpt;
mod files;
mod source;

#[cfg(test)]
mod tests;

pub use self::base::{Base, base};
pub(crate) use apply::apply;
pub use apply::{Applied, AppliedPatch, ApplyError, NotApplied, on_base};
pub use source::{LoadedSeries, SeriesError, SeriesPlace, SeriesSource};
