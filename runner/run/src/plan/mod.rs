// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be run: from suites and kernels to jobs, which of them are meant, in which order, on which host and machine. Pure.

mod around;
mod expression;
mod jobs;
mod machine;
mod matrix;
mod order;
mod reach;
mod selection;
mod shard;

pub(crate) use around::go_around;
pub use expression::{Expression, NoExpression};
pub(crate) use jobs::plan;
pub use jobs::{Job, LoadedSuite, PlannedKernel, repeated};
pub(crate) use machine::{dry_run, spec, spec_of};
pub(crate) use matrix::{matrix_jobs, times};
pub(crate) use order::{Queued, order};
pub use reach::{BadTarget, Target};
pub(crate) use reach::{Turn, Turns, in_words, some_of, sources};
pub use selection::Filter;
pub use shard::{BadShard, By, Shard};
