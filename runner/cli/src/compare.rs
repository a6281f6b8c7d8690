// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig compare`: two kernels under the same plan.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::{
    args::{Compare, How},
    cost,
    failure::Failure,
    report, run, setup, suites,
};
use ::compare::{
    ArchComparison, CaseName, CaseRounds, CompareRecord, CostRow, KernelSide, compare_exit, cost_rows,
    cost_unpaired, open, summed,
};
use ::run::{Rig, Rounds, Wanted, add_round, compare_jobs, compared, costs};
use base::{Arch, fault::Exit, ui::Ui};
use record::{RunPart, RunRecord};
use supply::{
    cache::Cache,
    host,
    kernel::{
        KernelError, KernelSource,
        source::{BuildSpec, SourceKernelError, build_kernel, prospect},
    },
    packages::Packages,
    series::SeriesSource,
};
use tell::{compare_csv, compare_mail, compare_summary};

/// How often each operation is counted.
const REPETITIONS: u32 = 20;

/// The two kernels, and what is known of the series between them.
struct Sides {
    base: KernelSource,
    new: KernelSource,
    series: Option<String>,
    applied: Option<String>,
}

pub(super) fn compare(args: &Compare, ui: &Ui) -> Result<Exit, Failure> {
    let suites = suites::load(&args.suites, &["quick"])?;
    let results = run::utf8(&args.places.results)?;
    run::check_results(&results)?;
    let host = host::facts().map_err(Failure::broken)?;
    run::check_memory(&suites, &host)?;
    let arches = args.which.arches();
    let sides = match (&args.new, &args.series) {
        (Some(new), _) => Sides {
            base: args.base.clone(),
            new: new.clone(),
            series: None,
            applied: None,
        },
        (None, Some(series)) => match with_series(&args.base, series, &arches, ui)? {
            Ok(sides) => sides,
            Err(said) => {
                ui.error(&said);
                return Ok(Exit::KernelFailed);
            }
        },
        (None, None) => {
            return Err(Failure::usage(anyhow::anyhow!(
                "name the new kernel by --new or --series"
            )));
        }
    };
    let both = |source: &KernelSource| {
        arches
            .iter()
            .map(|arch| (source.clone(), *arch))
            .collect::<Vec<_>>()
    };
    let rig = setup::get(
        &Wanted {
            kernels: [both(&sides.base), both(&sides.new)].concat(),
            qemus: args.places.qemus.iter().cloned().collect(),
            refresh: false,
        },
        ui,
    )?;
    let jobs =
        compare_jobs(&suites, &run::planned_kernels(&rig), &args.which.filter()).map_err(Failure::of)?;
    if jobs.is_empty() {
        ui.error("nothing is selected: no case fits the kernels, architectures, names and variants that were given");
        return Ok(Exit::NothingSelected);
    }
    let mut planned = Vec::new();
    for job in &jobs {
        let name = compared(&job.key);
        if !planned.contains(&name) {
            planned.push(name);
        }
    }
    // One kernel for each architecture, of the base and then of the other side.
    let label = |at: usize| rig.kernels[at].kernel.label.clone();
    let mut record = CompareRecord {
        base: label(0),
        new: label(rig.kernels.len() / 2),
        series: sides.series,
        applied: sides.applied,
        suites: if args.suites.is_empty() {
            vec!["quick".to_owned()]
        } else {
            args.suites.clone()
        },
        runs: Vec::new(),
        pairs: args.pairs,
        arches: BTreeMap::new(),
        costs: Vec::new(),
        not_counted: Vec::new(),
    };
    let mut rounds = Rounds::new();
    let mut folder = None;
    let mut left = jobs.clone();
    while !left.is_empty() {
        let selected = run::Selected {
            rig: rig.clone(),
            jobs: left,
            part: RunPart::Whole,
            host: host.clone(),
        };
        let how = How {
            jobs: args.jobs,
            ..How::default()
        };
        let outcome = run::watched(selected, results.clone(), &how, ui)?;
        record.runs.push(outcome.record.facts.id.to_string());
        let first = folder.get_or_insert_with(|| outcome.folder.clone()).clone();
        add_round(&mut rounds, &planned, &outcome.record).map_err(Failure::of)?;
        record.arches = sum(&arches, &planned, &rig, &rounds, args.pairs);
        if outcome.folder != first {
            report::write(&outcome.record, None, &outcome.folder)?;
        }
        // What is known is kept, also when the next pair is cut off.
        keep(&record, &first)?;
        if outcome.exit == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
        left = jobs
            .iter()
            .filter(|job| {
                let name = compared(&job.key);
                let case = planned.iter().position(|planned| *planned == name);
                let case = case.and_then(|at| rounds.get(&(name.0, at)));
                case.is_some_and(|case| open(case, args.pairs))
            })
            .cloned()
            .collect();
        if !left.is_empty() {
            ui.line(&format!(
                "run on one more pair of guests: {} of {} cases",
                left.len() / 2,
                planned.len()
            ));
        }
    }
    if !args.no_cost {
        let counted = count(args, &rig, &host, &mut record, ui)?;
        if let Some(first) = &folder {
            keep(&record, first)?;
        }
        if counted == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    if args.json {
        ui.out(&serde_json::to_string_pretty(&record).map_err(Failure::broken)?);
    } else {
        ui.out(compare_summary(&record, report::style()).trim_end());
        if let Some(folder) = folder {
            ui.out(&format!(
                "\nrecord: {folder}; to paste below a patch: {folder}/compare.mail"
            ));
        }
    }
    Ok(compare_exit(&record))
}

/// Writes the comparison into the folder of its first run, and the reports of that run, whose page shows it.
fn keep(record: &CompareRecord, folder: &Utf8Path) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(record).map_err(Failure::broken)?;
    fs_err::write(folder.join("compare.json"), text).map_err(Failure::broken)?;
    fs_err::write(folder.join("compare.csv"), compare_csv(record)).map_err(Failure::broken)?;
    fs_err::write(folder.join("compare.mail"), compare_mail(record)).map_err(Failure::broken)?;
    let (run, _) = RunRecord::read(folder).map_err(|error| Failure::broken(anyhow::Error::new(error)))?;
    report::write(&run, None, folder)
}

