// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sequence in its guest: each wish becomes a step as things stand then.

use std::{borrow::Cow, time::Instant};

use super::{
    bench::Bench,
    guest::{Guests, UnderTest},
    known::{explaining, failure, unexplained},
    life::attempt,
    outcome::AttemptOutcome,
    trouble::Trouble,
};
use crate::{
    cover::RanInTurn,
    plan::Job,
    session::{Origin, Stage},
};
use base::{Errno, fault::Verdict};
use explore::{Able, BOOT, Failed, Group, Issues, Moment, Scribe, Sign, Wish};
use memory::Generation;
use record::{CaseFolder, FindingRecord};
use suite::{
    Act, Action, Case, Failure, Known, Look, Notifiers, Offline, Place, Remove, Step, StorageCommands, Sweep,
};

/// Where the steps of a case come from.
pub(super) enum Course<'c> {
    /// Its suite.
    Written,
    /// The suite has only the first of them, and the others are drawn.
    Drawn(&'c mut Drawn),
}

/// A sequence in a guest, from its first step on.
pub(crate) struct Drawn {
    wishes: Vec<Wish>,
    scribe: Scribe,
    issues: Issues,
    /// When no more steps are begun.
    until: Option<Instant>,
    /// The next wish.
    at: usize,
    /// The steps that were begun, as lines of a suite; but for those that were refused since pages are in use, and after which all was as it must be.
    pub(crate) steps: Vec<String>,
    /// The wishes that came to a step, by their places.
    effective: Vec<usize>,
    /// After each step, how many wishes had come to one, and how many pieces of code were noted.
    noted: Vec<(usize, u64)>,
    /// What was run, where that is known.
    pub(crate) code: Option<RanInTurn>,
    /// Known issues that showed, by their reasons.
    pub(crate) known: Vec<String>,
}

impl Course<'_> {
    pub(super) fn is_drawn(&self) -> bool {
        matches!(self, Self::Drawn(_))
    }

    /// What was run is known, or not.
    pub(super) fn ran(&mut self, code: Option<RanInTurn>) {
        if let Self::Drawn(drawn) = self {
            drawn.code = code;
        }
    }

    /// The step after so many.
    pub(super) fn next<'s>(
        &mut self,
        done: usize,
        case: &'s Case,
        bench: &Bench<'_, impl UnderTest>,
    ) -> Option<Cow<'s, Step>> {
        match (case.steps.get(done), self) {
            (Some(step), _) => Some(Cow::Borrowed(step)),
            (None, Self::Written) => None,
            (None, Self::Drawn(drawn)) => drawn.next(bench).map(Cow::Owned),
        }
    }
}

impl Drawn {
    /// A sequence that was not begun, and what its kernel can be asked for. A failure that `issues` has is passed over. After `until` no step is begun.
    pub(crate) fn new(wishes: Vec<Wish>, able: Able, issues: Issues, until: Option<Instant>) -> Self {
        Self {
            wishes,
            scribe: Scribe::new(able),
            issues,
            until,
            at: 0,
            steps: Vec::new(),
            effective: Vec::new(),
            noted: Vec::new(),
            code: None,
            known: Vec::new(),
        }
    }

