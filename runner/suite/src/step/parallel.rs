// SPDX-License-Identifier: MIT OR Apache-2.0
//! `parallel`: lets several writers write at the same time.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    action::{Action, Step},
    checker::Checker,
    line::Line,
    table::{Act, RawStep},
    word::{Keys, Word},
};
use crate::{places::Spot, text};
use base::Errno;

/// Most writes of all writers: they can be done in up to 8! orders, each of which the model goes through.
const MOST: usize = 8;

/// Lets several writers write at the same time.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Parallel")]
pub(crate) struct RawParallel {
    /// What each writer does, in its order: `online` and `offline`, each about one block and without `fails`. Two writers or more, and up to 8 steps
    /// in all.
    #[serde(rename = "do")]
    pub(crate) writers: Vec<Vec<RawStep>>,
    /// Errnos that a write may return because of the others, beside those that an order of the writes explains. It has done nothing then. Default:
    /// none.
    #[serde(
        default,
        deserialize_with = "text::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) fails: Vec<Errno>,
}

/// Lets several writers write at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parallel {
    /// What each does, in its order.
    pub writers: Vec<Vec<Step>>,
    /// Errnos that a write may return because of the others.
    pub fails: Vec<Errno>,
}

impl Word for RawParallel {
    type Step = Parallel;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Parallel {
        let lists = at.value("do");
        let writes: usize = self.writers.iter().map(Vec::len).sum();
        if self.writers.len() < 2 || self.writers.iter().any(Vec::is_empty) {
            let hint = "such as `do: [[online: { block: b }], [offline: { block: b }]]`";
            let message = "expected two writers or more, each with steps";
            checker.notes.wrong_but(&lists, message, Some(hint.to_owned()));
        }
        if writes > MOST {
            let message = format_args!("{writes} steps are too many: expected up to {MOST} in all");
            checker.notes.wrong(&lists, message);
        }
        let writer = |(index, raw): (usize, &Vec<RawStep>)| {
            let list = lists.item(index);
            let steps = checker.list(raw, &list);
            for (index, step) in steps.iter().enumerate() {
                checker.beside_others(&step.action, &list.item(index).only_key());
            }
            steps
        };
        Parallel {
            writers: self.writers.iter().enumerate().map(writer).collect(),
            fails: self.fails.clone(),
        }
    }
}

impl Checker<'_, '_, '_> {
    /// Whether a step can be done beside others: a write about one block, of which only the order says what it returns.
    fn beside_others(&mut self, action: &Action, at: &Spot<'_>) {
        let (block, fails) = match action {
            Action::Act(Act::Online(step)) => (&step.block, step.fails),
            Action::Act(Act::Offline(step)) => (&step.block, step.fails),
            _ => {
                let message = format_args!("`{}` cannot be in `parallel`", action.word());
                let hint = "it takes `online` and `offline`; do all else before or after it";
                self.notes.wrong_but(at, message, Some(hint.to_owned()));
                return;
            }
        };
        if fails.is_some() {
            let hint = "what a write may return beside that stands in `fails` of `parallel`";
            let message = "what it returns is for the order of the writes to say";
            self.notes
                .wrong_but(&at.value("fails"), message, Some(hint.to_owned()));
        }
        self.one_block(block, &at.value("block"));
    }
}

impl Keys for Parallel {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        let writers: Vec<_> = self.writers.iter().map(|steps| line.within(steps)).collect();
        line.list("do", &writers)?;
        match self.fails.is_empty() {
            true => Ok(()),
            false => line.list("fails", &self.fails),
        }
    }
}
