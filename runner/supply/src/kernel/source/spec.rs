// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel from source, in words: `tree:PATH@COMMIT,config=lockdep+kasan,series=FOLDER,patches=2`.

use std::fmt;

use crate::{
    cache::Cache,
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
        "`{word}` in `{text}` is not understood: expected `config=NAME[+NAME]`, `series=SERIES` or `patches=N`, each once, and behind a series `version=N`, `subject=WORDS` or `prerequisite=SERIES`"
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
    pub(crate) fn parse(text: &str) -> Result<Self, BuildSpecError> {
        let mut words = text.split(',');
        let first = words.next().unwrap_or_default();
        let origin = match first.split_once(':') {
            Some(("tree", rest)) => Origin::tree(rest)?,
            Some((_, rest)) => Origin::source(rest)?,
            None => Origin::source(first)?,
        };
        let mut spec = Self::of(origin);
        // The series with the words that are about it.
        let mut series: Option<String> = None;
        for word in words {
            let wrong = || BuildSpecError::Option {
                text: text.to_owned(),
                word: word.to_owned(),
            };
            match word.split_once('=') {
                Some(("config", names)) if spec.configs.is_empty() && !names.is_empty() => {
                    spec.configs = names.split('+').map(str::to_owned).collect();
                }
                Some(("series", named)) if series.is_none() => series = Some(named.to_owned()),
                Some(("version" | "subject" | "prerequisite", _)) if series.is_some() => {
                    series = series.map(|series| format!("{series},{word}"));
                }
                Some(("patches", count)) if spec.patches.is_none() => {
                    spec.patches = Some(count.parse().map_err(|_| wrong())?);
                }
                _ => return Err(wrong()),
            }
        }
        if let Some(series) = series {
            let read = series
                .parse()
                .map_err(|error: SeriesError| BuildSpecError::Series {
                    text: text.to_owned(),
                    said: error.to_string(),
                })?;
            spec.series = Some(read);
        }
        if spec.patches.is_some() && spec.series.is_none() {
            return Err(BuildSpecError::NoSeries(text.to_owned()));
        }
        Ok(spec)
    }
}

impl BuildSpec {
    /// What reports and the history call its kernels: as it was named, but for the series, which has its name without the folders above it and a
    /// digest of its patches. Two versions of one file are two kernels.
    ///
    /// # Errors
    /// The series cannot be read.
    pub fn label(&self, cache: &Cache) -> Result<String, SeriesError> {
        let series = self
            .series
            .as_ref()
            .map(|series| series.label(cache))
            .transpose()?;
        Ok(self.text(series))
    }

    fn text(&self, series: Option<String>) -> String {
        let mut text = self.origin.to_string();
        if !self.configs.is_empty() {
            text = format!("{text},config={}", self.configs.join("+"));
        }
        if let Some(series) = series {
            text = format!("{text},series={series}");
        }
        match self.patches {
            Some(count) => format!("{text},patches={count}"),
            None => text,
        }
    }
}

impl fmt::Display for BuildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(self.series.as_ref().map(ToString::to_string)))
    }
}