    fn next(&mut self, bench: &Bench<'_, impl UnderTest>) -> Option<Step> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return None;
        }
        let moment = moment(bench);
        loop {
            let Some(wish) = self.wishes.get(self.at) else {
                let action = self.scribe.last()?;
                return Some(Step { line: 1, action });
            };
            self.at += 1;
            if let Some(action) = self.scribe.step(wish, &moment) {
                self.effective.push(self.at - 1);
                return Some(Step { line: 1, action });
            }
        }
    }

    /// The issue that a failure is, in the step of this line.
    pub(super) fn known(
        &mut self,
        job: &Job,
        release: &str,
        failure: &Failure,
        line: &str,
        findings: &[FindingRecord],
    ) -> Option<Known> {
        let kernel = (release, job.key.arch, &job.variant);
        let known = explaining(self.issues.listed(failure, line, kernel), findings)?.clone();
        self.known.push(known.reason.clone());
        Some(known)
    }

    /// A step was done; `fails` says how the sequence fails, where that is by it.
    pub(super) fn did(
        &mut self,
        step: &Step,
        bench: &mut Bench<'_, impl UnderTest>,
        fails: Option<&Trouble>,
    ) {
        let was_busy = std::mem::take(&mut bench.was_busy);
        let elsewhere = bench.lay_elsewhere.take();
        if let Some(name) = &elsewhere {
            self.scribe.forget(name);
        }
        // One that was busy and left all as it was is not written: another guest may have nothing in these pages. Neither is one that let its pages go.
        // A suite looks at what was sent only where it says so.
        let look = fails.and_then(shown_by);
        match (&step.action, look) {
            (Action::Sweep(sweep), Some(look)) => self.steps.push(looking(sweep, &look)),
            (_, Some(look)) => self.steps.extend([as_it_went(step, was_busy), look.to_string()]),
            _ if !was_busy && elsewhere.is_none() || fails.is_some() => {
                self.steps.push(as_it_went(step, was_busy));
            }
            _ => {}
        }
        // Where it cannot be read, nothing will be known of what was run either, and that is told then.
        if let Ok(Some(pieces)) = bench.guest.noted() {
            self.noted.push((self.effective.len(), pieces));
        }
    }

    /// The wishes that came to a step, up to the one during which this piece of code was noted.
    pub(crate) fn up_to(&self, piece: usize) -> Vec<Wish> {
        let mut noted = self.noted.iter();
        let until = noted.find(|(_, pieces)| *pieces > piece as u64);
        let wishes = until.map_or(self.effective.len(), |(wishes, _)| *wishes);
        self.effective[..wishes]
            .iter()
            .map(|at| self.wishes[*at].clone())
            .collect()
    }
}

/// What each step that is drawn is looked at by, beside the ledger.
fn looks() -> [Step; 2] {
    let looks = [
        Look::Notifiers(Notifiers::Whole),
        Look::StorageCommands(StorageCommands::Done),
    ];
    looks.map(|look| Step {
        line: 1,
        action: Action::Look(look),
    })
}

/// The look that showed how the step before it failed.
fn shown_by(trouble: &Trouble) -> Option<Step> {
    looks()
        .into_iter()
        .find(|look| trouble.is(look.action.fails_by()))
}

/// How many steps these lines are, but for those that only look at the one before them.
pub(crate) fn acts(steps: &[String]) -> usize {
    let looks = looks().map(|look| look.to_string());
    steps.iter().filter(|step| !looks.contains(step)).count()
}

/// The line of a sweep with such a look behind each of its steps.
fn looking(sweep: &Sweep, look: &Step) -> String {
    let steps = sweep.steps.iter().flat_map(|step| [step.clone(), look.clone()]);
    let sweep = Sweep {
        steps: steps.collect(),
        ..sweep.clone()
    };
    let step = Step {
        line: 1,
        action: Action::Sweep(sweep),
    };
    format!("{step:#}")
}

/// The line of a step; of one that was refused since pages are in use, with that errno.
pub(super) fn as_it_went(step: &Step, was_busy: bool) -> String {
    if !was_busy {
        return format!("{step:#}");
    }
    let mut step = step.clone();
    // A write of that word takes a block offline, too, and has its errno in its line.
    if let Action::Act(Act::Offline(Offline { fails, .. }) | Act::Remove(Remove { fails, .. })) =
        &mut step.action
    {
        *fails = Some(Errno::EBUSY);
    }
    format!("{step:#}")
}

/// How things stand in a guest.
fn moment<'b>(bench: &'b Bench<'_, impl UnderTest>) -> Moment<'b> {
    let named = bench.names.iter().filter(|(_, named)| !named.gone);
    Moment {
        facts: &bench.facts,
        model: &bench.model,
        ledger: &bench.ledger,
        machine: &bench.machine,
        groups: named
            .map(|(name, named)| Group {
                name: name.clone(),
                blocks: named.blocks.clone(),
            })
            .collect(),
        boot: bench.at_boot.iter().copied().collect(),
    }
}

