// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig run` and `memrig replay`.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    args::{FailFast, How, Places, Replay, Run, Select, Which},
    bisect,
    failure::Failure,
    history, matrix, report,
    setup::{self, get},
    suites,
};
use ::run::{
    Capacity, Filter, Foreseen, HOST_RESERVE, Job, LoadedSuite, Outcome, PlannedKernel, Prepared, Request,
    Rig, Wanted, plan, repeated, usual_guests,
};
use base::{Arch, ByteSize, fault::Exit, ui::Ui};
use record::{CaseKey, KernelFacts, RunFacts, RunPart, RunRecord};
use supply::{host, kernel::KernelSource};

/// What a selection comes to: the rig, or what of it can be foreseen, and the jobs.
pub(super) struct Selected<R = Rig> {
    pub(super) rig: R,
    pub(super) jobs: Vec<Job>,
    /// Which part of what was meant the jobs are.
    pub(super) part: RunPart,
    pub(super) host: host::HostFacts,
}

/// Finds out what is meant, gets what that needs, and plans. Nothing boots here.
pub(super) fn select(
    args: &Select,
    places: &Places,
    suites: &[Arc<LoadedSuite>],
    ui: &Ui,
) -> Result<Selected, Failure> {
    let kernels = setup::kernels(&args.kernels, &args.which.arches);
    select_of(kernels, &args.which.filter(), places, suites, ui)
}

/// Finds out what is meant, and plans by what is there: nothing is got for it. What would be got is told.
fn foresee(
    args: &Select,
    places: &Places,
    suites: &[Arc<LoadedSuite>],
    ui: &Ui,
) -> Result<Selected<Foreseen>, Failure> {
    let kernels = setup::kernels(&args.kernels, &args.which.arches);
    let filter = args.which.filter();
    let (wanted, host) = wanted(kernels, &filter, places, suites)?;
    let rig = setup::foresee(&wanted, ui)?;
    let jobs = plan(suites, &rig.kernels, &filter).map_err(Failure::of)?;
    Ok(Selected {
        rig,
        jobs,
        part: RunPart::Whole,
        host,
    })
}

/// The same for kernels that are named one by one.
pub(super) fn select_of(
    kernels: Vec<(KernelSource, Arch)>,
    filter: &Filter,
    places: &Places,
    suites: &[Arc<LoadedSuite>],
    ui: &Ui,
) -> Result<Selected, Failure> {
    let (wanted, host) = wanted(kernels, filter, places, suites)?;
    let rig = get(&wanted, ui)?;
    let jobs = plan(suites, &planned_kernels(&rig), filter).map_err(Failure::of)?;
    Ok(Selected {
        rig,
        jobs,
        part: RunPart::Whole,
        host,
    })
}

/// What a selection needs, unless it is one that no host can have or that nothing fits.
fn wanted(
    kernels: Vec<(KernelSource, Arch)>,
    filter: &Filter,
    places: &Places,
    suites: &[Arc<LoadedSuite>],
) -> Result<(Wanted, host::HostFacts), Failure> {
    let host = host::facts().map_err(Failure::broken)?;
    check_memory(suites, &host)?;
    check_filter(filter, suites)?;
    let wanted = Wanted {
        kernels,
        qemus: places.qemus.iter().cloned().collect(),
        refresh: false,
    };
    Ok((wanted, host))
}

/// Refuses a name that fits nothing, before anything is got for it.
fn check_filter(filter: &Filter, suites: &[Arc<LoadedSuite>]) -> Result<(), Failure> {
    let Some(missed) = filter.misses(suites) else {
        return Ok(());
    };
    let files: Vec<&str> = suites.iter().map(|loaded| loaded.file.as_str()).collect();
    Err(Failure::usage(anyhow::anyhow!(
        "nothing is selected: {missed}, in {}",
        files.join(", ")
    ))
    .exit(Exit::NothingSelected)
    .hint("`memrig list` shows suites and cases"))
}

