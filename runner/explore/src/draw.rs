// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences by a seed: the same seed and number give the same sequence.

use std::fmt;

use proptest::{
    collection::vec,
    num::usize::BinarySearch,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, Reason, RngAlgorithm, TestRng, TestRunner},
    tuple::TupleValueTree,
};

use crate::{
    setup::{Setup, setups},
    thinned::Thinned,
    wish::{Wish, add, wish},
};
use base::Arch;

/// Sequences that follow each other on one machine, so that guests are alike.
const SIDE_BY_SIDE: u64 = 6;

/// Wishes of a sequence behind its first, at the most. A guest comes and goes in the time of five steps, and more than half of the wishes come to none.
pub(crate) const LONGEST: usize = 240;

/// A sequence: where it takes place, and what is wanted there.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The architecture of its guest.
    pub arch: Arch,
    /// The machine, by its place among those of the architecture.
    pub setup: usize,
    /// What is wanted, in order.
    pub wishes: Vec<Wish>,
}

impl Sequence {
    /// Its machine.
    pub fn machine(&self) -> &'static Setup {
        &setups(self.arch)[self.setup]
    }
}

/// The machine, and a line for each wish.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}", self.machine().name)?;
        self.wishes.iter().try_for_each(|wish| write!(f, "\n  {wish}"))
    }
}

/// Draws sequences for guests of one architecture.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// The architecture.
    pub arch: Arch,
    /// The seed.
    pub seed: u64,
}

/// A sequence that proptest makes simpler: fewer wishes, then simpler ones, then a simpler machine.
pub(crate) type Tree = TupleValueTree<(Box<dyn ValueTree<Value = Vec<Wish>>>, BinarySearch)>;

impl Draw {
    /// The sequence of a number.
    pub fn sequence(self, number: u64) -> Sequence {
        // Nothing that is drawn is ever thrown away.
        self.tree(number).map_or_else(
            |_| Sequence {
                arch: self.arch,
                setup: self.setup(number),
                wishes: Vec::new(),
            },
            |tree| self.now(&tree),
        )
    }

    /// The place of its machine, among those of the architecture.
    pub fn setup(self, number: u64) -> usize {
        let all = setups(self.arch).len() as u64;
        ((self.seed % all + number / SIDE_BY_SIDE) % all) as usize
    }

    /// What a tree stands for as it is now.
    pub(crate) fn now(self, tree: &Tree) -> Sequence {
        let (wishes, setup) = tree.current();
        Sequence {
            arch: self.arch,
            setup,
            wishes,
        }
    }

    /// Draws what belongs to a number.
    pub(crate) fn runner(self, number: u64) -> TestRunner {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        TestRunner::new_with_rng(Config::default(), rng)
    }

    /// A sequence to be made simpler, whoever made it: fewer wishes but for the `first` ones, then a simpler machine.
    pub(crate) fn tree_of(sequence: &Sequence, first: usize) -> Tree {
        let wishes: Box<dyn ValueTree<Value = Vec<Wish>>> =
            Box::new(Thinned::of(sequence.wishes.clone(), first));
        TupleValueTree::new((wishes, BinarySearch::new(sequence.setup)))
    }

    /// The sequence of a number, to be made simpler.
    pub(crate) fn tree(self, number: u64) -> Result<Tree, Reason> {
        let mut runner = self.runner(number);
        // Without blocks nearly all wishes come to nothing.
        let wishes = (vec(wish(self.arch), 1..=LONGEST), add()).prop_map(|(mut wishes, first)| {
            wishes.insert(0, first);
            wishes
        });
        let wishes = wishes.boxed().new_tree(&mut runner)?;
        Ok(TupleValueTree::new((
            wishes,
            BinarySearch::new(self.setup(number)),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_are_one_sequence() {
        for arch in Arch::ALL {
            let draw = |seed, number| Draw { arch, seed }.sequence(number);
            assert_eq!(draw(7, 3), draw(7, 3));
            assert_ne!(draw(7, 3).wishes, draw(7, 4).wishes);
            assert_ne!(draw(7, 3).wishes, draw(8, 3).wishes);
        }
    }

    /// What is recorded by a seed must be the same with another build of memrig.
    #[test]
    fn a_seed_stays_what_it_was() {
        let drawn = Draw {
            arch: Arch::S390x,
            seed: 1,
        }
        .sequence(0);
        let lines: Vec<String> = drawn.to_string().lines().take(4).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "on memmap",
                "  add 3 at node 94%",
                "  offline 30% of all via state",
                "  offline 96% via state"
            ]
        );
    }

    #[test]
    fn machines_take_turns_and_guests_side_by_side_are_alike() {
        let draw = Draw {
            arch: Arch::X86_64,
            seed: 5,
        };
        let setups: Vec<usize> = (0..2 * SIDE_BY_SIDE).map(|n| draw.setup(n)).collect();
        assert_eq!(setups, [[5; 6], [0; 6]].concat());
    }

    #[test]
    fn no_wish_is_left_out() {
        for arch in Arch::ALL {
            let draw = Draw { arch, seed: 0 };
            let mut kinds: Vec<String> = (0..50)
                .flat_map(|number| draw.sequence(number).wishes)
                .map(|wish| wish.to_string().split(' ').next().unwrap().to_owned())
                .collect();
            kinds.sort();
            kinds.dedup();
            let mut all = vec![
                "add",
                "auto_online",
                "cpu",
                "free",
                "hold",
                "load",
                "offline",
                "online",
                "parallel",
                "pressure",
                "remove",
                "sweep",
                "veto",
                "write",
            ];
            if arch == Arch::S390x {
                all.extend([
                    "configure",
                    "deconfigure",
                    "memmap_on_memory",
                    "refuse_assign",
                    "refuse_unassign",
                ]);
                all.sort_unstable();
            }
            assert_eq!(kinds, all);
        }
    }
}