/// What became of a sequence in a guest.
#[derive(Debug)]
pub(crate) struct Tried {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Why, in one line.
    pub(crate) reason: String,
    /// How it failed, where that speaks against the kernel.
    pub(crate) ran: Option<Failed>,
    /// The step at which it ended, counted from 1.
    pub(crate) steps: usize,
    /// The interface generation of its kernel.
    pub(crate) generation: Option<Generation>,
}

/// Tries a sequence in one guest; the case of the job has its first steps.
pub(crate) async fn tried(
    job: &Job,
    stage: &Stage,
    guests: &impl Guests,
    at: (&CaseFolder, Origin),
    drawn: &mut Drawn,
) -> Tried {
    let outcome = attempt(job, stage, guests, at, &mut Course::Drawn(drawn)).await;
    let ran = ran(&outcome, drawn);
    // What fails in a step and is known was passed over there.
    let at_boot = ran.as_ref().filter(|_| outcome.steps.is_empty());
    let release = stage.kernel(job).release_or_unknown();
    let known = at_boot.and_then(|(failure, _)| drawn.known(job, release, failure, BOOT, &outcome.findings));
    Tried {
        verdict: known.as_ref().map_or(outcome.verdict(), |_| Verdict::Known),
        ran: ran.filter(|_| known.is_none()).map(|(_, ran)| ran),
        // One that passed has none.
        reason: outcome.reason().unwrap_or_default(),
        steps: outcome.steps.len(),
        generation: stage.generation(job),
    }
}

/// How a sequence failed, where it did.
fn ran(outcome: &AttemptOutcome, drawn: &Drawn) -> Option<(Failure, Failed)> {
    let trouble = outcome.trouble.as_ref()?;
    let last = outcome.steps.last();
    let place = last.map_or(Place::Boot, |step| Place::Step(step.number));
    let passed_over = outcome.passed_over.iter().map(|passed| &passed.known.sign);
    let failure = failure(trouble, place, unexplained(&outcome.findings, passed_over))?;
    let step = last.map_or(BOOT, |step| step.text.as_str());
    let ran = Failed {
        sign: Sign::of(&failure, step),
        effective: drawn.effective.clone(),
    };
    Some((failure, ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_after_which_the_books_do_not_hold_is_written_as_one() {
        let written = |line: &str| {
            let text = format!(
                "suite: x\ncases:\n  - id: A\n    name: a\n    steps:\n      - add: {{ as: b, blocks: 2 }}\n      - online: {{ block: b }}\n      - {line}\n"
            );
            let suite = suite::Suite::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
            as_it_went(&suite.cases[0].steps[2], true)
        };
        for (line, refused) in [
            ("offline: { block: b.1 }", "offline: { block: b.1, fails: EBUSY }"),
            ("remove: { block: b }", "remove: { block: b, fails: EBUSY }"),
            (
                "auto_online: { policy: kernel }",
                "auto_online: { policy: kernel }",
            ),
        ] {
            assert_eq!(written(line), refused);
        }
    }

    #[test]
    fn what_is_kept_of_a_sequence_ends_with_the_step_that_reached_the_piece() {
        let wishes = vec![Wish::VetoOff, Wish::HalfBlock, Wish::RefuseOff, Wish::HalfBlock];
        let mut drawn = Drawn::new(wishes.clone(), Able::default(), Issues::default(), None);
        // The third came to nothing.
        drawn.effective = vec![0, 1, 3];
        drawn.noted = vec![(0, 10), (1, 20), (2, 20), (3, 25)];
        let kept = |wishes_kept: &[usize]| -> Vec<Wish> {
            wishes_kept.iter().map(|at| wishes[*at].clone()).collect()
        };
        assert_eq!(drawn.up_to(9), kept(&[]), "before its first wish");
        assert_eq!(drawn.up_to(10), kept(&[0]));
        assert_eq!(drawn.up_to(20), kept(&[0, 1, 3]));
        assert_eq!(drawn.up_to(99), kept(&[0, 1, 3]), "behind the last step");
    }
}
