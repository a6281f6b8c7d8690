// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel sources: a work tree of our own for each, in the cache, whatever the source is.
//!
//! Nothing is ever written where the user works. Of a git tree the objects are borrowed; of a plain folder, and of what is not
//! committed, a copy is taken.

mod bisect;
mod debian;
mod error;
mod open;
mod origin;
mod users;

pub use bisect::{BisectError, Bisection, Next};
pub use error::TreeError;
pub use open::SourceTree;
pub use origin::{Origin, OriginError};
pub(crate) use users::check;
