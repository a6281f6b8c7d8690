// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig matrix`, `memrig plan` and `memrig merge`: many kernels, many machines, one run.

use std::{collections::BTreeMap, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde_json::json;

use super::{
    args::{self, Part, Places, PlanFormat},
    failure::Failure,
    history, report,
    run::{Selected, check_memory, check_results, execute, planned_kernels, utf8},
    setup::{self, get},
    suites,
};
use ::run::{Foreseen, Job, LoadedSuite, PlannedKernel, Wanted, matrix_jobs, repeated, times};
use base::{fault::Exit, named, ui::Ui};
use record::{RunPart, RunRecord, index::HistoryKey};
use suite::Matrix;
use supply::{host, kernel::KernelSource};

/// The matrices that come with memrig, by name.
const OURS: [(&str, &str); 1] = [("nightly", include_str!("../../../suites/nightly.yaml"))];

/// More jobs than these are a mistake in the matrix: at ten seconds each they would take days.
const MOST: usize = 100_000;

/// A matrix with its suites.
pub(super) struct Loaded {
    matrix: Matrix,
    suites: Vec<(String, Arc<LoadedSuite>)>,
}

/// Reads a matrix and its suites, and refuses what no one can mean. Nothing is got here.
pub(super) fn load(name: &str) -> Result<Loaded, Failure> {
    let (file, text) = if name.contains('/') || name.ends_with(".yaml") {
        (name.to_owned(), suites::read(name)?.0)
    } else {
        let (_, text) = OURS.iter().find(|(ours, _)| *ours == name).ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("there is no matrix `{name}`"))
                .hint("the matrix is nightly; a path has a slash or ends in .yaml")
        })?;
        (format!("suites/{name}.yaml"), (*text).to_owned())
    };
    let kernel = |name: &str| match name.parse::<KernelSource>() {
        Ok(_) => Ok(()),
        Err(error) => Err((error.to_string(), None)),
    };
    let suite = |name: &str| {
        if name == "all" {
            return Err((
                "`all` is no suite here".to_owned(),
                Some("name each one".to_owned()),
            ));
        }
        match name.contains('/') || name.ends_with(".yaml") || suites::names().contains(&name) {
            true => Ok(()),
            false => Err((
                format!("there is no suite `{name}`"),
                Some(format!(
                    "the suites are {}; a path has a slash or ends in .yaml",
                    suites::names().join(", ")
                )),
            )),
        }
    };
    let matrix = Matrix::parse(&file, &text, &kernel, &suite).map_err(Failure::of)?;
    let mut loaded = Vec::new();
    for name in matrix.all_suites() {
        let suite = suites::load(std::slice::from_ref(&name), &[])?.remove(0);
        loaded.push((name, suite));
    }
    let cases = loaded
        .iter()
        .flat_map(|(_, suite)| &suite.suite.cases)
        .map(|case| case.variants.len())
        .sum();
    let most = matrix.at_most(cases);
    if most > MOST {
        return Err(Failure::usage(anyhow::anyhow!(
            "{file}: the matrix comes to up to {most} jobs, and {MOST} are the most: {} kernels × {} architectures × {} command lines × {cases} \
             cases with their variants",
            matrix.all_kernels().len(),
            matrix.all_arches().len(),
            matrix.all_cmdlines().len(),
        ))
        .hint("take values out of an axis, or make several matrices"));
    }
    Ok(Loaded {
        matrix,
        suites: loaded,
    })
}

/// Gets what the matrix needs, and makes its jobs.
pub(super) fn select(loaded: &Loaded, places: &Places, ui: &Ui) -> Result<Selected, Failure> {
    let (wanted, host) = loaded.wanted(places)?;
    let rig = get(&wanted, ui)?;
    let jobs = loaded.jobs(&planned_kernels(&rig))?;
    Ok(Selected {
        rig,
        jobs,
        part: RunPart::Whole,
        host,
    })
}

