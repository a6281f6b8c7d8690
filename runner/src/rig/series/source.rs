// SPDX-License-Identifier: MIT OR Apache-2.0
//! Naming and reading a series.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    base::{ByteSize, named},
    format::mail::{self, Mails, Series},
};

/// Where a series is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesSource {
    /// An mbox or a single mail, or a folder of them, as `git format-patch` makes it.
    Mails(PathBuf),
    /// The commits of a git tree after one and up to another.
    Range {
        /// The commit before the first one.
        base: String,
        /// The last one.
        tip: String,
    },
}

/// Why there is no series.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The text names none.
    #[error("`{0}` names no series: expected an mbox, a folder of patches, or BASE..TIP")]
    Text(String),
    /// The folder has no patches.
    #[error("`{0}` has no files `*.patch`, `*.eml` or `*.mbox`")]
    Empty(PathBuf),
    /// The mails are no series.
    #[error(transparent)]
    Mails(#[from] mail::SeriesError),
    /// A file; the source has its path.
    #[error("reading a series")]
    Io(#[from] io::Error),
}

/// A series that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadedSeries {
    /// Out of mails.
    Mails(Series),
    /// A range, whose commits are in the tree.
    Range {
        /// The commit before the first one.
        base: String,
        /// The last one.
        tip: String,
    },
}

impl FromStr for SeriesSource {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let wrong = || SeriesError::Text(text.to_owned());
        let name = |name: &str| !name.starts_with(['-', '.']) && !name.contains([' ', ':']);
        if text.is_empty() {
            return Err(wrong());
        }
        // A path may have two dots, too: what is there, or begins with dots or a folder, is a path.
        match text.split_once("..") {
            Some((base, tip)) if !base.is_empty() && !base.contains('/') && !Path::new(text).exists() => {
                (name(base) && !tip.is_empty() && !tip.starts_with(['-', '.', '/']))
                    .then(|| Self::Range {
                        base: base.to_owned(),
                        tip: tip.to_owned(),
                    })
                    .ok_or_else(wrong)
            }
            _ => Ok(Self::Mails(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for SeriesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mails(path) => write!(f, "{}", path.display()),
            Self::Range { base, tip } => write!(f, "{base}..{tip}"),
        }
    }
}

impl SeriesSource {
    /// Reads the series. Of a range, nothing is looked at yet.
    ///
    /// # Errors
    /// A file cannot be read, or its mails are no series.
    pub fn load(&self) -> Result<LoadedSeries, SeriesError> {
        let path = match self {
            Self::Mails(path) => path,
            Self::Range { base, tip } => {
                return Ok(LoadedSeries::Range {
                    base: base.clone(),
                    tip: tip.clone(),
                });
            }
        };
        let mut mails = Mails::default();
        if fs_err::metadata(path)?.is_dir() {
            let mut files = Vec::new();
            for entry in fs_err::read_dir(path)? {
                files.push(entry?.path());
            }
            let patch = |path: &PathBuf| {
                let extension = path.extension().and_then(|e| e.to_str());
                path.is_file() && matches!(extension, Some("patch" | "eml" | "mbox" | "mbx"))
            };
            files.retain(patch);
            files.sort();
            if files.is_empty() {
                return Err(SeriesError::Empty(path.clone()));
            }
            for file in files {
                let name = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                mails.add(&name, &read(&file)?);
            }
        } else {
            mails.add(&path.display().to_string(), &read(path)?);
        }
        Ok(LoadedSeries::Mails(mails.series()?))
    }
}

/// The largest file of mails that is read: a thread of the kernel's lists has some megabytes.
const LARGEST_FILE: ByteSize = ByteSize::mib(256);

fn read(path: &Path) -> io::Result<Vec<u8>> {
    named::read(path, LARGEST_FILE)
}
