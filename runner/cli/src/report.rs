// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig report`: the reports of a run, made from its record alone.

use std::path::{Path, PathBuf};

use super::{
    args::{Report, ReportFormat},
    failure::Failure,
    places::{run_folder, utf8},
    told::{comparison, news_beside, news_of, read, summary, write_html, write_with, xml},
};
use base::{fault::Exit, ui::Ui};
use camino::{Utf8Path, Utf8PathBuf};
use record::{Coverage, Hidden, RunRecord, bundle};
use supply::cache::Cache;
use tell::{cobertura, coverage_json, coverage_markdown, csv, github, json, kcidb, ktap, lcov, subcases_csv};

/// Which code the cases of runs ran. Of a case that more than one ran on a kernel, the one that is named last counts.
fn coverage(folders: &[Utf8PathBuf], ui: &Ui) -> Result<Coverage, Failure> {
    let mut coverage = Coverage::default();
    for folder in folders {
        let read = Coverage::read(folder).map_err(Failure::of)?;
        let (of_run, damage) = read.ok_or_else(|| {
            Failure::usage(anyhow::anyhow!(
                "`{folder}` does not know which code ran: the run was made without --cover"
            ))
        })?;
        for damage in &damage {
            ui.warning(&damage.to_string());
        }
        coverage.join(of_run);
    }
    Ok(coverage)
}

/// The same, where the lines of at least one kernel are known.
fn with_lines(folders: &[Utf8PathBuf], ui: &Ui) -> Result<Coverage, Failure> {
    let coverage = coverage(folders, ui)?;
    let mut kernels = coverage.kernels.iter();
    if kernels.all(|kernel| kernel.text.sources.is_empty()) {
        let names: Vec<&str> = folders.iter().map(|folder| folder.as_str()).collect();
        return Err(Failure::usage(anyhow::anyhow!(
            "`{}` knows functions, and no lines: those are known of kernels that memrig builds (`source:`, `tree:`); `--format coverage` has the \
             functions",
            names.join("`, `")
        )));
    }
    Ok(coverage)
}

/// The folders of the runs that are named, of which all forms but those of code take one.
fn folders(args: &Report, results: &Path) -> Result<Vec<Utf8PathBuf>, Failure> {
    let of_one = args.write || args.html || args.bundle.is_some() || !args.format.is_of_code();
    match &args.runs[..] {
        [] => Ok(vec![utf8(&results.join("latest"))?]),
        [_, _, ..] if of_one => Err(Failure::usage(anyhow::anyhow!(
            "{} runs are named, and of several only the code that their cases ran is told together",
            args.runs.len()
        ))
        .hint("name one, or add --format coverage-md, coverage, lcov or cobertura")),
        runs => runs.iter().map(|run| run_folder(run, results)).collect(),
    }
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
    let folders = folders(args, &place)?;
    let (folder, others) = (&folders[0], &folders[1..]);
    if let Some(into) = &args.bundle {
        return pack(folder, &utf8(into)?, ui);
    }
    let record = read(folder, ui)?;
    let others = others.iter().map(|folder| read(folder, ui));
    let others: Vec<RunRecord> = others.collect::<Result<_, _>>()?;
    let records = || std::iter::once(&record).chain(&others);
    let news = match &args.results {
        Some(results) => news_of(&record, &utf8(results)?, ui),
        None => news_beside(&record, folder, ui),
    };
    let shows_compare = matches!(args.format, ReportFormat::Text | ReportFormat::Json);
    let compare = match args.write || args.html || shows_compare {
        true => comparison(folder, ui),
        false => None,
    };
    if args.write {
        write_with(&record, news.as_ref(), compare.as_ref(), folder, ui)?;
    } else if args.html {
        write_html(&record, news.as_ref(), compare.as_ref(), folder, ui)?;
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
        ReportFormat::Lcov => Some(lcov(&with_lines(&folders, ui)?)),
        ReportFormat::Cobertura => {
            let began = record.facts.started.as_second();
            Some(cobertura(&with_lines(&folders, ui)?, began))
        }
        ReportFormat::CoverageMd => {
            let ids: Vec<String> = records().map(|record| record.facts.id.to_string()).collect();
            Some(coverage_markdown(&with_lines(&folders, ui)?, &ids))
        }
        ReportFormat::Coverage => Some(pretty(coverage_json(&coverage(&folders, ui)?))?),
    };
    if let Some(text) = text {
        ui.out(text.trim_end());
    }
    let cases = records().flat_map(|record| &record.cases);
    Ok(Exit::of(cases.map(|case| case.verdict)))
}
