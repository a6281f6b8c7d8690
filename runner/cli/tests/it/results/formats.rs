// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forms of a run that other programs read.

use std::collections::BTreeMap;

use base::{exec::Command, fault::Verdict};
use camino::Utf8Path;
use proptest::prelude::*;
use record::{Finish, RunRecord, SubcaseRecord};
use serde_json::Value;

use super::sample;
use crate::ground;

fn record() -> RunRecord {
    let dir = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(dir.path()).unwrap();
    sample::write(folder);
    let (mut record, damage) = RunRecord::read(folder).unwrap();
    assert_eq!(damage, []);
    record.folder = "results/sample".into();
    record
}

#[test]
fn ktap_has_a_subtest_for_each_class() {
    insta::assert_snapshot!(tell::ktap(&record()));
}

#[test]
fn ktap_of_a_run_that_was_cut_off_is_not_ok() {
    let mut record = record();
    record.not_run = vec![record.cases.remove(0).key];
    record.finish = Finish::CutOff;
    let text = tell::ktap(&record);
    assert!(
        text.contains("  not ok 1 B01 # ERROR not run: the run was cut off\n"),
        "{text}"
    );
    record.finish = Finish::Exit(0);
    assert!(tell::ktap(&record).contains("  ok 1 B01 # SKIP not run"));
}

#[test]
fn annotations_stand_at_the_step_and_in_one_line() {
    insta::assert_snapshot!(tell::github(&record(), None));
}

#[test]
fn json_has_every_case() {
    let record = record();
    let all = tell::json(&record, None);
    assert_eq!(all["cases"].as_array().unwrap().len(), record.cases.len());
    assert_eq!(all["exit"], 1);
    assert_eq!(
        all["cases"][1]["steps"][2]["mismatches"][0]["predicted"],
        "998716"
    );
}

#[test]
fn json_says_which_part_of_its_plan_the_run_is() {
    let mut record = record();
    assert_eq!(tell::json(&record, None)["part"], Value::Null);
    record.facts.argv.push("--shard=hash:1/3".to_owned());
    assert_eq!(tell::json(&record, None)["part"]["shard"]["of"], 3);
    record.facts.part = Some(super::summary::second_of_five());
    let part = tell::json(&record, None)["part"].take();
    assert_eq!(part["shard"]["number"], 2);
    assert_eq!(part["shard"]["plan"]["cases"], 387);
}

/// What the schema of KCIDB 5.3 asks of what memrig writes.
#[test]
fn kcidb_has_its_words_and_every_reference_leads_somewhere() {
    let mut record = record();
    record.not_run = vec![record.cases.remove(0).key];
    let report = tell::kcidb(&record);
    let list = |name: &str| report[name].as_array().unwrap().clone();
    let ids = |name: &str| -> Vec<Value> { list(name).iter().map(|one| one["id"].clone()).collect() };
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    for test in list("tests") {
        *words
            .entry(test["status"].as_str().unwrap().to_owned())
            .or_default() += 1;
        assert!(ids("builds").contains(&test["build_id"]), "{test}");
        let path = test["path"].as_str().unwrap();
        assert!(
            path.starts_with("memrig.")
                && path
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        );
        assert!(test["id"].as_str().unwrap().starts_with("memrig:"));
    }
    let words: Vec<String> = words.iter().map(|(word, n)| format!("{word} {n}")).collect();
    assert_eq!(words, ["ERROR 1", "FAIL 2", "MISS 1", "SKIP 1"]);
    for build in list("builds") {
        assert!(ids("checkouts").contains(&build["checkout_id"]));
    }
    let incidents = list("incidents");
    assert_eq!((incidents.len(), list("issues").len()), (1, 1));
    assert!(
        ids("issues").contains(&incidents[0]["issue_id"]) && ids("tests").contains(&incidents[0]["test_id"])
    );
}

/// A reader that CI tools use finds every case, with its verdict and its evidence.
#[test]
fn junit_is_shown_right_by_a_parser_that_others_use() {
    ground::junitparser();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("junit.xml");
    let mut xml = Vec::new();
    let record = record();
    tell::junit(&record, &mut xml).unwrap();
    std::fs::write(&file, xml).unwrap();
    let script = "
import sys, junitparser
xml = junitparser.JUnitXml.fromfile(sys.argv[1])
print(xml.tests, xml.failures, xml.errors, xml.skipped)
for suite in xml:
    for case in suite:
        for result in case.result or [None]:
            kind = type(result).__name__ if result is not None else 'pass'
            text = (result.text or '') if result is not None else ''
            print(case.classname, case.name.split()[0], kind, 'WARNING: CPU' in text, '998716' in text, '%.1f' % case.time)
";
    // The distribution's own Python, whatever else is first in the path: its package is the parser.
    let out = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .arg(&file)
        .output()
        .unwrap();
    let x86 = "x86_64.debian-trixie-6_12_107+deb13-amd64.default.blocks.memmap_on_memory";
    let s390 = "s390x.debian-trixie-6_12_107+deb13-s390x.default.standby.default";
    let expected = format!(
        "5 1 1 2\n{x86}=off B01 pass False False 2.3\n{x86}=on B01 Failure True True 2.3\n{x86}=on B02 Error False False 2.3\n\
         {s390} S08 Skipped False False 2.3\n{s390} S11 Skipped False False 0.0\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

proptest! {
    #[test]
    fn no_text_of_a_guest_makes_a_line_of_its_own(text in "(\\PC|[\\n\\r#\u{0}\u{1b}]|not ok 1 x|::error::|1\\.\\.9){0,40}") {
        let mut record = record();
        let case = &mut record.cases[1];
        case.name = text.clone();
        case.suite_file = text.clone();
        case.log_excerpt = text.clone();
        case.steps[2].message = Some(text.clone());
        case.steps[2].subcases = vec![SubcaseRecord {
            name: text.clone(),
            verdict: Verdict::Fail,
            reason: Some(text.clone()),
            said: vec![text.clone()],
        }];
        let ktap = tell::ktap(&record);
        let results = ktap.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).count();
        prop_assert_eq!(results, 3, "{}", ktap);
        let inner = ktap.lines().filter(|line| line.starts_with("  ok ") || line.starts_with("  not ok "));
        prop_assert_eq!(inner.clone().count(), 5, "{}", ktap);
        prop_assert_eq!(inner.filter(|line| line.matches('#').count() > 1).count(), 0, "{}", ktap);
        let github = tell::github(&record, None);
        prop_assert_eq!(github.lines().count(), 4, "{}", github);
        prop_assert!(github.lines().all(|line| line.starts_with("::error file=") || line.starts_with("::notice file=")));
        prop_assert_eq!(tell::csv(&record).lines().count(), 6);
        prop_assert_eq!(tell::subcases_csv(&record).lines().count(), 2);
        for test in tell::kcidb(&record)["tests"].as_array().unwrap() {
            let path = test["path"].as_str().unwrap();
            prop_assert!(path.split('.').all(|part| !part.is_empty()), "{}", path);
            prop_assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{}", path);
        }
    }
}
