// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cpu`: switches a CPU of the guest on or off.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{places::Spot, text};
use base::Errno;

/// Switches a CPU of the guest. Exactly one of `on` and `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cpu")]
pub(crate) struct RawCpu {
    /// The number of the CPU that goes on.
    #[serde(default)]
    pub(crate) on: Option<u32>,
    /// The number of the CPU that goes off.
    #[serde(default)]
    pub(crate) off: Option<u32>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
}

/// Switches a CPU of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// Which; the first is 0.
    pub number: u32,
    /// On, and not off.
    pub on: bool,
    /// The error that the write must return.
    pub fails: Option<Errno>,
}

impl Word for RawCpu {
    type Step = Cpu;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Cpu {
        let (number, on) = match (self.on, self.off) {
            (Some(number), None) => (number, true),
            (None, Some(number)) => (number, false),
            _ => {
                checker.notes.wrong(at, "expected exactly one of `on` and `off`");
                (0, true)
            }
        };
        let cpus = checker.machine.cpus;
        if number >= cpus {
            let key = if on { "on" } else { "off" };
            let message = format_args!("the machine has no CPU {number}: it has {cpus}");
            let hint = Some(format!("say `machine: {{ cpus: {} }}`", number.saturating_add(1)));
            checker.notes.wrong_but(&at.value(key), message, hint);
        }
        Cpu {
            number,
            on,
            fails: self.fails,
        }
    }
}

impl Keys for Cpu {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key(if self.on { "on" } else { "off" }, self.number)?;
        line.some("fails", self.fails.as_ref())
    }
}
