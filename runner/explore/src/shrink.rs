// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a sequence that fails shorter, as long as it fails with the same sign. What is simpler, proptest says.

use proptest::strategy::ValueTree;

use crate::{
    draw::{Draw, Sequence, Tree},
    planned::Planned,
    sign::Sign,
};

/// What became of a sequence in a guest, where it failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// How.
    pub sign: Sign,
    /// The wishes that came to a step, by their places, up to the one that failed.
    pub effective: Vec<usize>,
}

/// A sequence that fails, and how often a guest was asked for that.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrink {
    /// The shortest that was seen to fail.
    pub sequence: Sequence,
    /// How it failed.
    pub ran: Failed,
    /// Guests that were asked.
    pub tries: u32,
}

impl Shrink {
    /// Makes a sequence shorter, which failed so. `ask` runs one and says how it failed, if it did; it is asked so often at the most, and may end it.
    ///
    /// What comes of no wish is found by halves, which a few guests tell; then proptest makes what is left simpler, wish by wish.
    pub fn of(
        draw: Draw,
        planned: &Planned,
        ran: Failed,
        most: u32,
        mut ask: impl FnMut(&Sequence) -> Result<Option<Failed>, Enough>,
    ) -> Self {
        let mut best = Self {
            sequence: planned.sequence.clone(),
            ran,
            tries: 0,
        };
        let first = planned.begins_with();
        best.leave_out_idle(first);
        let halves = Draw::tree_of(&best.sequence, first);
        let all_asked = best.by(draw, halves, None, most, &mut ask);
        if let Some(tree) = planned.tree(draw).filter(|_| all_asked) {
            best.by(draw, tree, Some(&planned.sequence), most, &mut ask);
        }
        best
    }

    /// Makes it shorter as a tree has it, and says whether guests were asked about all of that. Which wishes of `thinned` cannot be left out is known.
    fn by(
        &mut self,
        draw: Draw,
        mut tree: Tree,
        thinned: Option<&Sequence>,
        most: u32,
        ask: &mut impl FnMut(&Sequence) -> Result<Option<Failed>, Enough>,
    ) -> bool {
        let mut more = tree.simplify();
        while more {
            let mut simpler = draw.now(&tree);
            simpler.setup = simpler.setup.min(self.sequence.setup);
            let fails = if self.is_the_same(&simpler) {
                self.ran.effective = self.effective_in(&simpler);
                self.sequence = simpler;
                true
            } else if self.is_part_of(&simpler) {
                true
            } else if thinned.is_some_and(|all| is_in(simpler.wishes.iter(), &all.wishes)) {
                false
            } else if self.tries == most {
                return false;
            } else {
                self.tries += 1;
                match ask(&simpler) {
                    Ok(Some(ran)) if ran.sign == self.ran.sign => {
                        self.ran = ran;
                        self.sequence = simpler;
                        true
                    }
                    Ok(_) => false,
                    Err(Enough) => return false,
                }
            };
            more = if fails { tree.simplify() } else { tree.complicate() };
        }
        true
    }

    /// Leaves out the wishes that came to nothing, or were never reached, but for so many at its beginning. Behind the one that failed there may be others that
    /// do, too, and a sequence that comes to them is not shorter.
    fn leave_out_idle(&mut self, first: usize) {
        let mut simpler = self.sequence.clone();
        simpler.wishes = (0..)
            .zip(&self.sequence.wishes)
            .filter(|(at, _)| *at < first || self.ran.effective.contains(at))
            .map(|(_, wish)| wish.clone())
            .collect();
        self.ran.effective = self.effective_in(&simpler);
        self.sequence = simpler;
    }

    /// Whether a sequence has all that is known to be enough.
    fn is_part_of(&self, simpler: &Sequence) -> bool {
        simpler.setup == self.sequence.setup && is_in(self.sequence.wishes.iter(), &simpler.wishes)
    }

    /// Whether a simpler sequence does what the best one did: it only lacks wishes that came to nothing, or were never reached.
    fn is_the_same(&self, simpler: &Sequence) -> bool {
        let effective = self.ran.effective.iter().map(|at| &self.sequence.wishes[*at]);
        simpler.setup == self.sequence.setup
            && is_in(effective, &simpler.wishes)
            && is_in(simpler.wishes.iter(), &self.sequence.wishes)
    }

    /// The places that the effective wishes have in a sequence that has them all.
    fn effective_in(&self, simpler: &Sequence) -> Vec<usize> {
        let mut from = 0;
        let effective = self.ran.effective.iter().map(|at| &self.sequence.wishes[*at]);
        effective
            .filter_map(|wish| {
                let at = from + simpler.wishes[from..].iter().position(|other| other == wish)?;
                from = at + 1;
                Some(at)
            })
            .collect()
    }
}

/// No more guests can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enough;

