// SPDX-License-Identifier: MIT OR Apache-2.0
//! `repeat`: does steps several times.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    action::Step,
    checker::Checker,
    line::Line,
    table::RawStep,
    word::{Keys, Word},
};
use crate::{limits, places::Spot};

/// Does steps several times.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Repeat")]
pub(crate) struct RawRepeat {
    /// How often; up to 100000, with the `repeat` around it.
    pub(crate) times: u32,
    /// What.
    pub(crate) steps: Vec<RawStep>,
    /// Whether nothing may go with the rounds: free pages, and the objects of kmalloc, of files of sysfs and of radix trees. Each round ends as it
    /// began. What rises by half a page or an object a round, or falls, in each quarter of the rounds is told with its readings. Takes 9 rounds or
    /// more; of one page or object a round, 40 are sure to show it.
    #[serde(default)]
    pub(crate) level: Option<bool>,
}

/// Does steps several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// How often, at least 1.
    pub times: u32,
    /// What.
    pub steps: Vec<Step>,
    /// Whether counters that go with the rounds are a failure.
    pub level: bool,
}

/// Fewest rounds whose quarters are of two or more.
const FEWEST_LEVEL: u32 = 9;

impl Word for RawRepeat {
    type Step = Repeat;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Repeat {
        if self.times == 0 {
            checker.notes.wrong(&at.value("times"), "nothing would be done");
        }
        let level = self.level.unwrap_or(false);
        if level && self.times < FEWEST_LEVEL {
            let message = format_args!(
                "{} rounds show no slope: expected {FEWEST_LEVEL} or more",
                self.times
            );
            checker.notes.wrong(&at.value("times"), message);
        }
        if self.steps.is_empty() {
            checker.notes.wrong(&at.value("steps"), "there are no steps");
        }
        let outside = checker.rounds;
        checker.rounds = outside.saturating_mul(self.times.max(1));
        if checker.rounds > limits::ROUNDS {
            let within = if outside > 1 {
                format!(" in {outside} rounds")
            } else {
                String::new()
            };
            let message = format_args!(
                "{}{within} are too many: expected up to {} in all",
                self.times,
                limits::ROUNDS
            );
            checker.notes.wrong(&at.value("times"), message);
        }
        let steps = match self.times {
            0 | 1 => checker.list(&self.steps, &at.value("steps")),
            _ => checker.again_and_again(&self.steps, &at.value("steps")),
        };
        checker.rounds = outside;
        Repeat {
            times: self.times,
            steps,
            level,
        }
    }
}

impl Keys for Repeat {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("times", self.times)?;
        if self.level {
            line.key("level", true)?;
        }
        line.steps("steps", &self.steps)
    }
}
