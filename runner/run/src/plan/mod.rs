// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be run: from suites and kernels to jobs, which of them are meant, in which order and on which host. Pure.

mod jobs;
mod matrix;
mod order;
mod shard;

pub use jobs::{Filter, Job, LoadedSuite, Missed, PlannedKernel, plan, repeated};
pub use matrix::{matrix_jobs, times};
pub(crate) use order::{Place, order};
pub use shard::{BadShard, By, Shard};
