// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that memrig reads and somebody else writes, and what becomes of it when it is damaged: whatever comes, a reader answers, and soon.
//!
//! The test `inputs` tries each reader for a moment, `cargo bench --bench inputs` for as long as it is told to.

mod damage;
mod readers;
mod tried;

pub(crate) use readers::readers;
pub(crate) use tried::{Enough, tried};
