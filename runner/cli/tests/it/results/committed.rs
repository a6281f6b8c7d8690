// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runs in the repository stay readable.

use std::fs;

use base::fault::Verdict;
use camino::{Utf8Path, Utf8PathBuf};
use record::{CaseRecord, Finish, RunPart, RunRecord};
use regex::Regex;

fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

fn xml(record: &RunRecord) -> String {
    let mut xml = Vec::new();
    tell::junit(record, &mut xml).unwrap();
    String::from_utf8(xml).unwrap()
}

/// All files of a folder, with what is in them as text.
fn texts(folder: &Utf8Path) -> Vec<(Utf8PathBuf, String)> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.is_dir() {
            found.extend(texts(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

/// `results/README.md` says how `results/sample` was made.
#[test]
fn the_sample_is_a_run_of_today_and_its_reports_are_those_of_its_record() {
    let folder = repository().join("results/sample");
    let (record, damage) = RunRecord::read(&folder).unwrap();
    assert_eq!(damage, []);
    assert_eq!(record.facts.memrig, env!("CARGO_PKG_VERSION"));
    assert_eq!(record.facts.part, Some(RunPart::Whole));
    assert_eq!(record.finish, Finish::Exit(1));
    assert!(record.not_run.is_empty() && record.unfinished.is_empty());
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Known, Verdict::Skip] {
        let is = |case: &&CaseRecord| case.verdict == verdict;
        assert!(record.cases.iter().any(|case| is(&case)), "no case is {verdict}");
    }
    let ledgers = record.cases.iter().map(|case| case.ledgers(&folder).unwrap());
    assert!(ledgers.flatten().map(|ledgers| ledgers.len()).sum::<usize>() > 10);
    let failed = |case: &&CaseRecord| matches!(case.verdict, Verdict::Fail | Verdict::Error);
    for case in record.cases.iter().filter(failed) {
        assert_eq!(
            (&*case.key.suite, case.verdict),
            ("wrong-on-purpose", Verdict::Fail)
        );
        assert!(case.steps.iter().any(|step| !step.mismatches.is_empty()));
    }
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let again = "`memrig report results/sample --write` writes it again";
    assert_eq!(read("junit.xml"), xml(&record), "{again}");
    assert_eq!(read("cases.csv"), tell::csv(&record), "{again}");
}

/// What is committed says nothing of the machine that it was made on.
#[test]
fn the_sample_is_small_and_has_no_place_of_the_machine_it_was_made_on() {
    let mut texts = texts(&repository().join("results/sample"));
    // Git does not have it, and whoever wants to see it writes it.
    texts.retain(|(path, _)| path.file_name() != Some("report.html"));
    let size: usize = texts.iter().map(|(_, text)| text.len()).sum();
    assert!(size < 300_000, "{size} bytes");
    let of_users = Regex::new(r"/(?:root|home|work|tmp|mnt|srv|opt)/[\w.-]*").unwrap();
    for (path, text) in texts {
        let found = of_users.find_iter(&text).map(|found| found.as_str());
        // A folder of the run's own, whose name is random.
        let found: Vec<&str> = found.filter(|path| !path.starts_with("/tmp/memrig-")).collect();
        assert!(found.is_empty(), "{path} has {found:?}");
    }
}

/// A run that the first memrig wrote. It is never written anew: whoever changes the format keeps it readable.
#[test]
fn a_run_of_format_1_is_still_read() {
    let folder = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/results-v1"));
    let (record, damage) = RunRecord::read(&folder).unwrap();
    assert_eq!(damage, []);
    assert_eq!(record.facts.format, 1);
    assert_eq!(record.facts.id.as_str(), "20260914T101530Z-3f9a1c");
    // It did not write down which part of its plan a run is.
    assert_eq!((&record.facts.part, record.facts.part_of_plan()), (&None, None));
    let verdicts: Vec<Verdict> = record.cases.iter().map(|case| case.verdict).collect();
    use Verdict::*;
    assert_eq!(verdicts, [Pass, Fail, Error, Known, Skip]);
    let mismatches = &record.cases[1].steps[2].mismatches;
    assert_eq!(mismatches[1].tolerance, 32);
    assert_eq!(mismatches[3].predicted, None);
    assert!(tell::summary(&record, tell::Style::Plain).starts_with("5 cases: "));
}
