// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runs in the repository stay readable.

use std::{fs, path::Path};

use camino::{Utf8Path, Utf8PathBuf};
use memrig::{
    base::fault::Verdict,
    record::{Finish, RunRecord},
    tell,
};

use super::sample;

fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn xml(record: &RunRecord) -> String {
    let mut xml = Vec::new();
    tell::junit(record, &mut xml).unwrap();
    String::from_utf8(xml).unwrap()
}

/// `results/sample` is what [`sample::write`] writes. With `MEMRIG_BLESS=1` it is written anew.
#[test]
fn the_sample_is_read_and_reported_as_it_was_written() {
    let folder = repository().join("results/sample");
    if std::env::var_os("MEMRIG_BLESS").is_some() {
        for name in ["cases", "events.jsonl", "run.json", "junit.xml"] {
            remove(folder.join(name).as_std_path());
        }
        fs::create_dir_all(&folder).unwrap();
        sample::write(&folder);
        let (record, _) = RunRecord::read(&folder).unwrap();
        fs::write(folder.join("junit.xml"), xml(&record)).unwrap();
    }
    let (record, damage) = RunRecord::read(&folder).unwrap();
    assert_eq!(damage, []);
    assert_eq!(record.facts, sample::facts());
    assert_eq!(record.cases, sample::cases());
    assert_eq!(record.not_run, []);
    assert_eq!(record.notes.len(), 1);
    assert_eq!(record.finish, Finish::Exit(1));
    let committed = fs::read_to_string(folder.join("junit.xml")).unwrap();
    assert_eq!(committed, xml(&record), "MEMRIG_BLESS=1 writes it anew");
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.exists() {
        fs::remove_file(path).unwrap();
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
    let verdicts: Vec<Verdict> = record.cases.iter().map(|case| case.verdict).collect();
    use Verdict::*;
    assert_eq!(verdicts, [Pass, Fail, Error, Known, Skip]);
    let mismatches = &record.cases[1].steps[2].mismatches;
    assert_eq!(mismatches[1].tolerance, 32);
    assert_eq!(mismatches[3].predicted, None);
    assert!(tell::summary(&record, tell::Style::Plain).starts_with("5 cases: "));
}
