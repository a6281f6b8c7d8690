// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where sources come from, in words.

use std::{fmt, path::PathBuf};

use crate::packages::{DebianSuite, UnknownSuite};

/// Where the source of a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The newest `linux-source` of a Debian release.
    Debian(DebianSuite),
    /// A folder of the user's: a git tree, or an unpacked source.
    Path {
        /// The folder.
        path: PathBuf,
        /// The commit that is meant; without one, what lies there now.
        commit: Option<String>,
    },
}

/// The text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// `tree:` without a path.
    #[error("`{0}` names no folder: expected `tree:PATH[@COMMIT]`")]
    NoPath(String),
    /// `@` with something that is no commit.
    #[error("`{0}` names no commit: expected `tree:PATH@COMMIT` with an id, a tag or a branch")]
    Commit(String),
    /// `source:` and something else than `debian:`.
    #[error("`source:{0}` names no source: expected `source:debian:RELEASE`")]
    Distribution(String),
    /// An unknown release.
    #[error(transparent)]
    Release(#[from] UnknownSuite),
}

impl Origin {
    /// Reads what follows `tree:`.
    pub(crate) fn tree(text: &str) -> Result<Self, OriginError> {
        let (path, commit) = match text.rsplit_once('@') {
            Some((path, commit)) => (path, Some(commit)),
            None => (text, None),
        };
        if path.is_empty() {
            return Err(OriginError::NoPath(format!("tree:{text}")));
        }
        // A leading dash would be an option of git's.
        if commit
            .is_some_and(|commit| commit.is_empty() || commit.starts_with('-') || commit.contains([' ', ':']))
        {
            return Err(OriginError::Commit(format!("tree:{text}")));
        }
        Ok(Self::Path {
            path: PathBuf::from(path),
            commit: commit.map(str::to_owned),
        })
    }

    /// Reads what follows `source:`.
    pub(crate) fn source(text: &str) -> Result<Self, OriginError> {
        let suite = text
            .strip_prefix("debian:")
            .ok_or_else(|| OriginError::Distribution(text.to_owned()))?;
        Ok(Self::Debian(suite.parse()?))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(suite) => write!(f, "source:debian:{suite}"),
            Self::Path { path, commit: None } => write!(f, "tree:{}", path.display()),
            Self::Path {
                path,
                commit: Some(commit),
            } => write!(f, "tree:{}@{commit}", path.display()),
        }
    }
}
