// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel from source, in words: `tree:PATH@COMMIT,config=lockdep+kasan,series=FOLDER,patches=2`.

use std::fmt;

use crate::rig::{
    series::{SeriesError, SeriesSource},
    tree::{Origin, OriginError},
};

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// The source.
    pub origin: Origin,
    /// Fragments of `kconfigs/debug` on top of the bench's configuration.
    pub configs: Vec<String>,
    /// A series on top of the source.
    pub series: Option<SeriesSource>,
    /// How many patches of the series; without a number, all of them. 0 is the base of the series.
    pub patches: Option<usize>,
}

/// The text says nothing that could be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildSpecError {
    /// The source.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// A word after a comma.
    #[error(
        "`{word}` in `{text}` is not understood: expected `config=NAME[+NAME]`, `series=SERIES` or `patches=N`, each once"
    )]
    Option {
        /// The whole text.
        text: String,
        /// The word.
        word: String,
    },
    /// `series=` with nothing that is one.
    #[error("`{text}`: {said}")]
    Series {
        /// The whole text.
        text: String,
        /// What is wrong.
        said: String,
    },
    /// `patches=` without `series=`.
    #[error("`{0}` counts patches of no series: add `series=SERIES`")]
    NoSeries(String),
}

impl BuildSpec {
    /// A source as it is, with the bench's configuration.
    pub fn of(origin: Origin) -> Self {
        Self {
            origin,
            configs: Vec::new(),
            series: None,
            patches: None,
        }
    }

    /// Reads what follows `tree:` or `source:`.
    ///
    /// # Errors
    /// What of it is not understood.
    pub(in crate::rig) fn parse(text: &str) -> Result<Self, BuildSpecError> {
        let mut words = text.split(',');
        let first = words.next().unwrap_or_default();
        let origin = match first.split_once(':') {
            Some(("tree", rest)) => Origin::tree(rest)?,
            Some((_, rest)) => Origin::source(rest)?,
            None => Origin::source(first)?,
        };
        let mut spec = Self::of(origin);
        for word in words {
            let wrong = || BuildSpecError::Option {
                text: text.to_owned(),
                word: word.to_owned(),
            };
            match word.split_once('=') {
                Some(("config", names)) if spec.configs.is_empty() && !names.is_empty() => {
                    spec.configs = names.split('+').map(str::to_owned).collect();
                }
                Some(("series", series)) if spec.series.is_none() => {
                    let series = series
                        .parse()
                        .map_err(|error: SeriesError| BuildSpecError::Series {
                            text: text.to_owned(),
                            said: error.to_string(),
                        })?;
                    spec.series = Some(series);
                }
                Some(("patches", count)) if spec.patches.is_none() => {
                    spec.patches = Some(count.parse().map_err(|_| wrong())?);
                }
                _ => return Err(wrong()),
            }
        }
        if spec.patches.is_some() && spec.series.is_none() {
            return Err(BuildSpecError::NoSeries(text.to_owned()));
        }
        Ok(spec)
    }
}

impl fmt::Display for BuildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if !self.configs.is_empty() {
            write!(f, ",config={}", self.configs.join("+"))?;
        }
        if let Some(series) = &self.series {
            write!(f, ",series={series}")?;
        }
        match self.patches {
            Some(count) => write!(f, ",patches={count}"),
            None => Ok(()),
        }
    }
}