/// Refuses machines that are larger than the host.
pub(super) fn check_memory(suites: &[Arc<LoadedSuite>], host: &host::HostFacts) -> Result<(), Failure> {
    for (loaded, case) in suites
        .iter()
        .flat_map(|loaded| loaded.suite.cases.iter().map(move |case| (loaded, case)))
    {
        let needed = case.machine.memory + case.machine.hotplug;
        let there = host.memory.as_bytes().saturating_sub(HOST_RESERVE.as_bytes());
        if needed.as_bytes() > there && case.machine.memory.as_bytes() > there {
            return Err(Failure::usage(anyhow::anyhow!(
                "{}:{}: case {} needs a guest with {} of memory, and the host has {} MiB for guests",
                loaded.file,
                case.line,
                case.id,
                case.machine.memory,
                there >> 20
            ))
            .hint("make the machine of the case smaller, or leave the case out with --case"));
        }
    }
    Ok(())
}

/// What a plan must know of the kernels that were got.
pub(super) fn planned_kernels(rig: &Rig) -> Vec<PlannedKernel> {
    rig.kernels.iter().map(Prepared::planned).collect()
}

/// Guests at once, and the memory that they share.
pub(super) fn capacity(asked: Option<NonZeroUsize>, host: &host::HostFacts) -> Result<Capacity, Failure> {
    let available = host::available_memory().map_err(Failure::broken)?;
    Ok(Capacity {
        guests: asked.map_or_else(|| usual_guests(host.cpus), NonZeroUsize::get),
        memory: ByteSize::bytes(available.as_bytes().saturating_sub(HOST_RESERVE.as_bytes())),
    })
}

pub(super) fn utf8(path: &Path) -> Result<Utf8PathBuf, Failure> {
    Utf8PathBuf::from_path_buf(path.to_owned())
        .map_err(|path| Failure::usage(anyhow::anyhow!("`{}` is no UTF-8", path.display())))
}

/// Checks that the folder takes a run, before anything long begins.
pub(super) fn check_results(results: &Utf8Path) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::usage(
            anyhow::Error::new(error).context(format!("the results folder `{results}` cannot be written")),
        )
        .hint("name another folder with --results")
    };
    fs_err::create_dir_all(results).map_err(unwritable)?;
    tempfile::Builder::new()
        .prefix(".probe-")
        .tempfile_in(results)
        .map_err(unwritable)?;
    Ok(())
}

pub(super) fn run(args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    if let Some(run) = &args.resume {
        return resume(run, args, ui);
    }
    let suites = suites::load(&args.select.suites, &["quick"])?;
    let times = matrix::times_of(&args.part)?;
    let results = utf8(&args.places.results)?;
    if args.dry_run {
        let mut foreseen = foresee(&args.select, &args.places, &suites, ui)?;
        return Ok(match narrowed(&mut foreseen, args, &times, ui) {
            true => {
                tell_plan(&foreseen, ui);
                Exit::Pass
            }
            false => Exit::NothingSelected,
        });
    }
    check_results(&results)?;
    let mut selected = select(&args.select, &args.places, &suites, ui)?;
    if !narrowed(&mut selected, args, &times, ui) {
        return Ok(Exit::NothingSelected);
    }
    let reports = results.clone();
    let outcome = outcome(selected, results, None, &args.how, ui)?;
    tell(&outcome, &reports, ui)?;
    if !args.bisect {
        return Ok(outcome.exit);
    }
    Ok(
        match bisect::good(outcome.record.cases.iter().map(|case| case.verdict)) {
            _ if outcome.exit == Exit::Interrupted => Exit::Interrupted,
            Some(true) => Exit::Pass,
            Some(false) => Exit::KernelFailed,
            None => Exit::Broken,
        },
    )
}

/// Leaves the rounds and the part that are meant; says so where that is nothing.
fn narrowed<R>(selected: &mut Selected<R>, args: &Run, times: &BTreeMap<String, u64>, ui: &Ui) -> bool {
    selected.jobs = repeated(std::mem::take(&mut selected.jobs), args.repeat.rounds());
    matrix::part(selected, &args.part, times, args.how.require_all);
    if selected.jobs.is_empty() {
        ui.error("nothing is selected: no case fits the kernels, architectures, names and variants that were given");
    }
    !selected.jobs.is_empty()
}

