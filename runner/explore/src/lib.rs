// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences that nobody thought of: drawn by a seed, turned into steps of the suite language by what is there, and made shorter where they fail.
//!
//! A [`Sequence`] is a machine and a list of wishes. A wish says what is wanted ("offline the block a third of the way down"), and a [`Scribe`]
//! writes the step that it comes to in the guest as it is then, with the errno that the model foresees. What a sequence did is therefore a
//! case like any other, and [`Found`] prints it as a suite. Those that reach code which none before them did are kept in a [`Corpus`], and varied. A [`Shrink`] makes a sequence that fails shorter, as long as it fails with the same [`Sign`].
//!
//! Pure: the caller has the guests. It may use `suite`, `memory` and `base`.

mod able;
mod at_work;
#[cfg(test)]
mod at_work_tests;
#[cfg(test)]
mod books;
mod corpus;
mod draw;
mod issues;
mod moment;
mod pick;
mod planned;
mod scribe;
#[cfg(test)]
mod scribe_tests;
mod setup;
mod shrink;
mod sign;
mod text;
mod thinned;
mod vary;
mod wish;

pub use able::Able;
pub use corpus::{Corpus, Kept, Whose};
pub use draw::{Draw, Sequence};
pub use issues::{BOOT, Issues};
pub use moment::{Group, Moment};
pub use planned::{Made, Planned};
pub use scribe::Scribe;
pub use setup::{Setup, setups};
pub use shrink::{Enough, Failed, Shrink};
pub use sign::Sign;
pub use text::{Found, SUITE, opening};
pub use wish::Wish;
