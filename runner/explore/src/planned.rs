// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sequence that is to be run, and where it comes from.

use crate::draw::{Draw, Sequence, Tree};

/// A sequence that is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its number in the exploration.
    pub number: u64,
    /// The sequence.
    pub sequence: Sequence,
    /// Where it comes from.
    pub made: Made,
}

/// Where a sequence comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// It is the one of its number.
    Drawn,
    /// It was kept before, by this name, and runs again.
    Again(String),
    /// It was made of kept ones with these names.
    Varied(Vec<String>),
}

impl Planned {
    /// The sequence of a number.
    pub fn drawn(draw: Draw, number: u64) -> Self {
        Self {
            number,
            sequence: draw.sequence(number),
            made: Made::Drawn,
        }
    }

    /// What of the kept sequences it was made, by their names.
    pub fn of(&self) -> &[String] {
        match &self.made {
            Made::Drawn => &[],
            Made::Again(name) => std::slice::from_ref(name),
            Made::Varied(names) => names,
        }
    }

    /// The same with each wish to be made simpler, where proptest drew them.
    pub(crate) fn tree(&self, draw: Draw) -> Option<Tree> {
        match self.made {
            // Nothing that is drawn is ever thrown away.
            Made::Drawn => draw.tree(self.number).ok(),
            Made::Again(_) | Made::Varied(_) => None,
        }
    }

    /// How many wishes at its beginning none of its simpler ones lacks: the first of one that was drawn.
    pub(crate) fn begins_with(&self) -> usize {
        usize::from(self.made == Made::Drawn)
    }
}
