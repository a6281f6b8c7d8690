// SPDX-License-Identifier: MIT OR Apache-2.0
//! `refuse_assign`: lets QEMU refuse to assign storage.

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

/// Lets QEMU refuse to assign storage. Exactly one of `at`, `all` and `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RefuseAssign")]
pub(crate) struct RawRefuseAssign {
    /// Only the n-th ASSIGN from now, counted from 1.
    #[serde(default)]
    pub(crate) at: Option<u32>,
    /// Every one.
    #[serde(default)]
    pub(crate) all: Option<bool>,
    /// None any more.
    #[serde(default)]
    pub(crate) off: Option<bool>,
    /// SCLP response code, such as 0x0300. Default: 0x0340.
    #[serde(default)]
    pub(crate) response: Option<u16>,
}

/// Which ASSIGN commands QEMU refuses from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefuseAssign {
    /// Only the n-th from now, counted from 1.
    At {
        /// Which one.
        nth: u32,
        /// SCLP response code; QEMU's default where it is `None`.
        response: Option<u16>,
    },
    /// Every one.
    All {
        /// SCLP response code; QEMU's default where it is `None`.
        response: Option<u16>,
    },
    /// None any more.
    Off,
}

impl Word for RawRefuseAssign {
    type Step = RefuseAssign;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> RefuseAssign {
        checker.s390x("`refuse_assign` is about standby memory", at);
        let yes = |value: Option<bool>| value == Some(true);
        let response = self.response;
        let refuse = match (self.at, yes(self.all), yes(self.off)) {
            (Some(0), false, false) => {
                checker
                    .notes
                    .wrong(&at.value("at"), "commands are counted from 1");
                RefuseAssign::Off
            }
            (Some(nth), false, false) => RefuseAssign::At { nth, response },
            (None, true, false) => RefuseAssign::All { response },
            (None, false, true) => {
                response::of_off(response, checker, at);
                RefuseAssign::Off
            }
            _ => {
                checker
                    .notes
                    .wrong(at, "expected exactly one of `at: N`, `all: true` and `off: true`");
                RefuseAssign::Off
            }
        };
        match refuse {
            RefuseAssign::All { .. } => checker.in_force("refuse_assign", true, at),
            RefuseAssign::Off => checker.in_force("refuse_assign", false, at),
            // Whether the n-th has come by the next step, nobody knows here.
            RefuseAssign::At { .. } => {
                checker.may_refuse("refuse_assign", at);
                checker.in_force("refuse_assign", false, at);
            }
        }
        refuse
    }
}

impl Keys for RefuseAssign {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        let response = match self {
            Self::At { nth, response } => {
                line.key("at", nth)?;
                response
            }
            Self::All { response } => {
                line.key("all", true)?;
                response
            }
            Self::Off => return line.key("off", true),
        };
        response::key(*response, line)
    }
}
