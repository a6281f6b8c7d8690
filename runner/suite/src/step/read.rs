// SPDX-License-Identifier: MIT OR Apache-2.0
//! `read`: reads a file in the guest, and compares it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    file::File,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, pattern::Pattern, placeholder::PlaceholderText, places::Spot};

/// Reads a file in the guest. Exactly one of `block` with `file` and `path`; at least one of `is` and `matches`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Read")]
pub(crate) struct RawRead {
    /// Which blocks' file; with `file`.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
    /// Name of the file in /sys/devices/system/memory/memoryN.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// Absolute path, in place of `block` and `file`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// The whole content without white space at its end.
    #[serde(default)]
    pub(crate) is: Option<PlaceholderText>,
    /// What the content must match.
    #[serde(default)]
    pub(crate) matches: Option<Pattern>,
}

/// Reads a file of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which file.
    pub file: File,
    /// The whole content without white space at its end.
    pub is: Option<PlaceholderText>,
    /// What the content must match.
    pub matches: Option<Pattern>,
}

impl Word for RawRead {
    type Step = Read;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Read {
        let file = checker.file(&self.block, &self.file, &self.path, at);
        if self.is.is_none() && self.matches.is_none() {
            checker
                .notes
                .wrong(at, "nothing is compared: expected `is`, `matches` or both");
        }
        if self.path.is_some() && self.is.as_ref().is_some_and(|is| is.needs_block()) {
            checker.notes.wrong(
                &at.value("is"),
                "the placeholder is about a block, but `path` names none",
            );
        }
        if let Some(pattern) = &self.matches {
            let hint = "name words of the content, or anchor it: `^$` is an empty file";
            checker.notes.tests_something(pattern, &at.value("matches"), hint);
        }
        Read {
            file,
            is: self.is.clone(),
            matches: self.matches.clone(),
        }
    }
}

impl Keys for Read {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        self.file.keys(line)?;
        if let Some(is) = &self.is {
            line.text("is", &is.to_string())?;
        }
        match &self.matches {
            Some(pattern) => line.text("matches", &pattern.to_string()),
            None => Ok(()),
        }
    }
}
