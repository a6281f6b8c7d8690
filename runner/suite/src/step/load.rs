// SPDX-License-Identifier: MIT OR Apache-2.0
//! `load`: has others at work in the guest while steps are done.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{places::Spot, words::Working};

/// Has others at work. Exactly one of `by` and `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Load")]
pub(crate) struct RawLoad {
    /// What they do, each in a process of its own, again and again.
    #[serde(default)]
    pub(crate) by: Vec<Working>,
    /// By which those that take memory choose how much each time; 1 without it.
    #[serde(default)]
    pub(crate) seed: Option<u32>,
    /// They stop, and it is looked what came of their work.
    #[serde(default)]
    pub(crate) off: Option<bool>,
}

/// Who is at work in the guest from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// These.
    On {
        /// What they do.
        by: Vec<Working>,
        /// By which sizes are chosen, where it is named.
        seed: Option<u32>,
    },
    /// Nobody any more.
    Off,
}

impl Word for RawLoad {
    type Step = Load;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Load {
        let was = checker.load;
        match (self.by.as_slice(), self.off == Some(true)) {
            ([_, ..], false) => {
                for (index, one) in self.by.iter().enumerate() {
                    if self.by[..index].contains(one) {
                        let message = format_args!("`{one}` is there twice");
                        checker
                            .notes
                            .wrong_but(&at.value("by").item(index), message, None);
                    }
                }
                if was.is_some() {
                    let hint = "`load: { off: true }` stops them; name all in one step";
                    let message = "others are at work already";
                    checker.notes.wrong_but(at, message, Some(hint.to_owned()));
                }
                checker.load = Some(checker.notes.line(at));
                Load::On {
                    by: self.by.clone(),
                    seed: self.seed,
                }
            }
            ([], true) if self.seed.is_none() => {
                if was.is_none() {
                    let message = "nobody is at work here";
                    let hint = "`load: { by: [pages, sysfs] }` before it has others at work";
                    checker.notes.wrong_but(at, message, Some(hint.to_owned()));
                }
                checker.load = None;
                Load::Off
            }
            _ => {
                let message = "expected either `by` with a list such as [pages, sysfs], or `off: true`";
                checker.notes.wrong_but(at, message, None);
                Load::Off
            }
        }
    }
}

impl Checker<'_, '_, '_> {
    /// Notes a load that goes on to the end of the steps: nobody would look what came of it.
    pub(super) fn stops_its_load(&mut self, at: &Spot<'_>) {
        if let Some(line) = self.load {
            let message = format_args!("the load of line {line} goes on to the end of the case");
            let hint = "stop it with `load: { off: true }`, which looks what came of it";
            self.notes.wrong_but(at, message, Some(hint.to_owned()));
        }
    }
}

impl Keys for Load {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::On { by, seed } => {
                line.list("by", by)?;
                line.some("seed", seed.as_ref())
            }
            Self::Off => line.key("off", true),
        }
    }
}
