// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of `coverage.jsonl`.

use std::collections::BTreeMap;

use super::packed::Packed;
use serde::{Deserialize, Serialize};

use base::Arch;

use crate::{CaseKey, Side};

/// Name of the file in a run's folder.
pub(crate) const NAME: &str = "coverage.jsonl";

/// A line of the file. It says which kernel it is about by a number, so that a line that is lost takes no other with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A kernel, before anything else about it.
    Kernel {
        kernel: usize,
        label: String,
        release: String,
        arch: Arch,
        /// Which side of a comparison it is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        side: Option<Side>,
        /// Where its text ends.
        end: u64,
        /// Its functions: lines of how far one begins behind the one before it, in hex, and its name.
        functions: Packed,
    },
    /// A module of a kernel, before any code of it.
    Module {
        kernel: usize,
        name: String,
        /// Where its code begins.
        at: u64,
        bytes: u64,
        /// Its functions: lines of how far one begins behind the one before it, in hex, and its name; the first from the start of the module's code.
        functions: Packed,
    },
    /// The lines of a source file that have code in a kernel.
    Source {
        kernel: usize,
        file: String,
        /// Lines of how far a row begins behind the one before it, its bytes, both in hex, its line, and its function where that was inlined.
        rows: Packed,
        /// The lines that the kernel's series has added or changed, also those without code, and their text.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        changed: BTreeMap<u32, String>,
        /// Those that the last patch of the series has added or changed.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        last_patch: BTreeMap<u32, String>,
    },
    /// More pieces of code.
    Code {
        kernel: usize,
        /// The number of the first, from 0; the others follow it.
        first: usize,
        /// Lines of how far a piece begins behind the one before it, and its bytes, both in hex.
        pieces: Packed,
    },
    /// What booting ran, in a guest that others go on from.
    Boot {
        kernel: usize,
        /// Its number; none for those of all parts that were merged.
        template: Option<u32>,
        /// A bit for each piece, the lowest first.
        ran: Packed,
    },
    /// What a case ran, in its last attempt.
    Case {
        kernel: usize,
        key: CaseKey,
        /// Its guest booted for it, and that is among it.
        booted: bool,
        ran: Packed,
        /// Pieces that there was no room to note.
        #[serde(default, skip_serializing_if = "is_zero")]
        lost: u64,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