/// Makes the jobs of the matrix by what is there: nothing is got for it. What would be got is told.
pub(super) fn foresee(loaded: &Loaded, places: &Places, ui: &Ui) -> Result<Selected<Foreseen>, Failure> {
    let (wanted, host) = loaded.wanted(places)?;
    let rig = setup::foresee(&wanted, ui)?;
    let jobs = loaded.jobs(&rig.kernels)?;
    Ok(Selected {
        rig,
        jobs,
        part: RunPart::Whole,
        host,
    })
}

impl Loaded {
    /// What the matrix needs, unless no host can have it.
    fn wanted(&self, places: &Places) -> Result<(Wanted, host::HostFacts), Failure> {
        let host = host::facts().map_err(Failure::broken)?;
        let suites: Vec<Arc<LoadedSuite>> = self.suites.iter().map(|(_, suite)| suite.clone()).collect();
        check_memory(&suites, &host)?;
        let mut kernels = Vec::new();
        for name in self.matrix.all_kernels() {
            let source: KernelSource = name.parse().map_err(Failure::of)?;
            let arches = self.matrix.all_arches().into_iter();
            kernels.extend(arches.map(|arch| (source.clone(), arch)));
        }
        let wanted = Wanted {
            kernels,
            qemus: places.qemus.iter().cloned().collect(),
            refresh: false,
        };
        Ok((wanted, host))
    }

    /// The jobs on its kernels.
    fn jobs(&self, kernels: &[PlannedKernel]) -> Result<Vec<Job>, Failure> {
        let jobs = matrix_jobs(&self.matrix, &self.suites, kernels).map_err(Failure::of)?;
        match jobs.is_empty() {
            false => Ok(jobs),
            true => Err(Failure::usage(anyhow::anyhow!(
                "the matrix `{}` comes to nothing: everything is left out, or no case fits its kernels",
                self.matrix.name
            ))),
        }
    }
}

/// How long jobs take, in milliseconds by the id of the case, as `--times` says.
pub(super) fn times_of(which: &Part) -> Result<BTreeMap<String, u64>, Failure> {
    let Some(file) = &which.times else {
        return Ok(BTreeMap::new());
    };
    let none = |error: anyhow::Error| {
        Failure::usage(error.context(format!("`{}` holds no times", file.display())))
            .hint("make it with `memrig plan --format times`")
    };
    let bytes = named::read_text(file).map_err(Failure::usage)?;
    let text = named::text(&bytes).map_err(|error| none(error.into()))?;
    serde_json::from_str(text).map_err(|error| none(error.into()))
}

/// Leaves the jobs of the part that is meant; `require_all` is a part of what the plan is.
pub(super) fn part<R>(
    selected: &mut Selected<R>,
    which: &Part,
    times: &BTreeMap<String, u64>,
    require_all: bool,
) {
    if let Some(shard) = &which.shard {
        selected.part = shard.facts(&selected.jobs, require_all);
        selected.jobs = shard.part(std::mem::take(&mut selected.jobs), times);
    }
}

pub(super) fn matrix(args: &args::Matrix, ui: &Ui) -> Result<Exit, Failure> {
    let loaded = load(&args.planned.file)?;
    let times = times_of(&args.planned.part)?;
    let results = utf8(&args.planned.places.results)?;
    check_results(&results)?;
    let mut selected = select(&loaded, &args.planned.places, ui)?;
    selected.jobs = repeated(selected.jobs, args.repeat.rounds());
    part(&mut selected, &args.planned.part, &times, args.how.require_all);
    execute(selected, results, None, &args.how, ui)
}

/// Milliseconds that each job took in earlier runs.
pub(super) fn history_of(
    jobs: &[Job],
    kernels: &[PlannedKernel],
    results: &Utf8Path,
    ui: &Ui,
) -> BTreeMap<String, u64> {
    let key = |job: &Job| HistoryKey::on_line(&kernels[job.kernel].label, &job.key);
    if !results.is_dir() {
        return BTreeMap::new();
    }
    let keys: Vec<HistoryKey> = jobs.iter().map(key).collect();
    let before = history::asked(results, ui, |index| {
        index.before(Timestamp::now(), &keys).map_err(Failure::of)
    });
    match before {
        Ok(before) => times(jobs, key, &before),
        Err(failure) => {
            ui.warning("how long the jobs took before is not known:");
            failure.tell(ui);
            BTreeMap::new()
        }
    }
}

