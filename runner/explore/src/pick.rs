// SPDX-License-Identifier: MIT OR Apache-2.0
//! One of several things, by how far down the list it is.

use std::fmt;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Which of the things that there are, in percent of the way down their list: it means something however many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8")]
pub struct Pick(u8);

impl Pick {
    /// The strategy that draws one; it shrinks to the first thing.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        (0..100_u8).prop_map(Self)
    }

    /// The thing that is meant; `None` of nothing.
    pub(crate) fn of<T>(self, list: &[T]) -> Option<&T> {
        list.get(usize::from(self.0) * list.len() / 100)
    }

    /// A place before, between or behind so many things.
    pub(crate) fn place(self, things: usize) -> usize {
        usize::from(self.0) * (things + 1) / 100
    }

    /// A number from 1 to `most`.
    pub(crate) fn number(self, most: u32) -> u32 {
        u32::from(self.0) * most / 100 + 1
    }
}

impl TryFrom<u8> for Pick {
    type Error = String;

    /// What was written down: beyond the last thing is none.
    fn try_from(percent: u8) -> Result<Self, String> {
        match percent {
            0..100 => Ok(Self(percent)),
            _ => Err(format!("{percent} % of the way down a list is beyond its end")),
        }
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thing_of_a_list_is_meant_by_some_pick_and_no_pick_by_none() {
        for length in 1..=50_usize {
            let list: Vec<usize> = (0..length).collect();
            let mut meant: Vec<usize> = (0..100).map(|n| *Pick(n).of(&list).expect("a thing")).collect();
            meant.dedup();
            assert_eq!(meant, list);
        }
        assert_eq!(Pick(99).of::<u8>(&[]), None);
        assert_eq!(
            (Pick(0).place(3), Pick(99).place(3), Pick(99).place(0)),
            (0, 3, 0)
        );
        assert_eq!(
            (Pick(0).number(4), Pick(99).number(4), Pick(99).number(1)),
            (1, 4, 1)
        );
    }
}