/// Prints the jobs with their QEMU commands, as far as they are known.
fn tell_plan(selected: &Selected<Foreseen>, ui: &Ui) {
    for job in &selected.jobs {
        let name = format!(
            "{} {}/{} {}",
            job.key.kernel, job.key.suite, job.key.case, job.key.variant
        );
        ui.out(&format!("# {} {}", job.key.arch, name.trim_end()));
        match (&job.skip, selected.rig.command(job)) {
            (Some(reason), _) => ui.out(&format!("# skipped: {reason}")),
            (None, Some(command)) => ui.out(&command),
            (None, None) => ui.out("# its QEMU command is not known before all of it is there"),
        }
    }
}

/// Runs what was selected, writes the reports and prints the summary.
pub(super) fn execute(
    selected: Selected,
    results: Utf8PathBuf,
    resume: Option<Utf8PathBuf>,
    how: &How,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let reports = results.clone();
    let outcome = outcome(selected, results, resume, how, ui)?;
    tell(&outcome, &reports, ui)?;
    Ok(outcome.exit)
}

/// Writes the reports of a run and prints its summary, with what is new in it.
fn tell(outcome: &Outcome, results: &Utf8Path, ui: &Ui) -> Result<(), Failure> {
    let news = history::news_of(&outcome.record, results, ui);
    report::write(&outcome.record, news.as_ref(), &outcome.folder)?;
    report::print(&outcome.record, news.as_ref(), ui);
    Ok(())
}

/// Runs what was selected.
pub(super) fn outcome(
    selected: Selected,
    results: Utf8PathBuf,
    resume: Option<Utf8PathBuf>,
    how: &How,
    ui: &Ui,
) -> Result<Outcome, Failure> {
    start(selected, results, resume, false, how, ui)
}

/// Runs what was selected, and sees what the comparison of two kernels needs.
pub(super) fn watched(
    selected: Selected,
    results: Utf8PathBuf,
    how: &How,
    ui: &Ui,
) -> Result<Outcome, Failure> {
    start(selected, results, None, true, how, ui)
}

fn start(
    selected: Selected,
    results: Utf8PathBuf,
    resume: Option<Utf8PathBuf>,
    watch: bool,
    how: &How,
    ui: &Ui,
) -> Result<Outcome, Failure> {
    let request = Request {
        capacity: capacity(how.jobs, &selected.host)?,
        jobs: selected.jobs,
        part: selected.part,
        rig: selected.rig,
        results,
        resume,
        fail_fast: how.fail_fast.map(FailFast::verdict),
        require_all: how.require_all,
        clone: !how.no_clone,
        watch,
        host: selected.host,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::broken)?;
    runtime.block_on(run::run(request, ui)).map_err(Failure::of)
}

/// The folder of a run, by its path or by its name in the results folder: summaries name a run by its id alone.
pub(super) fn run_folder(run: &Path, results: &Path) -> Result<Utf8PathBuf, Failure> {
    let named = results.join(run);
    // What is in neither place is missed where the user said that it is.
    utf8(if run.exists() || !named.exists() {
        run
    } else {
        &named
    })
}

pub(super) fn replay(args: &Replay, ui: &Ui) -> Result<Exit, Failure> {
    let folder = run_folder(&args.run, &args.places.results)?;
    let (record, _) = RunRecord::read(&folder).map_err(Failure::of)?;
    let keys: Vec<_> = record
        .cases
        .iter()
        .map(|case| case.key.clone())
        .chain(record.not_run.iter().cloned())
        .filter(|key| key.case == args.case || key.id() == args.case)
        .map(|key| key.without_round())
        .collect();
    if keys.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "the run in `{folder}` has no case `{}`",
            args.case
        ))
        .hint("name it by its id, as B03, or by classname/id as in the reports"));
    }
    let mut selected = select_again(&record, &keys, &args.places, ui)?;
    let kernels = planned_kernels(&selected.rig);
    selected
        .jobs
        .retain(|job| keys.iter().any(|key| is_again(&record.facts, key, job, &kernels)));
    for (label, then, now) in renewed(&record.facts, &selected.jobs, &kernels) {
        ui.line(&format!("{label} is {now} by now; that run had {then}"));
    }
    if selected.jobs.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "the suites of today have no such case any more"
        )));
    }
    selected.jobs = repeated(selected.jobs, args.repeat.rounds());
    execute(selected, utf8(&args.places.results)?, None, &How::default(), ui)
}

