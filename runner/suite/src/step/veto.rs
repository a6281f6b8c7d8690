// SPDX-License-Identifier: MIT OR Apache-2.0
//! `veto`: lets the kernel's error injection refuse an operation.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{places::Spot, text, words::Vetoable};
use base::Errno;

/// Lets error injection refuse an operation. Either `notifier` and `errno`, or `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Veto")]
pub(crate) struct RawVeto {
    /// Which notification is refused.
    #[serde(default)]
    pub(crate) notifier: Option<Vetoable>,
    /// With which errno.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) errno: Option<Errno>,
    /// Place in the chain: higher is called earlier. Default 0. The same in all `veto` steps of a case.
    #[serde(default)]
    pub(crate) priority: Option<i32>,
    /// Nothing is refused any more.
    #[serde(default)]
    pub(crate) off: Option<bool>,
}

/// What the kernel's notifier error injection does from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Veto {
    /// The notification is refused.
    On {
        /// Which one.
        notifier: Vetoable,
        /// The error it is refused with.
        errno: Errno,
        /// Place in the chain; higher is called earlier. 0 is the kernel's default.
        priority: i32,
    },
    /// Nothing is refused any more.
    Off,
}

impl Word for RawVeto {
    type Step = Veto;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Veto {
        let veto = match (self.notifier, self.errno, self.off == Some(true)) {
            (Some(notifier), Some(errno), false) => {
                let (priority, line) = (self.priority.unwrap_or(0), checker.notes.line(at));
                let (first, first_line) = *checker.priority.get_or_insert((priority, line));
                if first != priority {
                    let message = format_args!(
                        "the priority is {first} since line {first_line}, and cannot change in a case"
                    );
                    checker.notes.wrong(&at.value("priority"), message);
                }
                Veto::On {
                    notifier,
                    errno,
                    priority,
                }
            }
            (None, None, true) if self.priority.is_none() => Veto::Off,
            _ => {
                checker
                    .notes
                    .wrong(at, "expected either `notifier` and `errno`, or `off: true` alone");
                Veto::Off
            }
        };
        checker.in_force("veto", veto != Veto::Off, at);
        veto
    }
}

impl Keys for Veto {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        let Self::On {
            notifier,
            errno,
            priority,
        } = self
        else {
            return line.key("off", true);
        };
        line.key("notifier", notifier)?;
        line.key("errno", errno)?;
        match priority {
            0 => Ok(()),
            priority => line.key("priority", priority),
        }
    }
}
