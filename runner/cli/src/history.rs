// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig history`, `memrig flaky` and `memrig trend`: what many runs say together.

use serde::Serialize;

use super::{
    args::{Flaky, History, Past, TableFormat, Trend},
    failure::Failure,
    places::utf8,
};
use ::run::open_index;
use base::{fault::Exit, named, ui::Ui};
use record::index::{Index, Which};

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
    open_index(&utf8(&past.results)?, past.rebuild, ui).map_err(Failure::of)
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

/// Runs of the page, where nobody says how many.
const LAST: u32 = 30;

pub(super) fn history(args: &History, ui: &Ui) -> Result<Exit, Failure> {
    let index = index(&args.past, ui)?;
    let mut which = which(&args.past, args.case.as_ref());
    if args.html {
        which.last.get_or_insert(LAST);
    }
    let seen = index.seen(&which).map_err(Failure::of)?;
    if seen.is_empty() {
        let case = args
            .case
            .as_ref()
            .map_or_else(String::new, |case| format!(" `{case}`"));
        ui.error(&format!(
            "no run in `{}` has such a case{case}",
            args.past.results.display()
        ));
        return Ok(Exit::NothingSelected);
    }
    if args.html {
        let page = args.past.results.join("history.html");
        named::write(&page, tell::history_html(&seen)).map_err(Failure::broken)?;
        ui.out(&page.display().to_string());
        return Ok(Exit::Pass);
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
