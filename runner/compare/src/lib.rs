// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing two kernels by what was seen of them under the same plan. Pure: what was seen goes in, what differs comes out.
//!
//! A case is a row of moments: the boot, each step, the end. At each of them things are observed ([`CaseSeen`]). Two rows are
//! laid beside each other (`Pair`); what differs counts when it differs in every pair that was run (`judge`).
//!
//! It may use `record`, `memory` and `base`.

mod judge;
mod names;
mod pair;
mod record;
mod seen;
mod standing;

pub use self::record::{
    ArchComparison, COST_SLACK, CompareRecord, CostRow, KernelSide, Kind, NotCompared, Row, compare_exit,
    cost_rows, cost_unpaired,
};
pub use judge::{CaseRounds, open, summed};
pub use pair::{Difference, verdict_and_reason};
pub use seen::{CaseSeen, Dimension};
pub use standing::{Standing, changed_standing};
