// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sweep`: does steps with each of their allocations failing once.

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
use crate::{names::BlockRef, places::Spot, text};
use base::Errno;

/// Does steps that lead back to where they begin, with the first allocation failing, then with the second, until none is left.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sweep")]
pub(crate) struct RawSweep {
    /// What. Steps that look, and `online`, `offline`, `configure`, `deconfigure`, `storage` and `write`, each about one block and without
    /// `fails`.
    pub(crate) steps: Vec<RawStep>,
    /// Errnos that a write may return for want of memory, beside ENOMEM. Default: none.
    #[serde(
        default,
        deserialize_with = "text::list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) fails: Vec<Errno>,
}

/// Does steps with each of their allocations failing once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// What; they lead back to where they begin.
    pub steps: Vec<Step>,
    /// Errnos that a write may return for want of memory, beside ENOMEM.
    pub fails: Vec<Errno>,
}

impl Word for RawSweep {
    type Step = Sweep;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Sweep {
        let list = at.value("steps");
        let steps = checker.again_and_again(&self.steps, &list);
        for (index, step) in steps.iter().enumerate() {
            checker.swept(&step.action, &list.item(index).only_key());
        }
        if !steps.iter().any(|step| matches!(step.action, Action::Act(_))) {
            let hint = "such as `steps: [online: { block: b }, offline: { block: b }]`";
            let message = "no step of it writes, so that nothing can fail";
            checker.notes.wrong_but(&list, message, Some(hint.to_owned()));
        }
        checker.may_refuse("sweep", at);
        Sweep {
            steps,
            fails: self.fails.clone(),
        }
    }
}

impl Checker<'_, '_, '_> {
    /// Whether a step can be done with an allocation failing, and again without: one write of the guest's, about one block, that succeeds.
    fn swept(&mut self, action: &Action, at: &Spot<'_>) {
        let (block, fails) = match action {
            Action::Look(_) => return,
            Action::Act(Act::Online(step)) => (Some(&step.block), step.fails),
            Action::Act(Act::Offline(step)) => (Some(&step.block), step.fails),
            Action::Act(Act::Deconfigure(step)) => (Some(&step.block), step.fails),
            Action::Act(Act::Storage(step)) => (Some(&step.block), step.fails),
            Action::Act(Act::Write(step)) => (step.file.block(), step.fails),
            Action::Act(Act::Configure(step)) => {
                if step.memmap_on_memory.is_some() {
                    let hint = "write it by `storage` in a step of its own";
                    let message = "`memmap_on_memory` makes two writes of it, of which the second would not be done if the first fails";
                    self.notes
                        .wrong_but(&at.value("memmap_on_memory"), message, Some(hint.to_owned()));
                }
                (Some(&step.block), step.fails)
            }
            Action::Act(_) | Action::Repeat(_) | Action::Sweep(_) => {
                let message = format_args!("`{}` cannot be in a `sweep`", action.word());
                let hint = "what fails is an allocation of a task that writes to a file of a block; do all else before it";
                self.notes.wrong_but(at, message, Some(hint.to_owned()));
                return;
            }
        };
        if fails.is_some() {
            let hint =
                "a `sweep` lets it fail by itself; what it may return then stands in `fails` of the sweep";
            let message = "a step of a `sweep` succeeds where memory does not fail";
            self.notes
                .wrong_but(&at.value("fails"), message, Some(hint.to_owned()));
        }
        if let Some(block) = block {
            self.one_block(block, &at.value("block"));
        }
    }

    /// Notes a step that is about several blocks.
    pub(super) fn one_block(&mut self, block: &BlockRef, at: &Spot<'_>) {
        let blocks = self.names.get(&block.name).and_then(|named| named.blocks);
        if block.index.is_none() && blocks != Some(1) && !block.name.is_boot() {
            let message = format_args!("`{block}` is not one block");
            let hint = Some(format!("a step here is about one, such as `{}.0`", block.name));
            self.notes.wrong_but(at, message, hint);
        }
    }
}

impl Keys for Sweep {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        if !self.fails.is_empty() {
            line.list("fails", &self.fails)?;
        }
        line.steps("steps", &self.steps)
    }
}
