// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running: from suites and kernels to a record. Plan (pure), prepare (get what is needed) or foresee (get nothing), schedule, and the life of a case.
//!
//! It may use all crates but `tell` and `cli`. It is where `supply` and `vm` meet: what the one made is handed to the other.

mod act;
mod bench;
mod busy;
mod case;
mod compare;
mod cost;
mod costs;
mod dimm;
mod foresee;
mod inside;
mod known;
mod lists;
mod log;
mod look;
mod matrix;
mod needs;
mod notifiers;
mod order;
mod plan;
mod prepare;
mod room;
mod rounds;
mod schedule;
mod script;
mod selftests;
mod session;
mod shard;
mod shell;
mod stage;
mod steps;
mod subtests;
mod tale;
mod templates;
mod trouble;
mod walk;
mod watch;

pub use self::compare::{Rounds, SeenError, add_round, compare_jobs, compared};
pub use cost::{CostError, CostOptions, CountingError, counting, measure};
pub use costs::{Costs, CostsError, costs};
pub use foresee::{Foreseen, foresee};
pub use matrix::{matrix_jobs, times};
pub use plan::{Filter, Job, LoadedSuite, Missed, PlannedKernel, plan, repeated};
pub use prepare::{Emulator, PrepareError, Prepared, Rig, Wanted, host_packages, prepare, qemu_version};
pub use schedule::{Capacity, HOST_RESERVE, Stop, usual_guests};
pub use session::{Outcome, Request, RunError, run};
pub use shard::{BadShard, By, Shard};
pub use shell::{NoShell, open_shell};
pub use walk::{Walk, WalkError, fill, walk};
