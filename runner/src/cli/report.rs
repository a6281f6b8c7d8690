// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig report`: the reports of a run, made from its record alone.

use std::io::IsTerminal;

use camino::{Utf8Path, Utf8PathBuf};

use super::{args::Report, failure::Failure, history};
use crate::{
    base::{fault::Exit, ui::Ui},
    record::RunRecord,
    tell::{News, Style, csv, junit, summary_with},
};

/// Writes `junit.xml` and `cases.csv` into the folder of a run.
pub(super) fn write(record: &RunRecord, folder: &Utf8Path) -> Result<(), Failure> {
    let mut xml = Vec::new();
    junit(record, &mut xml).map_err(Failure::broken)?;
    fs_err::write(folder.join("junit.xml"), xml).map_err(Failure::broken)?;
    fs_err::write(folder.join("cases.csv"), csv(record)).map_err(Failure::broken)
}

/// Prints the summary of a run.
pub(super) fn print(record: &RunRecord, news: Option<&News>, ui: &Ui) {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = if colour { Style::Coloured } else { Style::Plain };
    ui.out(summary_with(record, news, style).trim_end());
}

fn utf8(path: &std::path::Path) -> Result<Utf8PathBuf, Failure> {
    Utf8PathBuf::from_path_buf(path.to_owned())
        .map_err(|path| Failure::usage(anyhow::anyhow!("`{}` is no UTF-8", path.display())))
}

pub(super) fn report(args: &Report, ui: &Ui) -> Result<Exit, Failure> {
    let folder = utf8(&args.run)?;
    let (record, damage) = RunRecord::read(&folder).map_err(Failure::usage)?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    if args.write {
        write(&record, &folder)?;
    }
    let results = match &args.results {
        Some(results) => Some(utf8(results)?),
        None => history::results_of(&folder),
    };
    let news = results.and_then(|results| history::news_of(&record, &results, ui));
    print(&record, news.as_ref(), ui);
    Ok(Exit::of(record.cases.iter().map(|case| case.verdict)))
}
