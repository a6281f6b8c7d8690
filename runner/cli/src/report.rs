// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig report`: the reports of a run, made from its record alone.

use std::{io::IsTerminal, path::PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    args::{Report, ReportFormat},
    failure::Failure,
    history,
    run::run_folder,
};
use ::compare::CompareRecord;
use base::{fault::Exit, named, ui::Ui};
use record::RunRecord;
use tell::{
    News, Style, compare_summary, csv, github, html_with, json, junit, kcidb, ktap, subcases_csv,
    summary_with,
};

/// Writes `junit.xml`, `cases.csv` and `report.html` into the folder of a run, and `subcases.csv` where a program reported tests.
pub(super) fn write(record: &RunRecord, news: Option<&News>, folder: &Utf8Path) -> Result<(), Failure> {
    write_html(record, news, folder)?;
    named::write(folder.join("junit.xml").as_std_path(), xml(record)?).map_err(Failure::broken)?;
    named::write(folder.join("cases.csv").as_std_path(), csv(record)).map_err(Failure::broken)?;
    if record.cases.iter().all(|case| case.subcases().next().is_none()) {
        return Ok(());
    }
    named::write(folder.join("subcases.csv").as_std_path(), subcases_csv(record)).map_err(Failure::broken)
}

fn xml(record: &RunRecord) -> Result<String, Failure> {
    let mut xml = Vec::new();
    junit(record, &mut xml).map_err(Failure::broken)?;
    String::from_utf8(xml).map_err(Failure::broken)
}

/// What was found of two kernels, where the run is the first one of a comparison.
fn comparison(folder: &Utf8Path) -> Result<Option<CompareRecord>, Failure> {
    let path = folder.join("compare.json");
    match named::read_whole(path.as_std_path()) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Failure::broken(anyhow::Error::new(error).context(format!("`{path}` does not read")))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::broken(error)),
    }
}

fn write_html(record: &RunRecord, news: Option<&News>, folder: &Utf8Path) -> Result<(), Failure> {
    let compare = comparison(folder)?;
    let page = html_with(record, news, &record.traces(), compare.as_ref());
    named::write(folder.join("report.html").as_std_path(), page).map_err(Failure::broken)
}

/// Prints the summary of a run.
pub(super) fn print(record: &RunRecord, news: Option<&News>, ui: &Ui) {
    ui.out(summary_with(record, news, style()).trim_end());
}

/// Colours on a terminal, unless the user wants none (no-color.org).
pub(super) fn style() -> Style {
    let colour =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colour { Style::Coloured } else { Style::Plain }
}

fn utf8(path: &std::path::Path) -> Result<Utf8PathBuf, Failure> {
    Utf8PathBuf::from_path_buf(path.to_owned())
        .map_err(|path| Failure::usage(anyhow::anyhow!("`{}` is no UTF-8", path.display())))
}

/// Where runs go unless the user says otherwise.
fn usual_results() -> PathBuf {
    std::env::var_os("MEMRIG_RESULTS").map_or_else(|| "results".into(), PathBuf::from)
}

pub(super) fn report(args: &Report, ui: &Ui) -> Result<Exit, Failure> {
    let place = args.results.clone().unwrap_or_else(usual_results);
    let folder = match &args.run {
        Some(run) => run_folder(run, &place)?,
        None => utf8(&place.join("latest"))?,
    };
    let (record, damage) = RunRecord::read(&folder).map_err(Failure::of)?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    let results = match &args.results {
        Some(results) => Some(utf8(results)?),
        None => history::results_of(&folder),
    };
    let news = results.and_then(|results| history::news_of(&record, &results, ui));
    if args.write {
        write(&record, news.as_ref(), &folder)?;
    }
    if args.html {
        write_html(&record, news.as_ref(), &folder)?;
    }
    let pretty = |value| serde_json::to_string_pretty(&value).map_err(Failure::broken);
    let text = match args.format {
        ReportFormat::Text => {
            if let Some(compare) = comparison(&folder)? {
                ui.out(&compare_summary(&compare, style()));
            }
            print(&record, news.as_ref(), ui);
            None
        }
        ReportFormat::Csv => Some(csv(&record)),
        ReportFormat::SubcasesCsv => Some(subcases_csv(&record)),
        ReportFormat::Json => {
            let mut all = json(&record, news.as_ref());
            if let Some(compare) = comparison(&folder)? {
                all["compare"] = serde_json::to_value(compare).map_err(Failure::broken)?;
            }
            Some(pretty(all)?)
        }
        ReportFormat::Junit => Some(xml(&record)?),
        ReportFormat::Ktap => Some(ktap(&record)),
        ReportFormat::Github => Some(github(&record, news.as_ref())),
        ReportFormat::Kcidb => Some(pretty(kcidb(&record))?),
    };
    if let Some(text) = text {
        ui.out(text.trim_end());
    }
    Ok(Exit::of(record.cases.iter().map(|case| case.verdict)))
}
