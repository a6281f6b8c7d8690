// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suites that the documents show do what is said of them.

use std::{path::Path, process::Command};

use base::fault::Verdict;
use camino::Utf8Path;
use record::RunRecord;

use crate::ground::rig;

/// The suites of a document, each as it lies between its fences.
fn shown(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(document);
    let text = fs_err::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split_once("```").unwrap().0.to_owned())
        .collect()
}

/// What the cases of a suite come to on both architectures, each by its id.
fn verdicts(text: &str) -> Vec<(String, Verdict)> {
    rig();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("suite: "))
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(dir.path()).unwrap();
    let file = folder.join(format!("{name}.yaml"));
    fs_err::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .args(["run", file.as_str(), "-k", "debian:trixie"])
        .env("MEMRIG_RESULTS", folder)
        .output()
        .unwrap();
    let (record, _) = RunRecord::read(&folder.join("latest").canonicalize_utf8().unwrap()).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}: {said}", output.status);
    let cases = record.cases.into_iter();
    cases.map(|case| (case.key.case, case.verdict)).collect()
}

#[test]
fn the_first_suite_that_a_user_writes_passes() {
    let [suite] = &shown("how-to.md")[..] else {
        panic!("one suite is shown");
    };
    let passes = ("F01".to_owned(), Verdict::Pass);
    assert_eq!(verdicts(suite), [passes.clone(), passes]);
}

#[test]
fn the_suite_of_the_reference_is_right() {
    let [suite] = &shown("suite-reference.md")[..] else {
        panic!("one suite is shown");
    };
    let mut seen = verdicts(suite);
    seen.sort();
    let case = |id: &str, verdict| (id.to_owned(), verdict);
    // Two variants. A generation is one of standby memory, which is of one architecture; 6.12 leaves increments assigned.
    let mut all = vec![case("E01", Verdict::Pass); 4];
    all.extend(vec![case("E02", Verdict::Known); 2]);
    all.sort();
    assert_eq!(seen, all);
}
