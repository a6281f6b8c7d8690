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
use tell::{csv, github, json, kcidb, ktap, subcases_csv};

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
    };
    if let Some(text) = text {
        ui.out(text.trim_end());
    }
    Ok(Exit::of(record.cases.iter().map(|case| case.verdict)))
}
