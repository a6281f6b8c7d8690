// SPDX-License-Identifier: MIT OR Apache-2.0
//! `log`: looks at the kernel log since boot.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{pattern::Pattern, places::Spot};

/// Looks at the kernel log since boot. At least one of `has` and `lacks`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Log")]
pub(crate) struct RawLog {
    /// A line must match.
    #[serde(default)]
    pub(crate) has: Option<Pattern>,
    /// No line may match.
    #[serde(default)]
    pub(crate) lacks: Option<Pattern>,
}

/// Looks at the kernel log since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A line must match it.
    pub has: Option<Pattern>,
    /// No line may match it.
    pub lacks: Option<Pattern>,
}

impl Word for RawLog {
    type Step = Log;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Log {
        let Self { has, lacks } = self;
        if has.is_none() && lacks.is_none() {
            let message = "`log` looks for nothing: expected `has`, `lacks` or both";
            checker.notes.wrong(at, message);
        }
        for (key, pattern) in [("has", has), ("lacks", lacks)] {
            if let Some(pattern) = pattern {
                let hint = "name words of the line, such as `has: Offlined Pages`";
                checker.notes.tests_something(pattern, &at.value(key), hint);
            }
        }
        Log {
            has: has.clone(),
            lacks: lacks.clone(),
        }
    }
}

impl Keys for Log {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        for (key, pattern) in [("has", &self.has), ("lacks", &self.lacks)] {
            if let Some(pattern) = pattern {
                line.text(key, &pattern.to_string())?;
            }
        }
        Ok(())
    }
}
