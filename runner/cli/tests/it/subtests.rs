// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs in real guests that report in KTAP: what is not ok, and what does not get to its end.

use std::process::{Command, Stdio};

use base::fault::Verdict;
use camino::Utf8Path;
use record::RunRecord;

use crate::ground;

const SUITE: &str = r#"suite: red
cases:
  - id: R1
    name: a test that is not ok
    steps: [guest: { ktap: true, run: "echo TAP version 13; echo 1..2; echo ok 1 good; echo not ok 2 bad; exit 1" }]
  - id: R2
    name: a program that is killed in the middle
    steps: [guest: { ktap: true, run: "sh -c 'echo TAP version 13; echo 1..3; echo ok 1 good; kill -9 $$'" }]
  - id: R3
    name: a program that is not there
    steps: [guest: { ktap: true, run: /run/nothing }]
  - id: R4
    name: a script that fails in its middle
    steps:
      - guest: { run: "echo one" }
      - guest:
          run: |
            set -e
            seq 1 300
            ls /nowhere
            echo not this
"#;

#[test]
fn what_a_program_reports_decides_its_case() {
    ground::rig();
    let place = tempfile::tempdir().unwrap();
    let suite = place.path().join("red.yaml");
    fs_err::write(&suite, SUITE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .args(["run", suite.to_str().unwrap(), "-k", "debian:trixie"])
        .env("MEMRIG_RESULTS", place.path().join("results"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let folder = fs_err::canonicalize(place.path().join("results/latest")).unwrap();
    let (record, _) = RunRecord::read(Utf8Path::from_path(&folder).unwrap()).unwrap();
    assert_eq!(record.cases.len(), 8);
    for case in &record.cases {
        let (verdict, reason, subcases) = match &*case.key.case {
            "R4" => (
                Verdict::Fail,
                "the script ended with 1 at `ls /nowhere`, and must end with 0: ls: /nowhere: No such file or directory",
                0,
            ),
            "R1" => (Verdict::Fail, "1 of 2 tests are not ok, first `bad`", 2),
            "R2" => (
                Verdict::Fail,
                "1 of 3 results: the program died before the others; signal 9 killed it",
                1,
            ),
            _ => (Verdict::Error, "the program could not be started", 0),
        };
        let seen = case.reason.as_deref().unwrap();
        assert!(
            case.verdict == verdict && seen.contains(reason),
            "{}: {seen}",
            case.key.id()
        );
        assert_eq!(case.subcases().count(), subcases, "{}", case.key.id());
        if case.key.case == "R4" {
            let kept = |name: &str| fs_err::read_to_string(folder.join(case.files()).join(name)).unwrap();
            let all: String = (1..=300).map(|number| format!("{number}\n")).collect();
            assert_eq!(
                (kept("step-1.out"), kept("step-2.out")),
                ("one\n".to_owned(), all)
            );
            assert_eq!(kept("step-2.err"), "ls: /nowhere: No such file or directory\n");
            assert_eq!(case.steps[0].said, ["one"]);
            assert_eq!(case.steps[1].said.len(), 20);
        }
    }
    let junit = fs_err::read_to_string(folder.join("junit.xml")).unwrap();
    let page = fs_err::read_to_string(folder.join("report.html")).unwrap();
    for shown in [&*text, &*junit, &*page] {
        assert!(
            shown.contains("300") && shown.contains("No such file or directory"),
            "{shown}"
        );
    }
    assert!(
        page.contains("step-2.out") && junit.contains("step 1 printed:\n| one"),
        "{junit}"
    );
}
