// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the operations of memory hotplug cost, in instructions of the guest.

mod counts;
mod functions;
mod kernels;
mod measure;
mod operations;

pub use kernels::{Costs, CostsError, costs};
pub use measure::{CostOptions, CountingError, NoCost, counting, measure};
