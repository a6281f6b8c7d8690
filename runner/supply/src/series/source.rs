// SPDX-License-Identifier: MIT OR Apache-2.0
//! Naming and reading a series.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{b4, files};
use crate::cache::{Cache, CacheError, Key, NotHere};
use base::{
    exec::ExecError,
    fault::{Blame, Blamed},
    named,
};
use format::mail::{self, Choice, Mails, Series};

/// A series by name: where it is, which of those there, and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesSource {
    /// Where it is.
    pub place: SeriesPlace,
    /// Which of several.
    pub(crate) choice: Choice,
    /// The series that must be in the tree before, in this order.
    pub(crate) prerequisites: Vec<Self>,
}

/// Where a series is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesPlace {
    /// An mbox or a single mail, or a folder of them, as `git format-patch` makes it.
    Mails(PathBuf),
    /// The mails that `b4 am` gets for the message-id of one of them.
    B4(String),
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
    #[error("`{0}` names no series: expected an mbox, a folder of patches, `b4:MESSAGE-ID`, or BASE..TIP")]
    Text(String),
    /// `b4:` and what is no message-id.
    #[error("`{0}` names no mail: expected `b4:MESSAGE-ID`, as in the mail's header `Message-ID`")]
    Id(String),
    /// There is no b4.
    #[error(
        "series by message-id are got by b4, which is not installed: `apt install b4`, or `pip install b4`"
    )]
    NoB4,
    /// B4 could not get it.
    #[error("getting the series of `{id}`")]
    B4 {
        /// The message-id.
        id: String,
        /// What b4 said.
        source: ExecError,
    },
    /// B4 found none.
    #[error("b4 finds no series of patches by `{0}`")]
    NotFound(String),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A word behind the series.
    #[error(
        "`{word}` in `{text}` is not understood: expected `version=N`, `subject=WORDS`, each once for a series of mails, or `prerequisite=SERIES`"
    )]
    Word {
        /// The whole text.
        text: String,
        /// The word.
        word: String,
    },
    /// The folder has no patches.
    #[error(
        "`{0}` has no files `*.patch`, `*.eml` or `*.mbox`, packed or not, and is neither a Maildir nor a folder of MH or quilt"
    )]
    Empty(PathBuf),
    /// The mails are no series.
    #[error(transparent)]
    Mails(#[from] mail::SeriesError),
    /// A file; the source has its path.
    #[error("reading a series")]
    Io(#[from] io::Error),
}

impl Blamed for SeriesError {
    fn blame(&self) -> Blame {
        match self {
            // An archive that does not answer is nobody's fault here.
            Self::B4 { .. } => Blame::Bench,
            Self::Cache(error) => error.blame(),
            _ => Blame::Usage,
        }
    }
}

/// A series that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadedSeries {
    /// Out of mails.
    Mails {
        /// The series.
        series: Series,
        /// What the user says that it needs, in order.
        before: Vec<Self>,
    },
    /// A range, whose commits are in the tree.
    Range {
        /// The commit before the first one.
        base: String,
        /// The last one.
        tip: String,
    },
}

impl SeriesError {
    /// What would be got, where the cache is only looked at.
    pub(crate) fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            _ => None,
        }
    }
}

impl FromStr for SeriesPlace {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let wrong = || SeriesError::Text(text.to_owned());
        let name = |name: &str| !name.starts_with(['-', '.']) && !name.contains([' ', ':']);
        if text.is_empty() {
            return Err(wrong());
        }
        if let Some(id) = text.strip_prefix("b4:") {
            let id = b4::id(id).ok_or_else(|| SeriesError::Id(text.to_owned()))?;
            return Ok(Self::B4(id.to_owned()));
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

impl FromStr for SeriesSource {
    type Err = SeriesError;

    /// Reads `SERIES[,version=N][,subject=WORDS][,prerequisite=SERIES…]`; what follows a prerequisite is said of that.
    fn from_str(text: &str) -> Result<Self, SeriesError> {
        // A path may have commas.
        if Path::new(text).exists() {
            return Ok(Self::of(text.parse()?));
        }
        let mut words = text.split(',');
        let mut source = Self::of(words.next().unwrap_or_default().parse()?);
        for word in words {
            let wrong = || SeriesError::Word {
                text: text.to_owned(),
                word: word.to_owned(),
            };
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            let Self {
                place,
                choice,
                prerequisites,
            } = &mut source;
            let (place, choice) = match prerequisites.last_mut() {
                Some(last) => (&last.place, &mut last.choice),
                None => (&*place, choice),
            };
            let mails = !matches!(place, SeriesPlace::Range { .. });
            match name {
                "version" if mails && choice.version.is_none() => {
                    choice.version = Some(value.parse().map_err(|_| wrong())?);
                }
                "subject" if mails && choice.subject.is_none() && !value.is_empty() => {
                    choice.subject = Some(value.to_owned());
                }
                "prerequisite" if !matches!(source.place, SeriesPlace::Range { .. }) => {
                    source.prerequisites.push(Self::of(value.parse()?));
                }
                _ => return Err(wrong()),
            }
        }
        Ok(source)
    }
}

impl fmt::Display for SeriesPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mails(path) => write!(f, "{}", path.display()),
            Self::B4(id) => write!(f, "b4:{id}"),
            Self::Range { base, tip } => write!(f, "{base}..{tip}"),
        }
    }
}

