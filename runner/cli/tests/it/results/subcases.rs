// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests that a program in a guest reported, in every form of a run.

use std::collections::BTreeSet;

use base::{Arch, fault::Verdict};
use record::{RunRecord, SubcaseRecord};

use super::sample;

fn record() -> RunRecord {
    let dir = tempfile::tempdir().unwrap();
    let folder = camino::Utf8Path::from_path(dir.path()).unwrap();
    sample::write(folder);
    let (mut record, _) = RunRecord::read(folder).unwrap();
    let one = |name: &str, verdict| SubcaseRecord {
        name: name.to_owned(),
        verdict,
        reason: (verdict == Verdict::Skip).then(|| "no <hugepages> here".to_owned()),
        said: match verdict {
            Verdict::Fail => vec!["# expected 4096, got 0 \u{1b}[31m".to_owned()],
            _ => Vec::new(),
        },
    };
    let case = record
        .cases
        .iter_mut()
        .find(|case| case.verdict == Verdict::Fail)
        .unwrap();
    assert!(Arch::ALL.contains(&case.key.arch));
    let step = case
        .steps
        .iter_mut()
        .find(|step| step.verdict == Verdict::Fail)
        .unwrap();
    step.subcases = vec![
        one("mm / first", Verdict::Pass),
        one("mm / second # 2", Verdict::Fail),
        one("same", Verdict::Pass),
        one("same", Verdict::Skip),
        one("same [2]", Verdict::Known),
    ];
    record
}

#[test]
fn each_form_of_a_run_shows_every_subcase() {
    let record = record();
    let mut xml = Vec::new();
    tell::junit(&record, &mut xml).unwrap();
    let xml = String::from_utf8(xml).unwrap();
    let names: Vec<(&str, &str)> = xml
        .split("<testcase ")
        .skip(1)
        .map(|case| {
            let value = |name: &str| {
                let rest = &case[case.find(&format!("{name}=\"")).unwrap() + name.len() + 2..];
                &rest[..rest.find('"').unwrap()]
            };
            (value("classname"), value("name"))
        })
        .collect();
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "{names:?}"
    );
    assert_eq!(
        names.iter().filter(|(_, name)| name.contains(" / same")).count(),
        3
    );
    assert!(xml.contains("type=\"subcase\"") && xml.contains("# expected 4096, got 0 \\x1b[31m"));

    let ktap = tell::ktap(&record);
    for line in [
        "    1..5",
        "    ok 1 mm / first",
        "    not ok 2 mm / second _ 2",
        "    ok 4 same # SKIP no <hugepages> here",
        "    ok 5 same [2] # XFAIL",
    ] {
        assert!(ktap.lines().any(|there| there == line), "{line}\n{ktap}");
    }
    // Our own reader finds them again, and nothing to complain about.
    let read = format::ktap::parse(&ktap);
    assert_eq!(read.problems, Vec::<String>::new());
    assert!(
        read.results
            .iter()
            .any(|result| result.name.ends_with(" / mm / first"))
    );

    let text = tell::summary(&record, tell::Style::Plain);
    assert!(
        text.contains("5 subcases: 2 pass, 1 fail, 1 known, 1 skip"),
        "{text}"
    );
    assert!(
        text.contains("not ok mm / second # 2\n") && text.contains("skip same: no <hugepages> here"),
        "{text}"
    );

    let json = tell::json(&record, None).to_string();
    assert!(json.contains("\"subcases\":[{\"name\":\"mm / first\""), "{json}");

    let page = tell::html(&record, None, &record.traces());
    assert!(page.contains("5 subcases: 2 pass") && page.contains("no &#60;hugepages&#62; here"));
    assert!(page.contains("mm / second # 2") && !page.contains('\u{1b}'));
}

fn failed(record: &mut RunRecord) -> &mut record::CaseRecord {
    let mut cases = record.cases.iter_mut();
    cases.find(|case| case.verdict == Verdict::Fail).unwrap()
}

/// What a reader of CSV sees: the cells of each line.
fn cells(csv: &str) -> Vec<Vec<&str>> {
    csv.lines().map(|line| line.split(',').collect()).collect()
}

