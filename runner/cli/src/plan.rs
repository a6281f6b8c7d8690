// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig plan`: what a matrix comes to.

use std::{collections::BTreeMap, fmt};

use serde_json::json;

use super::{
    args::{Plan, PlanFormat},
    failure::Failure,
    matrices,
    places::utf8,
    suites,
    usual::Usual,
};
use ::run::Job;
use base::{fault::Exit, ui::Ui};
use suite::Explore;

pub(super) fn plan(args: &Plan, ui: &Ui) -> Result<Exit, Failure> {
    let loaded = matrices::load(&args.planned.file)?;
    if args.format == PlanFormat::Github {
        let parts: Vec<_> = (1..=args.shards.max(1))
            .map(|number| json!({ "shard": format!("{}:{number}/{}", args.by.word(), args.shards.max(1)) }))
            .collect();
        ui.out(&json!({ "include": parts }).to_string());
        return Ok(Exit::Pass);
    }
    let given = matrices::times_of(&args.planned.part)?;
    let results = utf8(&args.planned.places.results)?;
    let mut selected = loaded
        .foresee(args.planned.places.qemus(), ui)
        .map_err(Failure::of)?;
    selected.go_around(&suites::issues()?, ui);
    let explored = selected.in_use();
    let (own, all) = (args.planned.part.share(&explored), explored.len());
    args.planned.part.narrow(&mut selected, &given, false);
    let times = matrices::history_of(&selected.jobs, &results, ui);
    match args.format {
        PlanFormat::Times => ui.out(&serde_json::to_string_pretty(&times).map_err(Failure::broken)?),
        PlanFormat::Json => {
            let jobs: Vec<_> = selected
                .jobs
                .iter()
                .map(|job| {
                    json!({ "id": job.key.id(), "key": job.key, "skip": job.skip, "cmdline": job.cmdline,
                        "seconds": times.get(&job.key.id()).map(|ms| *ms as f64 / 1000.0) })
                })
                .collect();
            ui.out(&serde_json::to_string_pretty(&jobs).map_err(Failure::broken)?);
        }
        _ => {
            ui.out(text(&selected.jobs, &times, &Usual::figures()?).trim_end());
            if let Some(explore) = loaded.matrix.explore {
                ui.out(&exploration(explore, own.len(), all));
            }
        }
    }
    Ok(Exit::Pass)
}

/// Jobs and their time by kernel and suite.
fn text(jobs: &[Job], times: &BTreeMap<String, u64>, usual: &Usual) -> String {
    let mut groups: BTreeMap<(String, String, String), Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        let key = (
            job.key.arch.to_string(),
            job.key.kernel_name(),
            job.key.suite.clone(),
        );
        groups.entry(key).or_default().push(job);
    }
    let sum = |jobs: &mut dyn Iterator<Item = &&Job>| {
        let mut sum = Sum::default();
        for job in jobs.filter(|job| job.skip.is_none()) {
            let guessed = || usual.millis(&job.key.suite, job.key.arch);
            match (times.get(&job.key.id()), guessed()) {
                (Some(millis), _) => sum.millis += millis,
                (None, Some(millis)) => {
                    sum.millis += millis;
                    sum.usual += 1;
                }
                (None, None) => sum.unknown += 1,
            }
        }
        sum
    };
    let mut lines = Vec::new();
    for ((arch, kernel, suite), jobs) in &groups {
        let skips = jobs.iter().filter(|job| job.skip.is_some()).count();
        let skipped = if skips > 0 {
            format!(", {skips} skipped")
        } else {
            String::new()
        };
        let jobs_text = format!("{} jobs{skipped}", jobs.len());
        lines.push(format!(
            "{arch:6} {kernel:36} {suite:12} {jobs_text:22} {}",
            sum(&mut jobs.iter())
        ));
    }
    let all: Vec<&Job> = jobs.iter().collect();
    let total = sum(&mut all.iter());
    lines.push(format!("{} jobs, {total}, one after another", jobs.len()));
    if total.usual > 0 {
        lines.push(format!("usual: {}", usual.measured()));
    }
    lines.join("\n")
}

/// What is explored of the kernels of a part, of so many in all.
fn exploration(explore: Explore, kernels: usize, all: usize) -> String {
    let share = explore.share(kernels, all).as_secs_f64();
    format!(
        "{} explored before them, {:.1} min together, with {}",
        match kernels {
            1 => "1 kernel".to_owned(),
            n => format!("{n} kernels"),
        },
        share / 60.0,
        match explore.seed {
            None => "another seed each time".to_owned(),
            Some(seed) => format!("seed {seed}"),
        }
    )
}

/// How long jobs take together.
#[derive(Debug, Default)]
struct Sum {
    millis: u64,
    /// Jobs that no earlier run has, and that go by the figures of another machine.
    usual: usize,
    /// Jobs of which nothing is known.
    unknown: usize,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} min", self.millis as f64 / 60_000.0)?;
        if self.usual > 0 {
            write!(f, " ({} by what is usual)", self.usual)?;
        }
        match self.unknown {
            0 => Ok(()),
            n => write!(f, " and {n} of which nothing is known"),
        }
    }
}
