// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig compare`: two kernels under the same plan.

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    args::{Compare, TRIES, TableFormat, any_seed},
    failure::Failure,
    places, suites, told,
};
use ::compare::{CompareRecord, compare_exit};
use ::run::{After, Budget, Comparison, Leading, Pair, Sequences};
use base::{fault::Exit, ui::Ui};
use record::RunRecord;
use tell::{compare_csv, compare_mail, compare_summary, explore_summary};

pub(super) fn compare(args: &Compare, ui: &Ui) -> Result<Exit, Failure> {
    let suites = suites::load(&args.suites, &["quick"])?;
    let results = places::results(&args.places.results)?;
    let after = match (&args.new, &args.series) {
        (Some(new), _) => After::Kernel(new.clone()),
        (None, Some(series)) => After::Series(series.clone()),
        (None, None) => {
            return Err(Failure::usage(anyhow::anyhow!(
                "name the new kernel by --new or --series"
            )));
        }
    };
    let names = match args.suites.is_empty() {
        true => vec!["quick".to_owned()],
        false => args.suites.clone(),
    };
    let known = match args.explore {
        Some(_) => suites::with_known()?,
        None => Vec::new(),
    };
    let explore = args.explore.map(|time| Sequences {
        known: &known,
        seed: args.seed.unwrap_or_else(any_seed),
        budget: Budget::Time(time),
        tries: TRIES,
        guests: args.jobs,
        // What leads the draw on one of them would not lead it on the other.
        leading: Leading::SeedUnseen,
        cmdline: Vec::new(),
    });
    let pair = Pair {
        explore,
        base: args.base.clone(),
        after,
        arches: args.which.arches.clone(),
        suites: (&suites, names),
        filter: args.which.filter(),
        pairs: args.pairs,
        cover: !args.no_cover,
        qemus: args.places.qemus(),
        guests: args.jobs,
        results,
    };
    let mut comparison = Comparison::new(pair, ui).map_err(Failure::of)?;
    if let Some(explored) = &comparison.explored {
        ui.line(explore_summary(&explored.record, explored.folder.as_str(), None).trim_end());
        if explored.exit == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    let mut folder: Option<Utf8PathBuf> = None;
    while let Some(outcome) = comparison.next_pair(ui).map_err(Failure::of)? {
        let first = folder.get_or_insert_with(|| outcome.folder.clone());
        if outcome.folder != *first {
            told::write(&outcome.record, None, &outcome.folder, ui)?;
        }
        // What is known is kept, also when the next pair is cut off.
        keep(&comparison.record, first, ui)?;
        if outcome.exit == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    if !args.no_cost {
        let counted = comparison.count(ui).map_err(Failure::of)?;
        if let Some(first) = &folder {
            keep(&comparison.record, first, ui)?;
        }
        if counted == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    let record = &comparison.record;
    match args.format {
        TableFormat::Json => ui.out(&serde_json::to_string_pretty(record).map_err(Failure::broken)?),
        TableFormat::Csv => ui.out(compare_csv(record).trim_end()),
        TableFormat::Text => {
            ui.out(compare_summary(record, told::style()).trim_end());
            if let Some(folder) = folder {
                ui.out(&format!(
                    "\nrecord: {folder}; to paste below a patch: {folder}/compare.mail"
                ));
            }
        }
    }
    let explored = comparison.explored.as_ref().map(|explored| explored.exit);
    Ok(exit(compare_exit(record), explored))
}

/// What the shell is told of a comparison, and of the exploration before it.
fn exit(compared: Exit, explored: Option<Exit>) -> Exit {
    match (compared, explored) {
        // What both kernels show is no difference; an exploration that broke is none that found nothing.
        (Exit::Pass, Some(Exit::Broken)) => Exit::Broken,
        (compared, _) => compared,
    }
}

/// Writes the comparison into the folder of its first run, and the reports of that run, whose page shows it.
fn keep(record: &CompareRecord, folder: &Utf8Path, ui: &Ui) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(record).map_err(Failure::broken)?;
    fs_err::write(folder.join("compare.json"), text).map_err(Failure::broken)?;
    fs_err::write(folder.join("compare.csv"), compare_csv(record)).map_err(Failure::broken)?;
    fs_err::write(folder.join("compare.mail"), compare_mail(record)).map_err(Failure::broken)?;
    let (run, _) = RunRecord::read(folder).map_err(|error| Failure::broken(anyhow::Error::new(error)))?;
    told::write_with(&run, None, Some(record), folder, ui)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use ::compare::ArchComparison;
    use base::Arch;
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
        keep(&record, folder.path(), &Ui::silent()).unwrap();
        let before = page();
        let row = json!({ "kind": "change", "cases": [{ "suite": "quick", "case": "Q01", "variant": "" }], "others": [],
            "first": { "moment": 1, "step": 1, "text": "online b", "dimension": "ledger", "name": "nr_memmap",
                "base": "absent", "new": "64" } });
        record.arches.insert(Arch::X86_64, arch(json!([row]), 1));
        keep(&record, folder.path(), &Ui::silent()).unwrap();
        assert!(
            !before.contains("nr_memmap") && page().contains("nr_memmap"),
            "{}",
            page()
        );
        let summary = compare_summary(&record, tell::Style::Plain);
        assert!(summary.contains("nr_memmap"), "{summary}");
    }

    #[test]
    fn an_exploration_that_broke_is_told_and_one_that_found_the_same_twice_is_not() {
        use Exit::{Broken, KernelFailed, Pass};
        let told = [None, Some(Pass), Some(KernelFailed), Some(Broken)].map(|explored| exit(Pass, explored));
        assert_eq!(told, [Pass, Pass, Pass, Broken]);
        assert_eq!(exit(KernelFailed, Some(Broken)), KernelFailed);
    }
}
