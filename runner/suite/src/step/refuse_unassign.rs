// SPDX-License-Identifier: MIT OR Apache-2.0
//! `refuse_unassign`: lets QEMU refuse to take storage back.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    response,
    word::{Keys, Word},
};
use crate::places::Spot;

/// Lets QEMU refuse to take storage back. Exactly one of `all` and `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RefuseUnassign")]
pub(crate) struct RawRefuseUnassign {
    /// Every UNASSIGN from now on.
    #[serde(default)]
    pub(crate) all: Option<bool>,
    /// None any more.
    #[serde(default)]
    pub(crate) off: Option<bool>,
    /// SCLP response code, such as 0x0300. Default: 0x0340.
    #[serde(default)]
    pub(crate) response: Option<u16>,
}

/// Which UNASSIGN commands QEMU refuses from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefuseUnassign {
    /// Every one.
    All {
        /// SCLP response code; QEMU's default where it is `None`.
        response: Option<u16>,
    },
    /// None any more.
    Off,
}

impl Word for RawRefuseUnassign {
    type Step = RefuseUnassign;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> RefuseUnassign {
        checker.s390x("`refuse_unassign` is about standby memory", at);
        let yes = |value: Option<bool>| value == Some(true);
        let refuse = match (yes(self.all), yes(self.off), self.response) {
            (true, false, response) => RefuseUnassign::All { response },
            (false, true, response) => {
                response::of_off(response, checker, at);
                RefuseUnassign::Off
            }
            _ => {
                let message = "expected exactly one of `all: true` and `off: true`";
                checker.notes.wrong(at, message);
                RefuseUnassign::Off
            }
        };
        checker.in_force("refuse_unassign", refuse != RefuseUnassign::Off, at);
        refuse
    }
}

impl Keys for RefuseUnassign {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        let Self::All { response } = self else {
            return line.key("off", true);
        };
        line.key("all", true)?;
        response::key(*response, line)
    }
}
