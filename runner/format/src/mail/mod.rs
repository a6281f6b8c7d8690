// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patch series as they come by mail: mboxes and single mails in, an ordered series of checked patches out.
//!
//! Nothing of a mail reaches git as it came: what is written for `git am` is made anew from what was understood.

mod build;
mod changed;
mod charsets;
mod choose;
mod date;
mod diff;
mod flowed;
mod gather;
mod mbox;
mod message;
mod needs;
mod patch;
mod series;
mod subject;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use changed::{AddedLines, Changed};
pub use diff::DiffError;
pub use gather::Mails;
pub use mbox::LARGEST_FILE;
pub use message::MessageError;
pub use needs::Need;
pub use patch::{Patch, PatchError};
pub use series::{Choice, NamedBase, Series, SeriesError};
pub use subject::{Version, VersionError};

pub(crate) use date::of_mail;
pub(crate) use mbox::LARGEST_MAIL;
