// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the cache cannot be used, and what is not in it.

use std::{io, path::PathBuf};

use base::fault::{Blame, Blamed};

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No place for it is known.
    #[error("no place for the cache: set MEMRIG_CACHE to a directory, or HOME")]
    NoPlace,
    /// A file or directory of it; the source has the path.
    #[error("using the cache at `{root}` (another place can be named by MEMRIG_CACHE)")]
    Io {
        /// Root of the cache.
        root: PathBuf,
        /// What the host's kernel said.
        source: io::Error,
    },
    /// The cache is only looked at, and this is not in it.
    #[error("{0}")]
    NotHere(NotHere),
}

impl Blamed for CacheError {
    /// Usage, where another place has to be named.
    fn blame(&self) -> Blame {
        match self {
            Self::NoPlace => Blame::Usage,
            Self::Io { source, .. } => Blame::of_place(source),
            Self::NotHere(_) => Blame::Bench,
        }
    }
}

/// What is not in the cache, and would be got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{would}")]
pub struct NotHere {
    /// What would be done, in words, such as `the index of sid for s390x would be fetched`.
    pub would: String,
    /// The kernel's release, where that is known all the same.
    pub release: Option<String>,
}

impl NotHere {
    /// Something of which only that is known.
    pub fn would(would: impl Into<String>) -> CacheError {
        CacheError::NotHere(Self {
            would: would.into(),
            release: None,
        })
    }
}
