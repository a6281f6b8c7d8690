// SPDX-License-Identifier: MIT OR Apache-2.0
//! A list that becomes simpler by what is left out of it.

use proptest::strategy::ValueTree;

use crate::wish::Wish;

/// Wishes, for proptest: first half of them are left out, then quarters, down to single ones.
#[derive(Debug, Clone)]
pub(crate) struct Thinned {
    wishes: Vec<Wish>,
    /// So many at the beginning stay.
    first: usize,
    /// How many are left out at once.
    part: usize,
    /// Where the next part begins.
    at: usize,
    /// The part that was left out last.
    out: Vec<Wish>,
}

impl Thinned {
    pub(crate) fn of(wishes: Vec<Wish>, first: usize) -> Self {
        Self {
            part: wishes.len().saturating_sub(first).div_ceil(2),
            wishes,
            first,
            at: first,
            out: Vec::new(),
        }
    }
}

impl ValueTree for Thinned {
    type Value = Vec<Wish>;

    fn current(&self) -> Vec<Wish> {
        self.wishes.clone()
    }

    fn simplify(&mut self) -> bool {
        if self.at >= self.wishes.len() {
            self.at = self.first;
            self.part /= 2;
        }
        let end = self.wishes.len().min(self.at + self.part);
        self.out = self.wishes.drain(self.at..end).collect();
        !self.out.is_empty()
    }

    fn complicate(&mut self) -> bool {
        let back = std::mem::take(&mut self.out);
        let (at, is_changed) = (self.at, !back.is_empty());
        self.at += back.len();
        self.wishes.splice(at..at, back);
        is_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::Pick;

    #[test]
    fn what_is_needed_stays_and_all_else_goes() {
        let node = Pick::try_from(0).unwrap();
        let add = |blocks| Wish::Add {
            blocks,
            node,
            memmap_on_memory: None,
        };
        let wishes: Vec<Wish> = (1..=18).map(add).collect();
        let needed = [wishes[3].clone(), wishes[16].clone()];
        let fails = |wishes: &[Wish]| needed.iter().all(|wish| wishes.contains(wish));
        let first = wishes[0].clone();
        let [a, b] = needed.clone();
        assert_eq!(left_of(Thinned::of(wishes.clone(), 0), fails), needed);
        assert_eq!(left_of(Thinned::of(wishes, 1), fails), [first, a, b]);
        for few in 0..3 {
            let few = vec![add(1); few];
            assert_eq!(left_of(Thinned::of(few.clone(), few.len()), |_| true), few);
        }
    }

    /// What is left of it.
    fn left_of(mut tree: Thinned, fails: impl Fn(&[Wish]) -> bool) -> Vec<Wish> {
        let mut asked = 0;
        let mut more = tree.simplify();
        while more {
            asked += 1;
            assert!(asked < 200, "it comes to an end");
            more = match fails(&tree.current()) {
                true => tree.simplify(),
                false => tree.complicate(),
            };
        }
        tree.current()
    }
}
