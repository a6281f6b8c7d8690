// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig prune`: old runs keep what a reader still needs.

use super::{args::Prune, failure::Failure, places::utf8};
use base::{ByteSize, fault::Exit, ui::Ui};

pub(super) fn prune(args: &Prune, ui: &Ui) -> Result<Exit, Failure> {
    let results = utf8(&args.results)?;
    let runs = record::prune(&results, args.keep, args.dry_run).map_err(|error| {
        Failure::usage(anyhow::Error::new(error).context(format!("the runs in `{results}` cannot be pruned")))
    })?;
    let kib = |bytes: u64| ByteSize::bytes(bytes.div_ceil(1024) << 10);
    for run in &runs {
        // It was listed in the results folder, so that it has a name.
        let name = run.folder.file_name().unwrap_or(run.folder.as_str());
        let what = match &run.left {
            Some(why) => format!("left as it is: {why}"),
            None if run.after < run.before => format!("now {}", kib(run.after)),
            None => String::new(),
        };
        ui.out(format!("{name} {:>9} {what}", kib(run.before).to_string()).trim_end());
    }
    let sum = |of: fn(&record::Pruned) -> u64| kib(runs.iter().map(of).sum());
    let would = if args.dry_run { "would be" } else { "are" };
    ui.out(&format!(
        "{} runs: {} were used, {} {would} now",
        runs.len(),
        sum(|run| run.before),
        sum(|run| run.after)
    ));
    Ok(Exit::Pass)
}