#[test]
fn a_subcase_is_a_test_of_its_own_for_kcidb() {
    let mut record = record();
    let report = tell::kcidb(&record);
    let tests = report["tests"].as_array().unwrap();
    let ids: BTreeSet<&str> = tests.iter().map(|test| test["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), tests.len(), "an id is one test");
    assert_eq!(tests.len(), record.cases.len() + 5);
    let of_case = "memrig.blocks.B01.memmap_on_memory_on";
    let found: Vec<String> = tests
        .iter()
        .filter_map(|test| {
            let name = test["path"].as_str().unwrap().strip_prefix(of_case)?;
            Some(format!("{name} {}", test["status"].as_str().unwrap()))
        })
        .collect();
    let expected = [
        " FAIL",
        ".mm.first PASS",
        ".mm.second___2 FAIL",
        ".same PASS",
        ".same SKIP",
        ".same__2_ FAIL",
    ];
    assert_eq!(found, expected);
    let test = |path: &str, status: &str| {
        let path = format!("{of_case}{path}");
        let mut tests = tests.iter();
        tests
            .find(|test| test["path"] == *path && test["status"] == *status)
            .unwrap()
    };
    let second = test(".mm.second___2", "FAIL");
    assert_eq!(second["log_excerpt"], "# expected 4096, got 0 \\x1b[31m");
    assert_eq!(second["misc"]["case"], test("", "FAIL")["id"]);
    assert_eq!(second["build_id"], test("", "FAIL")["build_id"]);
    assert_eq!(test(".same", "SKIP")["comment"], "same: no <hugepages> here");
    // Who expects a failure says so: without the incident it would look like a new one.
    let expected_to_fail = &test(".same__2_", "FAIL")["id"];
    let incident = |report: &serde_json::Value, test: &serde_json::Value| {
        let incidents = report["incidents"].as_array().unwrap();
        let there = incidents.iter().find(|incident| incident["test_id"] == *test);
        there.map(|incident| incident["issue_id"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        incident(&report, expected_to_fail).unwrap(),
        "memrig:the program expects it to fail: same [2]"
    );
    assert_eq!(incident(&report, &second["id"]), None);
    // What fails in a case that is known is what is known.
    let (id, case) = (second["id"].clone(), failed(&mut record));
    case.verdict = Verdict::Known;
    case.known = Some("pages are lost".to_owned());
    assert_eq!(
        incident(&tell::kcidb(&record), &id).unwrap(),
        "memrig:pages are lost"
    );
}

#[test]
fn github_names_each_failing_subcase_and_its_case_only_where_that_says_more() {
    let mut record = record();
    let titles = |record: &RunRecord| -> Vec<String> {
        let text = tell::github(record, None);
        let title = |line: &str| {
            let (_, rest) = line.split_once("title=").unwrap();
            rest.split_once("::")
                .unwrap()
                .0
                .split(" on ")
                .next()
                .unwrap()
                .to_owned()
        };
        text.lines().map(title).collect()
    };
    // The counters of the case differ too: it has more to say than its program.
    assert_eq!(
        titles(&record),
        [
            "blocks B01",
            "blocks B02",
            "blocks B01 / mm / second # 2",
            "standby S08"
        ]
    );
    let case = failed(&mut record);
    case.steps[2].mismatches.clear();
    case.steps[2].message = Some("KTAP: 1 of 5 tests are not ok, first `mm / second # 2`; 5 of 6".to_owned());
    assert_eq!(
        titles(&record)[0],
        "blocks B01",
        "a warning of the kernel is more"
    );
    failed(&mut record).findings.clear();
    assert_eq!(
        titles(&record),
        ["blocks B01 / mm / second # 2", "blocks B02", "standby S08"]
    );
    // Nothing that only the case said is lost.
    let text = tell::github(&record, None);
    let line = text.lines().next().unwrap();
    assert!(
        line.starts_with("::error file=suites/blocks.yaml,line=14,title="),
        "{line}"
    );
    assert!(
        line.contains("::mm / second # 2%0Astep 3 `offline b`: KTAP: 1 of 5 tests"),
        "{line}"
    );
    assert!(
        line.ends_with("; 5 of 6%0A# expected 4096, got 0 \\x1b[31m"),
        "{line}"
    );

    // Of so many, GitHub shows the first ones: the case names more, and no other case is crowded out.
    let case = failed(&mut record);
    let again = case.steps[2].subcases[1].clone();
    case.steps[2].subcases.extend(vec![again; 10]);
    let many = titles(&record);
    assert_eq!(many.len(), 3 + 11);
    assert_eq!(many[..2], ["blocks B01", "blocks B02"]);

    // What is known, or expected by the program, is no annotation more.
    let case = failed(&mut record);
    case.verdict = Verdict::Known;
    case.known = Some("pages are lost".to_owned());
    assert_eq!(titles(&record), ["blocks B02", "blocks B01", "standby S08"]);
}

#[test]
fn a_table_of_cases_keeps_a_row_a_case_and_that_of_subcases_has_the_others() {
    let record = record();
    let csv = tell::csv(&record);
    let rows = cells(&csv);
    assert_eq!(rows.len(), 1 + record.cases.len());
    let column = |name: &str| rows[0].iter().rposition(|head| *head == name).unwrap() as isize;
    let from_end = |row: &[&str], name: &str| {
        row[(row.len() as isize - rows[0].len() as isize + column(name)) as usize].to_owned()
    };
    let counts: Vec<(String, String)> = rows[1..]
        .iter()
        .map(|row| (from_end(row, "subcases"), from_end(row, "subcases_failed")))
        .collect();
    let zero = || ("0".to_owned(), "0".to_owned());
    assert_eq!(
        counts,
        [zero(), ("5".to_owned(), "1".to_owned()), zero(), zero(), zero()]
    );

    let csv = tell::subcases_csv(&record);
    insta::assert_snapshot!(csv);
    assert_eq!(cells(&csv).len(), 1 + 5);
}