pub(super) fn plan(args: &args::Plan, ui: &Ui) -> Result<Exit, Failure> {
    let loaded = load(&args.planned.file)?;
    if args.format == PlanFormat::Github {
        let parts: Vec<_> = (1..=args.shards.max(1))
            .map(|number| json!({ "shard": format!("{}:{number}/{}", args.by.word(), args.shards.max(1)) }))
            .collect();
        ui.out(&json!({ "include": parts }).to_string());
        return Ok(Exit::Pass);
    }
    let given = times_of(&args.planned.part)?;
    let results = utf8(&args.planned.places.results)?;
    let mut selected = foresee(&loaded, &args.planned.places, ui)?;
    part(&mut selected, &args.planned.part, &given, false);
    let times = history_of(&selected.jobs, &selected.rig.kernels, &results, ui);
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
        _ => ui.out(text(&selected.jobs, &times).trim_end()),
    }
    Ok(Exit::Pass)
}

/// Jobs and their time by kernel and suite.
fn text(jobs: &[Job], times: &BTreeMap<String, u64>) -> String {
    let mut groups: BTreeMap<(String, String, String), Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        let key = (
            job.key.arch.to_string(),
            job.key.kernel.clone(),
            job.key.suite.clone(),
        );
        groups.entry(key).or_default().push(job);
    }
    let sum = |jobs: &mut dyn Iterator<Item = &&Job>| -> (u64, usize) {
        let all: Vec<Option<&u64>> = jobs
            .filter(|job| job.skip.is_none())
            .map(|job| times.get(&job.key.id()))
            .collect();
        (
            all.iter().flatten().copied().sum(),
            all.iter().filter(|time| time.is_none()).count(),
        )
    };
    let told = |(ms, unknown): (u64, usize)| {
        let minutes = format!("{:.1} min", ms as f64 / 60_000.0);
        match unknown {
            0 => minutes,
            n => format!("{minutes} and {n} of which nothing is known"),
        }
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
            told(sum(&mut jobs.iter()))
        ));
    }
    let all: Vec<&Job> = jobs.iter().collect();
    lines.push(format!(
        "{} jobs, {} one after another",
        jobs.len(),
        told(sum(&mut all.iter()))
    ));
    lines.join("\n")
}

pub(super) fn merge(args: &args::Merge, ui: &Ui) -> Result<Exit, Failure> {
    let results = utf8(&args.results)?;
    check_results(&results)?;
    let mut folders = Vec::new();
    for folder in &args.runs {
        folders.push(utf8(folder)?);
    }
    merge_into(&folders, &results, args.partial, ui).map(|(_, exit)| exit)
}

/// Merges parts, writes the reports of the run that comes of it and prints its summary; with its folder.
pub(super) fn merge_into(
    folders: &[Utf8PathBuf],
    results: &Utf8Path,
    partial: bool,
    ui: &Ui,
) -> Result<(Utf8PathBuf, Exit), Failure> {
    let merged = record::merge(folders, results, partial).map_err(Failure::of)?;
    for (folder, damage) in &merged.damage {
        ui.warning(&format!("{folder}/{damage}"));
    }
    for note in &merged.notes {
        ui.warning(note);
    }
    let (record, damage) =
        RunRecord::read(&merged.folder).map_err(|error| Failure::broken(anyhow::Error::new(error)))?;
    for damage in &damage {
        ui.warning(&damage.to_string());
    }
    let news = history::news_of(&record, results, ui);
    report::write(&record, news.as_ref(), &merged.folder)?;
    report::print(&record, news.as_ref(), ui);
    let exit = Exit::of(record.cases.iter().map(|case| case.verdict));
    // What is missing could be anything but a failure that was seen.
    let exit = match exit {
        Exit::Pass | Exit::NothingSelected if !merged.is_whole() => Exit::Broken,
        exit => exit,
    };
    Ok((merged.folder, exit))
}
