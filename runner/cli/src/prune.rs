// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig prune`: old runs keep what a reader still needs, and the cache what is used.

use std::time::Duration;

use super::{args::Prune, failure::Failure, places::utf8};
use base::{ByteSize, fault::Exit, ui::Ui};
use supply::{cache::Cache, unused};

pub(super) fn prune(args: &Prune, ui: &Ui) -> Result<Exit, Failure> {
    if let Some(keep) = args.keep {
        runs(args, keep, ui)?;
    }
    if args.cache {
        cache(args, ui)?;
    }
    Ok(Exit::Pass)
}

/// A number of bytes that a person reads: whole KiB.
fn kib(bytes: u64) -> ByteSize {
    ByteSize::bytes(bytes.div_ceil(1024) << 10)
}

/// Takes out of the cache what was not used for long.
fn cache(args: &Prune, ui: &Ui) -> Result<(), Failure> {
    let cache = match args.dry_run {
        true => Cache::look(ui),
        false => Cache::open(ui),
    };
    let cache = cache.map_err(Failure::of)?;
    let day = Duration::from_hours(24);
    let old = unused::unused(&cache, day * args.unused).map_err(Failure::of)?;
    for entry in &old {
        if !args.dry_run {
            unused::remove(&cache, entry).map_err(Failure::of)?;
        }
        ui.out(&format!(
            "{:<9} {:>9} not used for {} days  {}",
            entry.kind,
            kib(entry.size.as_bytes()).to_string(),
            entry.since.as_secs() / day.as_secs(),
            entry.key
        ));
    }
    ui.out(&format!(
        "{} entries of the cache {}, {}",
        old.len(),
        if args.dry_run { "would go" } else { "are gone" },
        kib(old.iter().map(|entry| entry.size.as_bytes()).sum())
    ));
    Ok(())
}

fn runs(args: &Prune, keep: usize, ui: &Ui) -> Result<(), Failure> {
    let results = utf8(&args.results)?;
    let runs = record::prune(&results, keep, args.dry_run).map_err(|error| {
        Failure::usage(anyhow::Error::new(error).context(format!("the runs in `{results}` cannot be pruned")))
    })?;
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
    Ok(())
}
