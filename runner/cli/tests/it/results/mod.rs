// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs as they are written down, read back and reported.

mod committed;
mod cut_off;
mod formats;
mod hostile;
mod junit;
mod prune;
pub(crate) mod sample;
mod subcases;
pub(crate) mod summary;
mod xml;
