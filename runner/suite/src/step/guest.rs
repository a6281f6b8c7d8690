// SPDX-License-Identifier: MIT OR Apache-2.0
//! `guest`: runs a shell script in the guest.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot};

/// Runs a shell script in the guest.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Guest")]
pub(crate) struct RawGuest {
    /// The script, for busybox's sh.
    pub(crate) run: String,
    /// Blocks that it is about: the script finds the numbers N of their memoryN in `$block`, and the number of the first page of each in
    /// `$pfn`, separated by spaces.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
    /// Files beside the suite's own file: they are put into `/run/files` of the guest, under the same names, and can be run. Not in suites that
    /// come with memrig.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<String>,
    /// The exit code it must end with, 1 to 125. Default: it must succeed.
    #[serde(default)]
    pub(crate) fails: Option<u8>,
    /// Its output is KTAP, and each test in it a subcase.
    #[serde(default)]
    pub(crate) ktap: Option<bool>,
    /// Files of `tools/testing/selftests` in the source of the kernel under test, such as `mm/map_populate.c`: they are put into
    /// `/run/selftests` of the guest, scripts as they are, and of a C file the program that is built from it, under its name without `.c`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) selftests: Vec<String>,
}

/// Runs a shell script in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The script.
    pub run: String,
    /// Blocks that it is told of.
    pub block: Option<BlockRef>,
    /// Files beside the suite's that the guest gets.
    pub files: Vec<String>,
    /// The exit code it must end with.
    pub exit: u8,
    /// Whether its output is KTAP, each test of which becomes a subcase.
    pub ktap: bool,
    /// Files of `tools/testing/selftests` that the guest gets: scripts and C files.
    pub selftests: Vec<String>,
}

impl Word for RawGuest {
    type Step = Guest;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Guest {
        if let Some(block) = &self.block {
            checker.uses(block, Use::There, &at.value("block"));
        }
        for (i, file) in self.files.iter().enumerate() {
            let plain = |part: &str| !part.is_empty() && part != ".." && part != ".";
            if !file.split('/').all(plain) {
                let message = format_args!("{file:?} is no file beside the suite");
                let hint = "expected a name or a path below the suite's folder, such as check.sh";
                let spot = at.value("files").item(i);
                checker.notes.wrong_but(&spot, message, Some(hint.to_owned()));
            }
        }
        if self.run.trim().is_empty() {
            checker.notes.wrong(&at.value("run"), "the script is empty");
        }
        if let Some(code @ (0 | 126..)) = self.fails {
            let message = format_args!("{code} is no exit code of a failure: expected 1 to 125");
            checker.notes.wrong(&at.value("fails"), message);
        }
        for file in self.selftests.iter().filter(|file| !is_selftest(file)) {
            let message = format_args!(
                "{file:?} is no selftest: expected FOLDER/NAME.sh or FOLDER/NAME.c, such as mm/map_populate.c"
            );
            checker.notes.wrong(&at.value("selftests"), message);
        }
        Guest {
            run: self.run.clone(),
            block: self.block.clone(),
            files: self.files.clone(),
            exit: self.fails.unwrap_or(0),
            ktap: self.ktap.unwrap_or(false),
            selftests: self.selftests.clone(),
        }
    }
}

fn is_selftest(file: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    let parts = || file.split('/');
    parts().count() == 2 && parts().all(good) && (file.ends_with(".sh") || file.ends_with(".c"))
}

impl Keys for Guest {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.some("block", self.block.as_ref())?;
        line.text("run", &self.run)?;
        if self.exit != 0 {
            line.key("fails", self.exit)?;
        }
        if self.ktap {
            line.key("ktap", true)?;
        }
        if !self.files.is_empty() {
            line.list("files", &self.files)?;
        }
        match self.selftests.is_empty() {
            true => Ok(()),
            false => line.list("selftests", &self.selftests),
        }
    }
}