/// Counts what operations cost on both kernels, and once more where that differs. What was not counted is told and judges nothing, so that
/// the exit code says only whether the user wanted no more of it.
fn count(
    args: &Compare,
    rig: &Rig,
    host: &host::HostFacts,
    record: &mut CompareRecord,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let results = run::utf8(&args.places.results)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::broken)?;
    let half = rig.kernels.len() / 2;
    for pair in 1..=2 {
        let mut sides = Vec::new();
        for kernels in [&rig.kernels[..half], &rig.kernels[half..]] {
            let side = Rig {
                kernels: kernels.to_vec(),
                emulators: rig.emulators.clone(),
            };
            let request = cost::request(side, results.clone(), host.clone(), args.jobs)?;
            let counted = runtime.block_on(costs(request, REPETITIONS, ui));
            let counted = counted.map_err(Failure::of)?;
            if let Some(run) = counted.folder.file_name() {
                record.runs.push(run.to_owned());
            }
            record.not_counted.extend(counted.missing);
            if counted.exit == Exit::Interrupted {
                record.not_counted.push("it was interrupted".to_owned());
                return Ok(Exit::Interrupted);
            }
            sides.push(counted.records);
        }
        let rows = cost_rows(&sides[0], &sides[1]);
        record.not_counted.extend(cost_unpaired(&sides[0], &sides[1]));
        if pair == 1 {
            record.costs = rows;
        } else {
            let first = std::mem::take(&mut record.costs);
            record.costs = first.into_iter().map(|row| row.with_second(&rows)).collect();
        }
        if !record.costs.iter().any(CostRow::differs) {
            break;
        }
    }
    record.not_counted.sort();
    record.not_counted.dedup();
    Ok(Exit::Pass)
}

/// What came of each architecture up to now.
fn sum(
    arches: &[Arch],
    planned: &[(Arch, CaseName)],
    rig: &Rig,
    rounds: &Rounds,
    pairs: usize,
) -> BTreeMap<Arch, ArchComparison> {
    let side = |at: usize| {
        let kernel = &rig.kernels[at].kernel;
        KernelSide {
            release: kernel.release_or_unknown().to_owned(),
            sha256: kernel.sha256.clone(),
        }
    };
    let of_arch = |arch: Arch| -> Vec<CaseRounds> {
        let cases = planned.iter().enumerate().filter(|(_, (of, _))| *of == arch);
        cases
            .map(|(at, (_, name))| match rounds.get(&(arch, at)) {
                Some(case) => case.clone(),
                None => CaseRounds {
                    name: name.clone(),
                    rounds: Vec::new(),
                    millis: (0, 0),
                },
            })
            .collect()
    };
    arches
        .iter()
        .enumerate()
        .filter_map(|(at, arch)| {
            let cases = of_arch(*arch);
            // An architecture on which the cases mean nothing has none.
            (!cases.is_empty()).then(|| (*arch, summed(side(at), side(at + arches.len()), &cases, pairs)))
        })
        .collect()
}

