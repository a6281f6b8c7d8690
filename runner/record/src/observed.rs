// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is seen of a case beside its ledgers, where kernels are compared: `observed.json` in the case's folder.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Everything that was seen of one attempt at a case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedCase {
    /// Before the first step, and after each step that acts.
    pub steps: Vec<Observed>,
    /// Which lock was taken while which was held, as `HELD -> TAKEN`, among those that memory hotplug takes. `None` on a kernel
    /// without lockdep.
    pub lock_edges: Option<BTreeSet<String>>,
}

/// What was seen of one step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Its place in the case, from 1; `None` for what was there before the first.
    pub step: Option<u32>,
    /// The guest's files that were written, in order: path, value, and `ok` or the kernel's errno.
    pub results: Vec<String>,
    /// Notifications of the memory chain, in order; `None` where the kernel has no means to show them.
    pub notifications: Option<Vec<String>>,
    /// Storage commands that QEMU saw, in order, with its responses; `None` where there are none to see.
    pub storage_commands: Option<Vec<String>>,
    /// Files below `/sys` with their contents, as far as they are not as they were at the entry before; `None` for one that is gone.
    pub sysfs: BTreeMap<String, Option<String>>,
}
