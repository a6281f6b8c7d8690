// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache: everything that costs time to get or to make, kept under one root that several memrigs share.
//!
//! An entry is a directory. It is made under another name while a lock for its key is held, and renamed when it is whole, so
//! that what has its final name can be used by anyone without a lock, also after a kill.
//!
//! What is in an entry is compared with what was put there: one that is damaged is no entry, and is made again.
//!
//! A cache can be [looked at](Cache::looking): then nothing in it is made, changed or waited for, and what is not there is an error that says
//! what would be got.

mod digest;
mod error;
mod root;
mod sums;
#[cfg(test)]
mod tests;

pub use digest::{Key, hex, sha256, sha256_file};
pub use error::{CacheError, NotHere};
pub use root::{Cache, Lock};
