// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of a run, as files beside it and on the terminal.

use std::{fmt::Display, io::IsTerminal};

use camino::{Utf8Path, Utf8PathBuf};

use super::failure::Failure;
use ::compare::CompareRecord;
use ::run::{Outcome, seen_before};
use base::{fault::Exit, named, ui::Ui};
use record::{Coverage, ExploreRecord, RunRecord};
use tell::{
    News, Style, compare_summary, coverage_summary, csv, explore_summary, html_with, junit, subcases_csv,
    summary_with,
};

/// Writes `junit.xml`, `cases.csv` and `report.html` into the folder of a run, and `subcases.csv` where a program reported tests.
pub(super) fn write(
    record: &RunRecord,
    news: Option<&News>,
    folder: &Utf8Path,
    ui: &Ui,
) -> Result<(), Failure> {
    write_with(record, news, comparison(folder, ui).as_ref(), folder, ui)
}

/// The same with what was found of two kernels, where that is known.
pub(super) fn write_with(
    record: &RunRecord,
    news: Option<&News>,
    compare: Option<&CompareRecord>,
    folder: &Utf8Path,
    ui: &Ui,
) -> Result<(), Failure> {
    write_html(record, news, compare, folder, ui)?;
    named::write(folder.join("junit.xml").as_std_path(), xml(record)?).map_err(Failure::broken)?;
    named::write(folder.join("cases.csv").as_std_path(), csv(record)).map_err(Failure::broken)?;
    if record.cases.iter().all(|case| case.subcases().next().is_none()) {
        return Ok(());
    }
    named::write(folder.join("subcases.csv").as_std_path(), subcases_csv(record)).map_err(Failure::broken)
}

pub(super) fn write_html(
    record: &RunRecord,
    news: Option<&News>,
    compare: Option<&CompareRecord>,
    folder: &Utf8Path,
    ui: &Ui,
) -> Result<(), Failure> {
    let explored = where_it_reads(ExploreRecord::read(folder), ui);
    let page = html_with(record, news, &record.traces(), (compare, explored.as_ref()));
    named::write(folder.join("report.html").as_std_path(), page).map_err(Failure::broken)
}

pub(super) fn xml(record: &RunRecord) -> Result<String, Failure> {
    let mut xml = Vec::new();
    junit(record, &mut xml).map_err(Failure::broken)?;
    String::from_utf8(xml).map_err(Failure::broken)
}

/// What was found of two kernels, where the run is the first one of a comparison, and that reads.
pub(super) fn comparison(folder: &Utf8Path, ui: &Ui) -> Option<CompareRecord> {
    let path = folder.join("compare.json");
    let read = named::read_if_there(path.as_std_path()).map_err(anyhow::Error::new);
    let parsed = read.and_then(|text| match text {
        None => Ok(None),
        Some(text) => {
            serde_json::from_slice(&text).map_err(|error| anyhow::anyhow!("`{path}` does not read: {error}"))
        }
    });
    where_it_reads(parsed, ui)
}

/// What lies beside a record. What of it does not read is told: a report is worth having without it.
fn where_it_reads<T>(read: Result<Option<T>, impl Display>, ui: &Ui) -> Option<T> {
    read.unwrap_or_else(|error| {
        ui.warning(&format!("{error:#}"));
        None
    })
}

/// Prints the summary of a run.
fn print(record: &RunRecord, news: Option<&News>, ui: &Ui) {
    ui.out(summary_with(record, news, style()).trim_end());
    let page = record.folder.join("report.html");
    if page.is_file() {
        ui.out(&format!("page: {page}"));
    }
    match Coverage::read(&record.folder) {
        Ok(None) => {}
        Ok(Some((coverage, damage))) => {
            damage.iter().for_each(|damage| ui.warning(&damage.to_string()));
            ui.out(&format!("\n{}", coverage_summary(&coverage).trim_end()));
        }
        Err(error) => ui.warning(&error.to_string()),
    }
    if let Some(explored) = where_it_reads(ExploreRecord::read(&record.folder), ui) {
        let told = explore_summary(&explored, record.folder.as_str(), Some(record));
        ui.out(&format!("\n{}", told.trim_end()));
    }
}

/// Colours on a terminal, unless the user wants none (no-color.org).
pub(super) fn style() -> Style {
    let colour =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colour { Style::Coloured } else { Style::Plain }
}

/// The record of a run; tells what of it does not read.
pub(super) fn read(folder: &Utf8Path, ui: &Ui) -> Result<RunRecord, Failure> {
    let (record, damage) = RunRecord::read(folder).map_err(Failure::of)?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    Ok(record)
}

/// Prints the summary of a run, behind the comparison that it is the first run of.
pub(super) fn summary(record: &RunRecord, news: Option<&News>, compare: Option<&CompareRecord>, ui: &Ui) {
    if let Some(compare) = compare {
        ui.out(&compare_summary(compare, style()));
    }
    print(record, news, ui);
}

/// What is new in a run against those that lie beside it.
pub(super) fn news_beside(record: &RunRecord, folder: &Utf8Path, ui: &Ui) -> Option<News> {
    let whole = folder.canonicalize_utf8().ok()?;
    news_of(record, whole.parent()?, ui)
}

/// What is new in a run against earlier ones. A report is worth having also without: what keeps the index from being read is told.
pub(super) fn news_of(record: &RunRecord, results: &Utf8Path, ui: &Ui) -> Option<News> {
    match seen_before(record, results, ui) {
        Ok(before) => Some(tell::news(record, &before)),
        Err(error) => {
            ui.warning("what is new in this run cannot be told:");
            Failure::of(error).tell(ui);
            None
        }
    }
}

/// Writes the reports of a run in `folder` of a results folder and prints its summary, with what is new in it.
fn all(record: &RunRecord, folder: &Utf8Path, results: &Utf8Path, ui: &Ui) -> Result<(), Failure> {
    let news = news_of(record, results, ui);
    write(record, news.as_ref(), folder, ui)?;
    print(record, news.as_ref(), ui);
    Ok(())
}

/// Writes the reports of a run that is over and prints its summary.
pub(super) fn over(outcome: &Outcome, results: &Utf8Path, ui: &Ui) -> Result<Exit, Failure> {
    all(&outcome.record, &outcome.folder, results, ui)?;
    Ok(outcome.exit)
}

/// Merges parts, writes the reports of the run that comes of it and prints its summary; with its folder.
pub(super) fn merged(
    folders: &[Utf8PathBuf],
    results: &Utf8Path,
    partial: bool,
    ui: &Ui,
) -> Result<(Utf8PathBuf, Exit), Failure> {
    let merged = record::merge(folders, results, partial).map_err(Failure::of)?;
    for (folder, damage) in &merged.damage {
        ui.warning(&format!("{folder}/{damage}"));
    }
    for note in &merged.notes {
        ui.warning(note);
    }
    let (record, damage) =
        RunRecord::read(&merged.folder).map_err(|error| Failure::broken(anyhow::Error::new(error)))?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    all(&record, &merged.folder, results, ui)?;
    // What is missing could be anything but a failure that was seen.
    let exit = match Exit::of(record.cases.iter().map(|case| case.verdict)) {
        Exit::Pass | Exit::NothingSelected if !merged.is_whole() => Exit::Broken,
        exit => exit,
    };
    Ok((merged.folder, exit))
}
