// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slurm: the text of a job's script, what its programs print, and what is to be done about a task. Pure.

mod judge;
mod queue;
mod script;

pub use judge::{Action, Attempt, Ended, MOST, Task};
pub use queue::{
    QUEUE_FORMAT, Row, SACCT_FORMAT, State, TroubleKind, job_id, parse_queue, parse_sacct, trouble,
};
pub use script::{BadScript, Script, attempt_name};

pub(crate) use queue::Exit;
