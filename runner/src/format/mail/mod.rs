// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patch series as they come by mail: mboxes and single mails in, an ordered series of checked patches out.
//!
//! Nothing of a mail reaches git as it came: what is written for `git am` is made anew from what was understood.

mod diff;
mod mbox;
mod message;
mod patch;
mod series;
mod subject;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use diff::DiffError;
pub use mbox::{LARGEST_MAIL, mails};
pub use message::MessageError;
pub use patch::{Patch, PatchError};
pub use series::{Mails, Series, SeriesError};
pub use subject::Subject;
