// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig history`, `memrig flaky` and `memrig trend`: what many runs say together.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    args::{Flaky, History, Past, TableFormat, Trend},
    failure::Failure,
};
use base::{fault::Exit, ui::Ui};
use record::{
    RunRecord,
    index::{HistoryKey, Index, IndexError, Refreshed, Seen, Which},
};
use supply::cache::{self, Cache};
use tell::News;

/// Opens the index of a results folder and brings it up to date; tells what of the results it does not have.
pub(super) fn open(results: &Utf8Path, rebuild: bool, ui: &Ui) -> Result<Index, Failure> {
    let cache = Cache::open(ui).map_err(Failure::of)?;
    let (index, refreshed) = fresh(results, &cache, rebuild, ui)?;
    tell_unread(&refreshed, results, ui);
    Ok(index)
}

/// What `ask` finds in the index of a results folder. Where the cache has none, it is asked in one that is gone afterwards: nothing is left in
/// the cache.
pub(super) fn asked<T>(
    results: &Utf8Path,
    ui: &Ui,
    ask: impl FnOnce(&Index) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let there = Cache::look(ui).map_err(Failure::of)?;
    let whole = results
        .canonicalize_utf8()
        .map_err(|error| no_results(results, error))?;
    if there.root().join(index_file(&whole)).is_file() {
        return ask(&open(results, false, ui)?);
    }
    let passing = tempfile::tempdir().map_err(Failure::broken)?;
    let cache = Cache::at(passing.path(), ui).map_err(Failure::of)?;
    let (index, refreshed) = fresh(results, &cache, false, ui)?;
    tell_unread(&refreshed, results, ui);
    ask(&index)
}

fn tell_unread(refreshed: &Refreshed, results: &Utf8Path, ui: &Ui) {
    for unread in &refreshed.unread {
        ui.warning(&format!("{results}/{}: {}", unread.run, unread.what));
    }
}

fn no_results(results: &Utf8Path, source: std::io::Error) -> Failure {
    Failure::of(IndexError::Results {
        results: results.to_owned(),
        source,
    })
}

/// Where the index of a results folder is in the cache: one for each folder of this user.
fn index_file(results: &Utf8Path) -> String {
    format!("index/{}.sqlite", index_key(results))
}

fn index_key(results: &Utf8Path) -> String {
    cache::sha256(results.as_str().as_bytes())[..16].to_owned()
}

fn fresh(results: &Utf8Path, cache: &Cache, rebuild: bool, ui: &Ui) -> Result<(Index, Refreshed), Failure> {
    let results = results
        .canonicalize_utf8()
        .map_err(|error| no_results(results, error))?;
    cache.dir("index").map_err(Failure::of)?;
    let file = cache.root().join(index_file(&results));
    let file = Utf8PathBuf::from_path_buf(file)
        .map_err(|file| Failure::usage(anyhow::anyhow!("the cache `{}` is no UTF-8", file.display())))?;
    let _lock = cache
        .lock(&format!("index-{}", index_key(&results)))
        .map_err(Failure::of)?;
    let mut index = if rebuild {
        Index::anew(&file).map_err(Failure::of)?
    } else {
        Index::open(&file).map_err(Failure::of)?
    };
    let mut task = None;
    let refreshed = index
        .refresh(&results, |done, all| {
            if all >= MANY {
                task.get_or_insert_with(|| ui.task("reading runs", Some(all as u64)))
                    .set(done as u64);
            }
        })
        .map_err(Failure::of)?;
    if let Some(task) = task {
        task.clear();
    }
    Ok((index, refreshed))
}

/// So many runs are read with a word about it.
const MANY: usize = 20;

/// The results folder that a run's folder is in.
pub(super) fn results_of(run: &Utf8Path) -> Option<Utf8PathBuf> {
    let run = run.canonicalize_utf8().ok()?;
    run.parent().map(Utf8Path::to_owned)
}

/// What is new in a run against earlier ones. A report is worth having also without: what keeps the index from being read is told.
pub(super) fn news_of(record: &RunRecord, results: &Utf8Path, ui: &Ui) -> Option<News> {
    match seen_before(record, results, ui) {
        Ok(before) => Some(tell::news(record, &before)),
        Err(failure) => {
            ui.warning("what is new in this run cannot be told:");
            failure.tell(ui);
            None
        }
    }
}

fn seen_before(record: &RunRecord, results: &Utf8Path, ui: &Ui) -> Result<Vec<Seen>, Failure> {
    let cache = Cache::open(ui).map_err(Failure::of)?;
    let (index, _) = fresh(results, &cache, false, ui)?;
    let keys: Vec<HistoryKey> = record
        .cases
        .iter()
        .map(|case| HistoryKey::of(&record.facts, &case.key))
        .collect();
    index.before(record.facts.started, &keys).map_err(Failure::of)
}

fn which(past: &Past, case: Option<&String>) -> Which {
    Which {
        case: case.cloned(),
        suite: past.suite.clone(),
        arch: past.arch,
        line: past.line.clone(),
        variant: past.variant.clone(),
        last: past.last,
    }
}

fn index(past: &Past, ui: &Ui) -> Result<Index, Failure> {
    let results = Utf8PathBuf::from_path_buf(past.results.clone())
        .map_err(|path| Failure::usage(anyhow::anyhow!("`{}` is no UTF-8", path.display())))?;
    open(&results, past.rebuild, ui)
}

/// Prints a table in the form that was asked for.
fn show<T: Serialize>(
    all: &[T],
    format: TableFormat,
    text: impl Fn(&[T]) -> String,
    csv: impl Fn(&[T]) -> String,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let shown = match format {
        TableFormat::Text => text(all),
        TableFormat::Csv => csv(all),
        TableFormat::Json => serde_json::to_string_pretty(all).map_err(Failure::broken)?,
    };
    ui.out(shown.trim_end());
    Ok(Exit::Pass)
}

pub(super) fn history(args: &History, ui: &Ui) -> Result<Exit, Failure> {
    let index = index(&args.past, ui)?;
    let seen = index
        .seen(&which(&args.past, Some(&args.case)))
        .map_err(Failure::of)?;
    if seen.is_empty() {
        ui.error(&format!(
            "no run in `{}` has such a case `{}`",
            args.past.results.display(),
            args.case
        ));
        return Ok(Exit::NothingSelected);
    }
    show(&seen, args.past.format, tell::history_text, tell::history_csv, ui)
}

pub(super) fn flaky(args: &Flaky, ui: &Ui) -> Result<Exit, Failure> {
    let index = index(&args.past, ui)?;
    let seen = index.unsteady(&which(&args.past, None)).map_err(Failure::of)?;
    let flaky = tell::flaky(&seen);
    if flaky.is_empty() && args.past.format == TableFormat::Text {
        ui.out("no case came out in two ways on the same kernel");
        return Ok(Exit::Pass);
    }
    show(&flaky, args.past.format, tell::flaky_text, tell::flaky_csv, ui)
}

pub(super) fn trend(args: &Trend, ui: &Ui) -> Result<Exit, Failure> {
    let index = index(&args.past, ui)?;
    let which = which(&args.past, args.case.as_ref());
    let seen = index.seen(&which).map_err(Failure::of)?;
    let costs = index.costs(&which).map_err(Failure::of)?;
    let trend = tell::trend(&seen, &costs);
    if trend.is_empty() {
        ui.error(&format!(
            "no run in `{}` has such cases, or counted what operations cost on such a kernel",
            args.past.results.display()
        ));
        return Ok(Exit::NothingSelected);
    }
    show(&trend, args.past.format, tell::trend_text, tell::trend_csv, ui)
}