/// Whether things are among others, in their order.
fn is_in<'a, T: PartialEq + 'a>(mut few: impl Iterator<Item = &'a T>, many: &[T]) -> bool {
    let mut rest = many.iter();
    few.all(|one| rest.any(|other| other == one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{planned::Made, wish::Wish};
    use base::Arch;
    use suite::{Failure, FailureKind, Place};

    fn sign() -> Sign {
        let failure = Failure {
            step: Place::Boot,
            kind: FailureKind::Errno,
            said: vec!["x".to_owned()],
        };
        Sign::of(&failure, "online: {}")
    }

    /// A guest that fails at the second removal, if notifications are refused then; wishes of other kinds come to nothing.
    fn guest(sequence: &Sequence) -> Option<Failed> {
        let mut effective = Vec::new();
        let (mut removed, mut vetoed) = (0, false);
        for (at, wish) in sequence.wishes.iter().enumerate() {
            match wish {
                Wish::Remove { .. } => removed += 1,
                Wish::Veto { .. } => vetoed = true,
                Wish::VetoOff => vetoed = false,
                _ => continue,
            }
            effective.push(at);
            if removed >= 2 && vetoed {
                return Some(Failed {
                    sign: sign(),
                    effective,
                });
            }
        }
        None
    }

    /// The first sequence that fails in it.
    fn failing() -> (Draw, Planned, Failed) {
        let draw = Draw {
            arch: Arch::X86_64,
            seed: 1,
        };
        let fails = |number| {
            let planned = Planned::drawn(draw, number);
            let ran = guest(&planned.sequence)?;
            Some((draw, planned, ran))
        };
        (0..100).find_map(fails).expect("one that fails")
    }

    #[test]
    fn what_is_left_is_what_it_takes_on_the_simplest_machine() {
        let (draw, planned, ran) = failing();
        assert!(planned.sequence.wishes.len() > 10 && planned.sequence.setup > 0);
        let shrunk = Shrink::of(draw, &planned, ran, 1000, |simpler| Ok(guest(simpler)));
        let kinds: Vec<String> = shrunk.sequence.wishes.iter().map(Wish::to_string).collect();
        // The first always is an add.
        assert_eq!(
            (kinds.len(), kinds[0].as_str()),
            (4, "add 1 at node 0%"),
            "{kinds:?}"
        );
        assert_eq!(kinds.iter().filter(|kind| *kind == "remove 0%").count(), 2);
        assert_eq!(shrunk.sequence.setup, 0);
        assert_eq!(shrunk.ran.effective, [1, 2, 3]);
    }

    #[test]
    fn one_that_was_not_drawn_loses_what_it_does_not_take() {
        let (draw, mut planned, ran) = failing();
        let before = planned.sequence.wishes.clone();
        planned.made = Made::Varied(vec!["seed 1 sequence 0".to_owned()]);
        let shrunk = Shrink::of(draw, &planned, ran, 1000, |simpler| Ok(guest(simpler)));
        let left = &shrunk.sequence.wishes;
        assert!(left.iter().all(|wish| before.contains(wish)));
        let removes = |wish: &&Wish| matches!(wish, Wish::Remove { .. });
        assert_eq!((left.len(), left.iter().filter(removes).count()), (3, 2));
        assert_eq!((shrunk.sequence.setup, shrunk.ran.effective.len()), (0, 3));
    }

    #[test]
    fn no_guest_is_asked_about_wishes_that_came_to_nothing() {
        let (_, planned, ran) = failing();
        let best = Shrink {
            sequence: planned.sequence,
            ran,
            tries: 0,
        };
        for at in 0..best.sequence.wishes.len() {
            let mut simpler = best.sequence.clone();
            simpler.wishes.remove(at);
            let was_idle = !best.ran.effective.contains(&at);
            assert_eq!(best.is_the_same(&simpler), was_idle, "{at}");
            if was_idle {
                let failed = guest(&simpler).map(|ran| ran.effective);
                assert_eq!(Some(best.effective_in(&simpler)), failed);
            }
        }
        let elsewhere = Sequence {
            setup: 0,
            ..best.sequence.clone()
        };
        assert!(!best.is_the_same(&elsewhere));
    }

    #[test]
    fn no_guest_is_asked_about_more_than_what_failed_took() {
        let (draw, planned, ran) = failing();
        let reached = ran.effective.len() + planned.begins_with();
        assert!(reached < planned.sequence.wishes.len());
        let mut asked = 0;
        Shrink::of(draw, &planned, ran, 1000, |simpler| {
            asked += 1;
            assert!(simpler.wishes.len() <= reached, "{simpler}");
            Ok(guest(simpler))
        });
        assert!(asked > 0);
    }

    #[test]
    fn it_ends_when_no_more_guests_can_be_asked() {
        let (draw, planned, ran) = failing();
        let shrunk = Shrink::of(draw, &planned, ran.clone(), 2, |simpler| Ok(guest(simpler)));
        assert_eq!(shrunk.tries, 2);
        let shrunk = Shrink::of(draw, &planned, ran, 1000, |_| Err(Enough));
        assert_eq!(guest(&shrunk.sequence), Some(shrunk.ran));
    }

    #[test]
    fn another_failure_is_none() {
        let (draw, planned, ran) = failing();
        let before = planned.sequence.clone();
        let other = Failure {
            step: Place::Boot,
            kind: FailureKind::Errno,
            said: vec!["y".to_owned()],
        };
        let shrunk = Shrink::of(draw, &planned, ran.clone(), 1000, |_| {
            Ok(Some(Failed {
                sign: Sign::of(&other, "online: {}"),
                effective: vec![0],
            }))
        });
        assert_eq!(
            shrunk.ran.effective.len(),
            ran.effective.len(),
            "{before} {shrunk:?}"
        );
    }
}
