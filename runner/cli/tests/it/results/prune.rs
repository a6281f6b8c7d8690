// SPDX-License-Identifier: MIT OR Apache-2.0
//! Old runs made small: what passed keeps little, what did not keeps everything.

use std::{collections::BTreeSet, fs};

use camino::{Utf8Path, Utf8PathBuf};
use record::RunRecord;

use super::sample;

/// Every file below a folder with its size.
fn files(folder: &Utf8Path) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in next.read_dir_utf8().unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.into_path()),
                false => {
                    let name = entry.path().strip_prefix(folder).unwrap().to_string();
                    found.insert((name, entry.metadata().unwrap().len()));
                }
            }
        }
    }
    found
}

#[test]
fn only_the_logs_of_what_passed_go_and_only_from_older_runs() {
    let dir = tempfile::tempdir().unwrap();
    let results = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    let runs = [
        "20260901T000000Z-000001",
        "20260902T000000Z-000001",
        "20260903T000000Z-000001",
    ]
    .map(|name| results.join(name));
    for run in &runs {
        fs::create_dir(run).unwrap();
        sample::write(run);
    }
    // A run that has no end may be going on.
    let journal = runs[1].join("events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&journal, &text[..cut]).unwrap();
    let before = runs.each_ref().map(|run| files(run));

    let tried = record::prune(&results, 1, true).unwrap();
    assert_eq!(
        runs.each_ref().map(|run| files(run)),
        before,
        "a trial changes nothing"
    );
    let done = record::prune(&results, 1, false).unwrap();
    assert_eq!(done, tried);
    assert_eq!(files(&runs[2]), before[2]);
    assert_eq!(files(&runs[1]), before[1]);
    assert!(done[1].left.as_ref().unwrap().contains("has no end"));

    let gone: Vec<_> = before[0].difference(&files(&runs[0])).cloned().collect();
    let names: Vec<&str> = gone.iter().map(|(name, _)| name.as_str()).collect();
    let passed =
        "cases/x86_64.debian-trixie-6_12_107+deb13-amd64.default.blocks.memmap_on_memory=off/B01/console.log";
    assert_eq!(
        names,
        [passed],
        "the one case that passed keeps its ledgers, and all others everything"
    );
    assert_eq!(done[2].before - done[2].after, gone[0].1);
    let (record, damage) = RunRecord::read(&runs[0]).unwrap();
    assert_eq!((record.cases.len(), damage), (5, Vec::new()));
    assert_eq!(
        record::prune(&results, 1, false).unwrap()[2].before,
        done[2].after,
        "a second time takes nothing"
    );
}
