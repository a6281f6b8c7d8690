// SPDX-License-Identifier: MIT OR Apache-2.0
//! Variations of sequences that were kept.

use proptest::{collection::vec, prelude::*, strategy::ValueTree};

use crate::{
    corpus::Kept,
    draw::{Draw, LONGEST},
    pick::Pick,
    wish::{Wish, wish},
};

/// Wishes that come in at one place, at the most.
const MORE: usize = 8;

/// Changes that make one variation, at the most.
const CHANGES: usize = 3;

/// What is done to a sequence.
#[derive(Debug, Clone)]
enum Change {
    /// It goes on as another one does.
    Splice {
        /// Up to where it stays.
        at: Pick,
        /// Which other one.
        other: Pick,
        /// From where on of that.
        from: Pick,
    },
    /// Other wishes come in; these many of its own go there.
    Insert {
        /// Where.
        at: Pick,
        /// Which.
        wishes: Vec<Wish>,
        /// How many go.
        out: usize,
    },
    /// It goes on.
    Behind {
        /// With these.
        wishes: Vec<Wish>,
    },
}

impl Draw {
    /// The wishes of a variation of some of these, and the names of those that it was made of. `None` of nothing.
    pub(crate) fn varied(self, number: u64, kept: &[&Kept]) -> Option<(Vec<Wish>, Vec<String>)> {
        let changes = vec(change(self), 1..=CHANGES);
        // Nothing that is drawn is ever thrown away.
        let tree = (Pick::any(), Pick::any(), changes)
            .new_tree(&mut self.runner(number))
            .ok()?;
        let (one, another, changes) = tree.current();
        // The later it was kept, the rarer is what it reaches.
        let first = one.max(another).of(kept)?;
        let mut wishes = first.wishes.clone();
        let mut names = vec![first.name.clone()];
        for change in changes {
            names.extend(change.apply(&mut wishes, kept));
        }
        wishes.truncate(LONGEST + 1);
        names.dedup();
        Some((wishes, names))
    }
}

impl Change {
    /// Changes wishes, and says which other sequence it took some of.
    fn apply(self, wishes: &mut Vec<Wish>, kept: &[&Kept]) -> Option<String> {
        match self {
            Self::Splice { at, other, from } => {
                let other = other.of(kept)?;
                wishes.truncate(at.place(wishes.len()));
                wishes.extend_from_slice(&other.wishes[from.place(other.wishes.len())..]);
                return Some(other.name.clone());
            }
            Self::Insert {
                at,
                wishes: more,
                out,
            } => {
                let at = at.place(wishes.len());
                let end = wishes.len().min(at + out);
                wishes.splice(at..end, more);
            }
            Self::Behind { wishes: more } => wishes.extend(more),
        }
        None
    }
}

fn change(draw: Draw) -> impl Strategy<Value = Change> {
    let some = || vec(wish(draw.arch), 1..=MORE);
    prop_oneof![
        1 => (Pick::any(), Pick::any(), Pick::any()).prop_map(|(at, other, from)| Change::Splice { at, other, from }),
        2 => (Pick::any(), some(), 0..=MORE / 2).prop_map(|(at, wishes, out)| Change::Insert { at, wishes, out }),
        1 => vec(wish(draw.arch), MORE..=4 * MORE).prop_map(|wishes| Change::Behind { wishes }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;

    fn kept() -> Vec<Kept> {
        let of = |number: u64| Kept {
            name: number.to_string(),
            machine: "plain".to_owned(),
            wishes: Draw {
                arch: Arch::X86_64,
                seed: 9,
            }
            .sequence(number)
            .wishes,
            code: Vec::new(),
        };
        (0..20).map(of).collect()
    }

    #[test]
    fn a_variation_has_much_of_what_it_is_made_of_and_something_else() {
        let kept = kept();
        let kept: Vec<&Kept> = kept.iter().collect();
        let draw = Draw {
            arch: Arch::X86_64,
            seed: 1,
        };
        let mut of_two = 0;
        for number in 0..200 {
            let (wishes, names) = draw.varied(number, &kept).unwrap();
            assert_eq!(draw.varied(number, &kept), Some((wishes.clone(), names.clone())));
            assert!(wishes.len() <= LONGEST + 1);
            assert!(
                kept.iter().all(|kept| kept.wishes != wishes),
                "{number} is as one was"
            );
            of_two += usize::from(names.len() > 1);
        }
        assert!((20..180).contains(&of_two), "{of_two}");
        assert_eq!(draw.varied(0, &[]), None);
    }

    #[test]
    fn each_change_does_what_it_says() {
        let kept = kept();
        let kept: Vec<&Kept> = kept.iter().collect();
        let (first, other) = (&kept[0].wishes, kept[10]);
        let apply = |change: Change| {
            let mut wishes = first.clone();
            let name = change.apply(&mut wishes, &kept);
            (wishes, name)
        };
        let pick = |percent: u8| Pick::try_from(percent).unwrap();
        let half = pick(50).place(first.len());
        let splice = Change::Splice {
            at: pick(50),
            other: pick(50),
            from: pick(0),
        };
        assert_eq!(
            apply(splice),
            ([&first[..half], &other.wishes].concat(), Some("10".to_owned()))
        );
        let more = vec![Wish::VetoOff];
        let insert = Change::Insert {
            at: pick(0),
            wishes: more.clone(),
            out: 2,
        };
        assert_eq!(apply(insert), ([&more, &first[2..]].concat(), None));
        assert_eq!(
            apply(Change::Behind { wishes: more.clone() }),
            ([first.as_slice(), &more].concat(), None)
        );
    }
}
