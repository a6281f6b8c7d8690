// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a report about time that went by speaks against the kernel, or against a host that did not let its CPUs run.

use crate::machine::{Console, End, Machine, Meter, Share};
use format::klog::{self, Finding};

/// What a machine said, and what the host gave it; outlives the machine.
#[derive(Debug, Clone)]
pub struct Witness {
    console: Console,
    meter: Meter,
}

impl Witness {
    /// That of a machine.
    pub fn of(machine: &Machine) -> Self {
        Self {
            console: machine.console().clone(),
            meter: machine.meter().clone(),
        }
    }

    /// What the machine got of the time that a report speaks of. `None` if it had enough, or time plays no part in the report, which then is the
    /// kernel's. `log` is what the report was found in.
    pub fn starved(&self, log: &str, finding: &Finding) -> Option<Share> {
        let span = finding.span?;
        let line = usize::try_from(finding.line)
            .ok()
            .and_then(|line| log.lines().nth(line.checked_sub(1)?));
        // A line that the console does not have may have come at any time.
        let at = line.and_then(|line| self.console.when(line));
        self.meter.worst(span, at).filter(Share::is_starved)
    }

    /// The same for a panic that ended the machine.
    pub fn starved_end(&self, end: &End) -> Option<Share> {
        let End::Panicked { line, .. } = end else {
            return None;
        };
        let found = klog::classify(line.as_bytes());
        found.iter().find_map(|finding| self.starved(line, finding))
    }
}