/// The base of a series and the series on top of it, both built. What a series does wrong is an answer: it does not apply, or it does not
/// build.
fn with_series(
    base: &KernelSource,
    series: &SeriesSource,
    arches: &[Arch],
    ui: &Ui,
) -> Result<Result<Sides, String>, Failure> {
    let KernelSource::Source(spec) = base else {
        return Err(Failure::usage(anyhow::anyhow!(
            "`{base}` is no source that patches can be applied to: expected tree:PATH[@COMMIT] or source:debian:SUITE"
        )));
    };
    if spec.series.is_some() {
        return Err(Failure::usage(anyhow::anyhow!(
            "`{base}` has a series already: name it with --series"
        )));
    }
    let cache = Cache::open(ui).map_err(Failure::of)?;
    let packages = Packages::open(&cache, ui);
    let found = prospect(&spec.origin, series, &packages, &cache, ui);
    let found = found.map_err(Failure::of)?;
    ui.line(&format!("base: {} ({})", found.base, found.why));
    if let Some(stopped) = &found.stopped {
        return Ok(Err(stopped.to_string()));
    }
    let with = |patches| BuildSpec {
        series: Some(series.clone()),
        patches,
        ..spec.clone()
    };
    // The base first: only its objects make the series quick to build.
    for &arch in arches {
        for (spec, is_base) in [(with(Some(0)), true), (with(None), false)] {
            match build_kernel(&spec, arch, &packages, &cache, ui) {
                Ok(_) => {}
                Err(KernelError::Source(error))
                    if !is_base && matches!(*error, SourceKernelError::NotBuilt(_)) =>
                {
                    return Ok(Err(format!("the series does not build for {arch}: {error}")));
                }
                Err(error) => return Err(Failure::of(error)),
            }
        }
    }
    Ok(Ok(Sides {
        base: KernelSource::Source(with(Some(0))),
        new: KernelSource::Source(with(None)),
        series: Some(found.title),
        applied: Some(format!("{} ({})", found.base, found.why)),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use record::{Event, Journal, RunFacts, RunFolder};

    /// A run of no cases, as a comparison leaves its first one.
    fn first_run(results: &Utf8Path) -> RunFolder {
        let folder = RunFolder::create(results).unwrap();
        let facts: RunFacts = serde_json::from_value(json!({
            "format": 1, "id": folder.id(), "started": folder.started(), "memrig": "0.1.0", "argv": [], "seed": 0,
            "host": { "uname": "", "cpus": 1, "memory": "1G" }, "kernels": [], "qemus": [], "images": [], "suites": [],
        }))
        .unwrap();
        folder.write_facts(&facts).unwrap();
        let journal = Journal::create(folder.path()).unwrap();
        let facts = Box::new(facts);
        journal
            .append(&Event::RunStarted {
                facts,
                planned: Vec::new(),
            })
            .unwrap();
        journal.append(&Event::RunFinished { exit: 0 }).unwrap();
        folder
    }

    #[test]
    fn the_page_says_what_the_comparison_says_whenever_that_is_written() {
        let results = tempfile::tempdir().unwrap();
        let folder = first_run(Utf8Path::from_path(results.path()).unwrap());
        let page = || fs_err::read_to_string(folder.path().join("report.html")).unwrap();
        let mut record: CompareRecord = serde_json::from_value(json!({
            "base": "debian:bookworm", "new": "debian:trixie", "series": null, "applied": null, "suites": ["quick"], "runs": [],
            "pairs": 2, "arches": {}, "costs": [], "not_counted": [],
        }))
        .unwrap();
        let arch = |rows: serde_json::Value, cases: u32| -> ArchComparison {
            serde_json::from_value(json!({
                "base": { "release": "6.1", "sha256": "" }, "new": { "release": "6.12", "sha256": "" }, "cases": cases,
                "observations": 312, "differing": 1, "rows": rows, "unsteady": [], "not_compared": [], "boot_memory": [],
                "unseen": [], "failing": 0, "millis": [1, 1],
            }))
            .unwrap()
        };
        // After the first pair nothing is sure.
        record.arches.insert(Arch::X86_64, arch(json!([]), 0));
        keep(&record, folder.path()).unwrap();
        let before = page();
        let row = json!({ "kind": "change", "cases": [{ "suite": "quick", "case": "Q01", "variant": "" }], "others": [],
            "first": { "moment": 1, "step": 1, "text": "online b", "dimension": "ledger", "name": "nr_memmap",
                "base": "absent", "new": "64" } });
        record.arches.insert(Arch::X86_64, arch(json!([row]), 1));
        keep(&record, folder.path()).unwrap();
        assert!(
            !before.contains("nr_memmap") && page().contains("nr_memmap"),
            "{}",
            page()
        );
        let summary = compare_summary(&record, tell::Style::Plain);
        assert!(summary.contains("nr_memmap"), "{summary}");
    }
}
