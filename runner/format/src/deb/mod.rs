// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's formats: packages, indices and version numbers.
//!
//! Sources: deb(5), deb-version(7), Debian Policy chapters 5 and 7.

mod index;
mod package;
mod release;
mod version;

pub use index::{Dependency, Relation, Stanza, depends, names_in, stanza_of, stanzas};
pub use package::{DebError, Member, MemberKind, control, members};
pub use release::Release;
pub use version::compare;
