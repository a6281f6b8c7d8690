// SPDX-License-Identifier: MIT OR Apache-2.0
//! What earlier runs say: the index of a results folder, which is in the cache, one for each folder of this user.

use std::{collections::BTreeMap, io, path::PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::plan::{Job, times};
use base::{
    fault::{Blame, Blamed},
    ui::Ui,
};
use record::{
    RunRecord,
    index::{HistoryKey, Index, IndexError, Refreshed, Seen},
};
use supply::cache::{self, Cache, CacheError};
use vm::scratch::Scratch;

/// So many runs are read with a word about it.
const MANY: usize = 20;

/// Why earlier runs cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The index, or the results.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The cache's name.
    #[error("the cache `{}` is no UTF-8", .0.display())]
    NoUtf8(PathBuf),
    /// A folder that is gone afterwards.
    #[error(transparent)]
    Scratch(#[from] io::Error),
}

impl Blamed for PastError {
    fn blame(&self) -> Blame {
        match self {
            Self::Cache(error) => error.blame(),
            Self::Index(error) => error.blame(),
            Self::NoUtf8(_) => Blame::Usage,
            Self::Scratch(_) => Blame::Bench,
        }
    }
}

/// Opens the index of a results folder and brings it up to date; tells what of the results it does not have.
///
/// # Errors
/// There is no such folder, no cache, or the index cannot be used.
pub fn open_index(results: &Utf8Path, rebuild: bool, ui: &Ui) -> Result<Index, PastError> {
    fresh(results, &Cache::open(ui)?, rebuild, ui).map(|(index, refreshed)| {
        tell_unread(&refreshed, results, ui);
        index
    })
}

/// How long jobs took in earlier runs, in milliseconds by the id of the case.
///
/// # Errors
/// As [`open_index`].
pub fn times_before(jobs: &[Job], results: &Utf8Path, ui: &Ui) -> Result<BTreeMap<String, u64>, PastError> {
    if !results.is_dir() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<HistoryKey> = jobs.iter().map(|job| HistoryKey::of(&job.key)).collect();
    let before = ask(results, ui, |index| {
        index.before(Timestamp::now(), &keys).map_err(PastError::from)
    })?;
    Ok(times(jobs, &before))
}

/// Asks the index of a results folder. Where the cache has none, it is one that is gone afterwards: nothing is left in the cache.
///
/// # Errors
/// As [`open_index`], and those of the question.
pub(crate) fn ask<T, E: From<PastError>>(
    results: &Utf8Path,
    ui: &Ui,
    question: impl FnOnce(&Index) -> Result<T, E>,
) -> Result<T, E> {
    let there = Cache::look(ui).map_err(PastError::from)?;
    if there
        .root()
        .join(index_file(&whole(results).map_err(PastError::from)?))
        .is_file()
    {
        return question(&open_index(results, false, ui)?);
    }
    let passing = Scratch::new().map_err(PastError::from)?;
    let cache = Cache::at(passing.path(), ui).map_err(PastError::from)?;
    let (index, refreshed) = fresh(results, &cache, false, ui)?;
    tell_unread(&refreshed, results, ui);
    question(&index)
}

/// What the cases of a run came to in those before it.
///
/// # Errors
/// As [`open_index`].
pub fn seen_before(record: &RunRecord, results: &Utf8Path, ui: &Ui) -> Result<Vec<Seen>, PastError> {
    let (index, _) = fresh(results, &Cache::open(ui)?, false, ui)?;
    let keys = record.cases.iter();
    let keys: Vec<HistoryKey> = keys.map(|case| HistoryKey::of(&case.key)).collect();
    Ok(index.before(record.facts.started, &keys)?)
}

fn tell_unread(refreshed: &Refreshed, results: &Utf8Path, ui: &Ui) {
    for unread in &refreshed.unread {
        ui.warning(&format!("{results}/{}: {}", unread.run, unread.what));
    }
}

/// The whole path of a results folder.
fn whole(results: &Utf8Path) -> Result<Utf8PathBuf, IndexError> {
    results.canonicalize_utf8().map_err(|source| IndexError::Results {
        results: results.to_owned(),
        source,
    })
}

/// Where the index of a results folder is in the cache.
fn index_file(results: &Utf8Path) -> String {
    format!("index/{}.sqlite", index_key(results))
}

fn index_key(results: &Utf8Path) -> String {
    cache::sha256(results.as_str().as_bytes())[..16].to_owned()
}

fn fresh(results: &Utf8Path, cache: &Cache, rebuild: bool, ui: &Ui) -> Result<(Index, Refreshed), PastError> {
    let results = whole(results)?;
    cache.dir("index")?;
    let file = cache.root().join(index_file(&results));
    let file = Utf8PathBuf::from_path_buf(file).map_err(PastError::NoUtf8)?;
    let _lock = cache.lock(&format!("index-{}", index_key(&results)))?;
    let mut index = if rebuild {
        Index::anew(&file)?
    } else {
        Index::open(&file)?
    };
    let mut task = None;
    let refreshed = index.refresh(&results, |done, all| {
        if all >= MANY {
            task.get_or_insert_with(|| ui.task("reading runs", Some(all as u64)))
                .set(done as u64);
        }
    })?;
    if let Some(task) = task {
        task.clear();
    }
    Ok((index, refreshed))
}
