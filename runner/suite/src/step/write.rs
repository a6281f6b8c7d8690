// SPDX-License-Identifier: MIT OR Apache-2.0
//! `write`: writes a file in the guest.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    file::File,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot, text};
use base::Errno;
use memory::in_sysfs;

/// Writes a file in the guest. Exactly one of `block` with `file` and `path`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Write")]
pub(crate) struct RawWrite {
    /// Which blocks' file; with `file`.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
    /// Name of the file in /sys/devices/system/memory/memoryN.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// Absolute path, in place of `block` and `file`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// What is written, as it is: no newline is added. Empty, a file of sysfs gets an empty text; other files take no empty value.
    pub(crate) value: String,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
}

/// Writes a text into a file of the guest with a single write call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which file.
    pub file: File,
    /// What is written, as it is; no newline is added. Empty, a file of sysfs gets an empty text.
    pub value: String,
    /// The error that the write must return.
    pub fails: Option<Errno>,
}

impl Word for RawWrite {
    type Step = Write;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Write {
        let file = checker.file(&self.block, &self.file, &self.path, at);
        if self.value.is_empty()
            && let File::Path(path) = &file
            && !in_sysfs(path)
        {
            let hint = Some(r#"`echo > FILE` writes "\n""#.to_owned());
            let message = "an empty value never reaches the kernel: only files of sysfs take one";
            checker.notes.wrong_but(&at.value("value"), message, hint);
        }
        Write {
            file,
            value: self.value.clone(),
            fails: self.fails,
        }
    }
}

impl Keys for Write {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        self.file.keys(line)?;
        line.text("value", &self.value)?;
        line.some("fails", self.fails.as_ref())
    }
}
