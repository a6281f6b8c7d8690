// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig report`: the reports of a run, made from its record alone.

use std::io::IsTerminal;

use camino::{Utf8Path, Utf8PathBuf};

use super::{args::Report, failure::Failure};
use crate::{
    base::{fault::Exit, ui::Ui},
    record::RunRecord,
    tell::{Style, csv, junit, summary},
};

/// Writes `junit.xml` and `cases.csv` into the folder of a run.
pub(super) fn write(record: &RunRecord, folder: &Utf8Path) -> Result<(), Failure> {
    let mut xml = Vec::new();
    junit(record, &mut xml).map_err(Failure::broken)?;
    fs_err::write(folder.join("junit.xml"), xml).map_err(Failure::broken)?;
    fs_err::write(folder.join("cases.csv"), csv(record)).map_err(Failure::broken)
}

/// Prints the summary of a run.
pub(super) fn print(record: &RunRecord, ui: &Ui) {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    ui.out(summary(record, if colour { Style::Coloured } else { Style::Plain }).trim_end());
}

pub(super) fn report(args: &Report, ui: &Ui) -> Result<Exit, Failure> {
    let folder = Utf8PathBuf::from_path_buf(args.run.clone())
        .map_err(|path| Failure::usage(anyhow::anyhow!("`{}` is no UTF-8", path.display())))?;
    let (record, damage) = RunRecord::read(&folder).map_err(Failure::usage)?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    if args.write {
        write(&record, &folder)?;
    }
    print(&record, ui);
    Ok(Exit::of(record.cases.iter().map(|case| case.verdict)))
}