/// Whether a job is what a case of an earlier run was. The kernel may have a newer release by now: what it was asked for by is the same.
fn is_again(then: &RunFacts, key: &CaseKey, job: &Job, kernels: &[PlannedKernel]) -> bool {
    let named = |key: &CaseKey| (key.arch, key.suite.clone(), key.variant.clone(), key.case.clone());
    named(key) == named(&job.key) && then.line_of(key) == kernels[job.kernel].label
}

/// Kernels of jobs that have another release than in an earlier run: their labels, that release and the one of today.
fn renewed<'a>(
    then: &'a RunFacts,
    jobs: &[Job],
    kernels: &'a [PlannedKernel],
) -> BTreeSet<(&'a str, &'a str, &'a str)> {
    let now = jobs.iter().map(|job| &kernels[job.kernel]);
    now.filter_map(|now| {
        let same = |then: &&KernelFacts| (then.arch, &then.label) == (now.arch, &now.label);
        let then = then.kernels.iter().find(same)?;
        let release = now.release.as_deref()?;
        (then.release != release).then_some((&*now.label, &*then.release, release))
    })
    .collect()
}

/// Finishes a run that was cut off: the cases that did not end, and those that were never begun.
fn resume(run: &Path, args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    let folder = run_folder(run, &args.places.results)?;
    let (record, _) = RunRecord::read(&folder).map_err(Failure::of)?;
    let keys: Vec<CaseKey> = record.unfinished.iter().chain(&record.not_run).cloned().collect();
    if keys.is_empty() {
        ui.error(&format!("the run in `{folder}` is whole: nothing is left to do"));
        return Ok(Exit::NothingSelected);
    }
    let mut selected = select_again(&record, &keys, &args.places, ui)?;
    for then in &record.facts.kernels {
        let same = |prepared: &&run::Prepared| {
            prepared.kernel.label == then.label && prepared.kernel.arch == then.arch
        };
        if let Some(now) = selected.rig.kernels.iter().find(same)
            && now.kernel.sha256 != then.image_sha256
        {
            return Err(Failure::usage(anyhow::anyhow!(
                "{} for {} is not the kernel that the run in `{folder}` had",
                then.label,
                then.arch
            ))
            .hint("start a new run: one run tells of one kernel"));
        }
    }
    let again = |key: &CaseKey| {
        let once = key.without_round();
        let planned = selected.jobs.iter().find(|job| job.key == once);
        planned.map(|job| job.called(key.clone()))
    };
    selected.jobs = keys.iter().filter_map(again).collect();
    if selected.jobs.len() != keys.len() {
        return Err(Failure::usage(anyhow::anyhow!(
            "{} of the {} cases that are left are not in the suites of today",
            keys.len() - selected.jobs.len(),
            keys.len()
        ))
        .hint("start a new run"));
    }
    execute(selected, utf8(&args.places.results)?, Some(folder), &args.how, ui)
}

