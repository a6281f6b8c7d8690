// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sources, series, and what becomes of one on the other.

mod applied;
mod ground;
mod named;
