// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig report`: the reports of a run, made from its record alone.

use std::path::PathBuf;

use super::{
    args::{Report, ReportFormat},
    failure::Failure,
    places::{run_folder, utf8},
    told::{comparison, news_beside, news_of, read, summary, write_html, write_with, xml},
};
use base::{fault::Exit, ui::Ui};
use camino::Utf8Path;
use record::{Coverage, Hidden, bundle};
use supply::cache::Cache;
use tell::{cobertura, coverage_json, coverage_markdown, csv, github, json, kcidb, ktap, lcov, subcases_csv};

/// Which code the cases of a run ran.
fn coverage(folder: &Utf8Path, ui: &Ui) -> Result<Coverage, Failure> {
    let read = Coverage::read(folder).map_err(Failure::of)?;
    let (coverage, damage) = read.ok_or_else(|| {
        Failure::usage(anyhow::anyhow!(
            "`{folder}` does not know which code ran: the run was made without --cover"
        ))
    })?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    Ok(coverage)
}

/// The same, where the lines of at least one kernel are known.
fn with_lines(folder: &Utf8Path, ui: &Ui) -> Result<Coverage, Failure> {
    let coverage = coverage(folder, ui)?;
    if coverage
        .kernels
        .iter()
        .all(|kernel| kernel.text.sources.is_empty())
    {
        return Err(Failure::usage(anyhow::anyhow!(
            "`{folder}` knows functions, and no lines: those are known of kernels that memrig builds (`source:`, `tree:`); `--format coverage` has the \
             functions"
        )));
    }
    Ok(coverage)
}

/// Packs the run, without the names of folders that are the user's own.
fn pack(folder: &Utf8Path, into: &Utf8Path, ui: &Ui) -> Result<Exit, Failure> {
    let own = |path: Option<PathBuf>, stand_in: &str| {
        let path = path.and_then(|path| path.into_os_string().into_string().ok());
        path.map(|path| (path, stand_in.to_owned()))
    };
    let cache = Cache::look(ui).ok().map(|cache| cache.root().to_owned());
    let words = [
        own(std::env::home_dir(), "~"),
        own(std::env::current_dir().ok(), "."),
        own(cache, "CACHE"),
    ];
    let files = bundle(folder, into, &Hidden::new(words.into_iter().flatten())).map_err(Failure::of)?;
    ui.out(&format!("{into}: {files} files"));
    Ok(Exit::Pass)
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
    if let Some(into) = &args.bundle {
        return pack(&folder, &utf8(into)?, ui);
    }
    let record = read(&folder, ui)?;
    let news = match &args.results {
        Some(results) => news_of(&record, &utf8(results)?, ui),
        None => news_beside(&record, &folder, ui),
    };
    let shows_compare = matches!(args.format, ReportFormat::Text | ReportFormat::Json);
    let compare = match args.write || args.html || shows_compare {
        true => comparison(&folder)?,
        false => None,
    };
    if args.write {
        write_with(&record, news.as_ref(), compare.as_ref(), &folder)?;
    } else if args.html {
        write_html(&record, news.as_ref(), compare.as_ref(), &folder)?;
    }
    let pretty = |value| serde_json::to_string_pretty(&value).map_err(Failure::broken);
    let text = match args.format {
        ReportFormat::Text => {
            summary(&record, news.as_ref(), compare.as_ref(), ui);
            None
        }
        ReportFormat::Csv => Some(csv(&record)),
        ReportFormat::SubcasesCsv => Some(subcases_csv(&record)),
        ReportFormat::Json => {
            let mut all = json(&record, news.as_ref());
            if let Some(compare) = compare {
                all["compare"] = serde_json::to_value(compare).map_err(Failure::broken)?;
            }
            Some(pretty(all)?)
        }
        ReportFormat::Junit => Some(xml(&record)?),
        ReportFormat::Ktap => Some(ktap(&record)),
        ReportFormat::Github => Some(github(&record, news.as_ref())),
        ReportFormat::Kcidb => Some(pretty(kcidb(&record))?),
        ReportFormat::Lcov => Some(lcov(&with_lines(&folder, ui)?)),
        ReportFormat::Cobertura => {
            let began = record.facts.started.as_second();
            Some(cobertura(&with_lines(&folder, ui)?, began))
        }
        ReportFormat::CoverageMd => {
            let coverage = with_lines(&folder, ui)?;
            Some(coverage_markdown(&coverage, &record.facts.id.to_string()))
        }
        ReportFormat::Coverage => Some(pretty(coverage_json(&coverage(&folder, ui)?))?),
    };
    if let Some(text) = text {
        ui.out(text.trim_end());
    }
    Ok(Exit::of(record.cases.iter().map(|case| case.verdict)))
}
