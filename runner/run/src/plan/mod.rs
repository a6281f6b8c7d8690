// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be run: from suites and kernels to jobs, which of them are meant, in which order, on which host and machine. Pure.

mod jobs;
mod machine;
mod matrix;
mod order;
mod selection;
mod shard;

pub use jobs::{Job, LoadedSuite, PlannedKernel, plan, repeated};
pub(crate) use machine::{dry_run, spec};
pub use matrix::{matrix_jobs, times};
pub(crate) use order::{Place, order};
pub use selection::{Filter, Missed};
pub use shard::{BadShard, By, Shard};
