// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running: from suites and kernels to a record. `plan` makes jobs, `session` gets what they need and starts them, `case` is the life of one, and `cost`
//! measures what an operation takes.
//!
//! It may use all crates but `tell` and `cli`. It is where `supply` and `vm` meet: what the one made is handed to the other.

mod case;
mod compare;
mod cost;
mod plan;
mod session;
mod shell;
mod walk;

pub use self::compare::{Rounds, SeenError, add_round, compare_jobs, compared};
pub use cost::{CostError, CostOptions, Costs, CostsError, CountingError, costs, counting, measure};
pub use plan::{
    BadShard, By, Filter, Job, LoadedSuite, Missed, PlannedKernel, Shard, matrix_jobs, plan, repeated, times,
};
pub use session::{
    Capacity, Emulator, Foreseen, HOST_RESERVE, Outcome, PrepareError, Prepared, Request, Rig, RunError,
    Stop, Wanted, foresee, host_packages, prepare, qemu_version, run, usual_guests,
};
pub use shell::{NoShell, open_shell};
pub use walk::{Walk, WalkError, fill, walk};
