// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the steps of a case fit together: names that stand for blocks, what only one architecture has, keys that exclude each
//! other. What the kernel would refuse is not looked at; that is what cases test.

use std::{collections::BTreeMap, fmt};

use super::{action::Step, blocks::Named, table::RawStep};
use crate::{
    case::CaseMachine,
    check::{Notes, ONLY_S390X, Scope},
    names::BlockName,
    places::Spot,
};
use base::Arch;
use memory::Generation;

/// Walks the steps of a case in order.
pub(super) struct Checker<'c, 'n, 't> {
    scope: &'c Scope,
    pub(super) machine: &'c CaseMachine,
    pub(super) notes: &'n mut Notes<'t>,
    pub(super) names: BTreeMap<BlockName, Named>,
    /// What `busy` steps have called something, and whether it still is.
    pub(super) busy: BTreeMap<BlockName, bool>,
    /// The same of `hold` steps.
    pub(super) held: BTreeMap<BlockName, bool>,
    /// Whether a `pressure` step has taken memory.
    pub(super) pressure: bool,
    /// The line of a `load` step that goes on.
    pub(super) load: Option<usize>,
    /// The words that have something refused from here on, each with its line.
    in_force: BTreeMap<&'static str, usize>,
    /// The priority of `veto` steps, and the line of the first.
    pub(super) priority: Option<(i32, usize)>,
    /// How often the steps that are looked at are done.
    pub(super) rounds: u32,
}

pub(crate) fn check_steps(
    raw: &[RawStep],
    scope: &Scope,
    machine: &CaseMachine,
    at: &Spot<'_>,
    notes: &mut Notes<'_>,
) -> Vec<Step> {
    let mut checker = Checker {
        scope,
        machine,
        notes,
        names: BTreeMap::new(),
        busy: BTreeMap::new(),
        held: BTreeMap::new(),
        pressure: false,
        load: None,
        in_force: BTreeMap::new(),
        priority: None,
        rounds: 1,
    };
    let steps = checker.list(raw, at);
    checker.stops_its_load(at);
    steps
}

impl Checker<'_, '_, '_> {
    pub(super) fn list(&mut self, raw: &[RawStep], at: &Spot<'_>) -> Vec<Step> {
        let one = |(index, raw): (usize, &RawStep)| {
            let spot = at.item(index).only_key();
            Step {
                line: self.notes.line(&spot),
                action: raw.check(self, &spot),
            }
        };
        raw.iter().enumerate().map(one).collect()
    }

    /// Steps that are done more than once.
    pub(super) fn again_and_again(&mut self, raw: &[RawStep], at: &Spot<'_>) -> Vec<Step> {
        let before = self.notes.count();
        let steps = self.list(raw, at);
        // The second round shows what the first leaves behind.
        if self.notes.count() == before {
            self.list(raw, at);
        }
        steps
    }

    /// A word has something refused from here on, or does not any more.
    pub(super) fn in_force(&mut self, word: &'static str, on: bool, at: &Spot<'_>) {
        if !on {
            self.in_force.remove(word);
            return;
        }
        self.may_refuse(word, at);
        let line = self.notes.line(at);
        self.in_force.insert(word, line);
    }

    /// Whether a word may have something refused, as things stand.
    pub(super) fn may_refuse(&mut self, word: &'static str, at: &Spot<'_>) {
        let is_kept = |one: &str| one == "refuse_unassign";
        let others = self
            .in_force
            .iter()
            .find(|(other, _)| is_kept(other) != is_kept(word));
        if let Some((other, line)) = others {
            let message = format_args!(
                "`{word}`, while `{other}` of line {line} is in force: of the storage that an online had before it failed, nobody can say what is left"
            );
            let hint = Some(format!("say `{other}: {{ off: true }}` before it"));
            self.notes.wrong_but(at, message, hint);
        }
    }

    pub(super) fn s390x(&mut self, why: impl fmt::Display, at: &Spot<'_>) {
        if !self.scope.only(Arch::S390x) {
            let message = format_args!("{why}, which only s390x has, but this case also runs on x86_64");
            let hint = if self.scope.only(Arch::X86_64) {
                None
            } else {
                Some(ONLY_S390X.to_owned())
            };
            let message = if hint.is_some() {
                message.to_string()
            } else {
                format!("{why}, which only s390x has")
            };
            self.notes.wrong_but(at, message, hint);
        }
    }

    pub(super) fn x86_64(&mut self, why: impl fmt::Display, at: &Spot<'_>) {
        if !self.scope.only(Arch::X86_64) {
            let message = format_args!("{why}, which only x86_64 has, but this case also runs on s390x");
            let hint = Some("say `needs: { arch: [x86_64] }`".to_owned());
            self.notes.wrong_but(at, message, hint);
        }
    }

    pub(super) fn g2(&mut self, why: impl fmt::Display, at: &Spot<'_>) {
        if !self.scope.only_generation(Generation::G2) {
            let message =
                format_args!("{why}, which only generation G2 has, but this case also runs on others");
            let hint = Some("say `needs: { generation: [G2] }`".to_owned());
            self.notes.wrong_but(at, message, hint);
        }
    }
}