impl fmt::Display for SeriesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(version) = self.choice.version {
            write!(f, ",version={}", version.to_string().trim_start_matches('v'))?;
        }
        if let Some(words) = &self.choice.subject {
            write!(f, ",subject={words}")?;
        }
        for before in &self.prerequisites {
            write!(f, ",prerequisite={before}")?;
        }
        Ok(())
    }
}

impl SeriesSource {
    /// The series at a place, whichever it is.
    pub fn of(place: SeriesPlace) -> Self {
        Self {
            place,
            choice: Choice::default(),
            prerequisites: Vec::new(),
        }
    }

    /// Its name without the folders above it, and what is in it: `v3.mbox@1a2b3c4d`. A range is as it was named.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn label(&self, cache: &Cache) -> Result<String, SeriesError> {
        let name = match &self.place {
            SeriesPlace::Range { .. } => return Ok(self.to_string()),
            // Who sent it, or from which host, says little.
            SeriesPlace::B4(id) => id.split_once('@').map_or(&**id, |(local, _)| local).to_owned(),
            // As of `.` and `..`.
            SeriesPlace::Mails(path) if path.file_name().is_none() => last_of(&named::whole(path)?),
            SeriesPlace::Mails(path) => last_of(path),
        };
        let digest = self.load(cache)?.digest();
        Ok(digest.map_or(name.clone(), |digest| format!("{name}@{digest}")))
    }

    /// Reads what of it lies on this machine, before anything is got.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn check(&self) -> Result<(), SeriesError> {
        if let SeriesPlace::Mails(path) = &self.place {
            self.mails(path)?;
        }
        self.prerequisites.iter().try_for_each(Self::check)
    }

    /// Reads the series, whose mails the cache keeps if they are not the user's files. Of a range, nothing is looked at yet.
    ///
    /// # Errors
    /// A file cannot be read, or got, or its mails are no series.
    pub fn load(&self, cache: &Cache) -> Result<LoadedSeries, SeriesError> {
        let series = match &self.place {
            SeriesPlace::Mails(path) => self.mails(path)?,
            SeriesPlace::B4(id) => {
                let version = self.choice.version.map(|version| version.to_string());
                let version = version.as_deref().map(|version| version.trim_start_matches('v'));
                self.mails(&b4::mails(id, version, cache)?)?
            }
            SeriesPlace::Range { base, tip } => {
                return Ok(LoadedSeries::Range {
                    base: base.clone(),
                    tip: tip.clone(),
                });
            }
        };
        let before = self.prerequisites.iter().map(|before| before.load(cache));
        Ok(LoadedSeries::Mails {
            series,
            before: before.collect::<Result<_, _>>()?,
        })
    }

    /// The series that is meant, out of the mails at a path.
    fn mails(&self, path: &Path) -> Result<Series, SeriesError> {
        let mut mails = Mails::default();
        for file in files::files(path)? {
            let name = match file == path {
                true => path.display().to_string(),
                false => last_of(&file),
            };
            mails.add(&name, &files::read(&file)?)?;
        }
        Ok(mails.series(&self.choice)?)
    }
}

/// The last part of a path; all of the one that has none, `/`.
fn last_of(path: &Path) -> String {
    let last = path.file_name().unwrap_or(path.as_os_str());
    last.to_string_lossy().into_owned()
}

impl LoadedSeries {
    /// Eight hexadecimal digits that say what the patches are: titles and diffs, also of what comes before. `None` for a range, which only a tree
    /// can tell.
    pub fn digest(&self) -> Option<String> {
        let mut key = self.content(Key::new())?.finish();
        key.truncate(8);
        Some(key)
    }

    fn content(&self, mut key: Key) -> Option<Key> {
        let Self::Mails { series, before } = self else {
            return None;
        };
        for before in before {
            key = before.content(key)?;
        }
        for patch in &series.patches {
            key = key.with(&patch.title).with(patch.diff());
        }
        Some(key)
    }
}
