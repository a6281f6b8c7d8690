// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running: from what is asked for to a record. `select` and `again` find out what is meant, `plan` makes jobs, `session` gets what they need and
//! starts them, `case` is the life of one, and `cost` measures what an operation takes. On top of runs are the pairs of a comparison, a search
//! for a commit, a walk along a series, the tasks of a cluster, and what earlier runs say.
//!
//! It may use all crates but `tell` and `cli`. It is where `supply` and `vm` meet: what the one made is handed to the other.

mod again;
mod bisect;
mod case;
mod cluster;
mod compare;
mod cost;
mod cover;
mod explore;
mod onto;
mod pairs;
mod past;
mod plan;
mod reach;
mod select;
mod session;
mod shell;
mod walk;

pub use again::{AgainError, around_again, replayed, resumed, selection_of};
pub use bisect::{Range, Search, SearchError, Searched, code_for_git, good, good_word};
pub use cluster::{ClusterError, Followed, Follower, Order, Parts, submit, task_memory};
pub use cost::{CostOptions, Costs, CostsError, CountingError, NoCost, costs, counting, measure};
pub use cover::LibraryError;
pub use explore::{Budget, ExploreError, ExploredBoth, Leading, Sequences, explore, explore_first, planned};
pub use onto::OntoError;
pub use pairs::{After, Comparison, ComparisonError, Pair};
pub use past::{PastError, open_index, seen_before, times_before};
pub use plan::{
    BadShard, BadTarget, By, Expression, Filter, Job, LoadedSuite, NoExpression, PlannedKernel, Shard,
    Target, repeated,
};
pub use reach::{ReachError, Reaches};
pub use select::{LoadedMatrix, SelectError, Selected, Selection, check_words, get, kernels};
pub use session::{
    Emulator, Foreseen, How, Outcome, PrepareError, Prepared, Rehearsed, Request, Rig, RunError, Wanted,
    accelerator, host_packages, prepare, qemu_version, rehearse, run,
};
pub use shell::{NoShell, open_shell};
pub use walk::{Walk, fill, walk};
