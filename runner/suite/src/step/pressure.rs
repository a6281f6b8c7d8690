// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pressure`: leaves the guest's kernel little free memory.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{places::Spot, text};
use base::ByteSize;

/// Leaves little free memory. Exactly one of `free` and `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pressure")]
pub(crate) struct RawPressure {
    /// How much stays free above the low watermarks of all zones but Movable, from which the kernel takes nothing. 4MiB to 1GiB.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) free: Option<ByteSize>,
    /// All is given back.
    #[serde(default)]
    pub(crate) off: Option<bool>,
}

/// How little memory the kernel has from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pressure {
    /// So much of it stays free.
    Free(ByteSize),
    /// All is given back.
    Off,
}

/// The shell that does what steps say starts programs.
const LEAST: ByteSize = ByteSize::mib(4);
/// A guest that has more free is under no pressure.
const MOST: ByteSize = ByteSize::gib(1);

impl Word for RawPressure {
    type Step = Pressure;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Pressure {
        let (was, hint) = (checker.pressure, "`pressure: { off: true }` gives it back");
        match (self.free, self.off == Some(true)) {
            (Some(free), false) => {
                if !(LEAST..=MOST).contains(&free) {
                    let message = format_args!("{free} is out of range: expected {LEAST} to {MOST}");
                    let hint = match free < LEAST {
                        true => "with less, the guest cannot do what a step says",
                        false => "with more, a guest is under no pressure",
                    };
                    checker
                        .notes
                        .wrong_but(&at.value("free"), message, Some(hint.to_owned()));
                }
                if was {
                    let message = "the guest is under pressure already";
                    checker.notes.wrong_but(at, message, Some(hint.to_owned()));
                }
                checker.pressure = true;
                Pressure::Free(free)
            }
            (None, true) => {
                if !was {
                    let message = "the guest is under no pressure here";
                    let hint = "`pressure: { free: 16MiB }` before it puts it there";
                    checker.notes.wrong_but(at, message, Some(hint.to_owned()));
                }
                checker.pressure = false;
                Pressure::Off
            }
            _ => {
                let hint = Some(hint.to_owned());
                let message = "expected either `free` with a size such as 16MiB, or `off: true`";
                checker.notes.wrong_but(at, message, hint);
                Pressure::Off
            }
        }
    }
}

impl Keys for Pressure {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::Free(free) => line.key("free", free),
            Self::Off => line.key("off", true),
        }
    }
}
