// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with a source.

use std::{io, path::PathBuf};

use crate::{
    cache::{CacheError, NotHere},
    host::HostError,
    packages::PackagesError,
};
use base::{
    exec::ExecError,
    fault::{Blame, Blamed},
};
use format::deb::DebError;

/// Why there is no source tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The folder is not there.
    #[error("there is no folder `{0}`")]
    NoFolder(PathBuf),
    /// It is no folder; the error has the path.
    #[error(transparent)]
    Named(io::Error),
    /// The folder is no kernel source.
    #[error("`{0}` is no kernel source: it has no Makefile and Kconfig")]
    NoKernel(PathBuf),
    /// The commit is not there.
    #[error("`{path}` has no commit `{commit}`: {said}")]
    NoCommit {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        commit: String,
        /// What git said.
        said: String,
    },
    /// A commit of a folder without git.
    #[error("`{path}` is not the top of a git tree, so that `@{commit}` means nothing there")]
    NotGit {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        commit: String,
    },
    /// A package without the tarball.
    #[error("package {0} has no `usr/src/linux-source-*.tar.xz`")]
    NoTarball(String),
    /// A package of it.
    #[error("unpacking `{package}`")]
    Unpack {
        /// The package.
        package: String,
        /// What is wrong.
        source: DebError,
    },
    /// A package.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// Programs that the host lacks.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Git did not do what it was started for.
    #[error("keeping a source tree")]
    Git(#[from] ExecError),
    /// A file; the source has its path.
    #[error("keeping a source tree")]
    Io(#[from] io::Error),
}

impl Blamed for TreeError {
    /// Usage, where something was named wrong, or has to be installed.
    fn blame(&self) -> Blame {
        match self {
            Self::NoFolder(_)
            | Self::Named(_)
            | Self::NoKernel(_)
            | Self::NoCommit { .. }
            | Self::NotGit { .. } => Blame::Usage,
            Self::Host(error) => error.blame(),
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => Blame::Usage,
            _ => Blame::Bench,
        }
    }
}

impl TreeError {
    /// What would be got, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            Self::Packages(error) => error.not_here(),
            _ => None,
        }
    }
}