/// Plans what an earlier run did for some of its cases; more than those are in the plan.
fn select_again(record: &RunRecord, keys: &[CaseKey], places: &Places, ui: &Ui) -> Result<Selected, Failure> {
    let files: Vec<String> = record
        .facts
        .suites
        .iter()
        .map(|suite| suite.file.clone())
        .collect();
    let loaded = suites::load(
        &files.iter().map(|file| ours_or_path(file)).collect::<Vec<_>>(),
        &[],
    )?;
    for suite in &loaded {
        if record
            .facts
            .suites
            .iter()
            .any(|then| then.file == suite.file && then.sha256 != suite.sha256)
        {
            ui.warning(&format!("{} is not what it was in that run", suite.file));
        }
    }
    let mut kernels: Vec<KernelSource> = Vec::new();
    for kernel in &record.facts.kernels {
        let is_its = |key: &CaseKey| key.arch == kernel.arch && key.kernel == kernel.name();
        let named = kernel.source.as_ref().unwrap_or(&kernel.label);
        let source: KernelSource = named.parse().map_err(Failure::of)?;
        if let (KernelSource::Source(spec), Some(_)) = (&source, &kernel.source) {
            let now = spec.label().map_err(Failure::of)?;
            if now != kernel.label {
                return Err(Failure::usage(anyhow::anyhow!(
                    "the series of `{named}` is not what it was in that run: {now}, and then {}",
                    kernel.label
                )));
            }
        }
        if keys.iter().any(is_its) && !kernels.contains(&source) {
            kernels.push(source);
        }
    }
    if let (true, Some(key)) = (kernels.is_empty(), keys.first()) {
        return Err(Failure::usage(anyhow::anyhow!(
            "the record in `{}` does not say where the kernel `{}` was from: its run.json lists no such kernel",
            record.folder,
            key.kernel
        )));
    }
    let mut arches: Vec<_> = keys.iter().map(|key| key.arch).collect();
    arches.sort_unstable();
    arches.dedup();
    let select_args = Select {
        suites: files,
        kernels,
        which: Which {
            arches,
            ..Which::default()
        },
    };
    select(&select_args, places, &loaded, ui)
}

/// The name under which a suite of an earlier run is found again.
fn ours_or_path(file: &str) -> String {
    let name = file
        .strip_prefix("suites/")
        .and_then(|file| file.strip_suffix(".yaml"));
    match name {
        Some(name) if suites::names().contains(&name) => name.to_owned(),
        _ => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Suite;

    const SUITE: &str = "\
suite: x
cases:
  - { id: A, name: a, steps: [log: { has: x }] }
  - { id: B, name: b, steps: [log: { has: x }] }
";

    fn facts(label: &str, release: &str) -> RunFacts {
        serde_json::from_value(serde_json::json!({
            "format": 1, "id": "20260914T101530Z-3f9a1c", "started": "2026-09-14T10:15:30Z", "memrig": "0.1.0", "argv": [],
            "host": { "uname": "", "cpus": 1, "memory": "1G" }, "qemus": [], "images": [], "suites": [], "seed": 0,
            "kernels": [{ "label": label, "release": release, "arch": "x86_64", "image_sha256": "" }],
        }))
        .unwrap()
    }

    /// The jobs of today on one kernel, and what an earlier run of one case named it.
    fn found(label: &str, then: &str, now: &str) -> (Vec<String>, Vec<String>) {
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", SUITE).unwrap(),
        });
        let kernels = [PlannedKernel {
            label: label.to_owned(),
            arch: Arch::X86_64,
            release: Some(now.to_owned()),
            config: None,
        }];
        let mut jobs = plan(&[suite], &kernels, &Filter::default()).unwrap();
        let facts = facts(label, then);
        let mut key = jobs[1].key.clone();
        key.kernel = facts.kernels[0].name();
        jobs.retain(|job| is_again(&facts, &key, job, &kernels));
        let renewed = renewed(&facts, &jobs, &kernels);
        (
            jobs.iter().map(|job| job.key.case.clone()).collect(),
            renewed
                .iter()
                .map(|(label, then, now)| format!("{label} {then} {now}"))
                .collect(),
        )
    }

    #[test]
    fn a_case_is_found_again_on_whatever_release_its_kernel_has_by_now() {
        let (jobs, renewed) = found("debian:trixie", "6.12.107+deb13-amd64", "6.12.117+deb13-amd64");
        assert_eq!(jobs, ["B"]);
        assert_eq!(
            renewed,
            ["debian:trixie 6.12.107+deb13-amd64 6.12.117+deb13-amd64"]
        );
        let (jobs, renewed) = found("tree:../linux-next", "7.2.0-rc1-dirty", "7.2.0-rc1-dirty");
        assert_eq!((jobs, renewed.len()), (vec!["B".to_owned()], 0));
    }
}
