// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports for CI: they are read by strict readers, whatever a guest printed.

use std::{collections::HashSet, fs, process::Command};

use base::{Arch, fault::Verdict};
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use record::*;

use super::{
    sample,
    summary::record,
    xml::{Element, parse},
};

fn junit(record: &RunRecord) -> String {
    let mut xml = Vec::new();
    tell::junit(record, &mut xml).unwrap();
    String::from_utf8(xml).unwrap()
}

fn testcases(report: &Element) -> Vec<&Element> {
    report
        .all("testsuite")
        .flat_map(|suite| suite.all("testcase"))
        .collect()
}

#[test]
fn every_verdict_has_its_element() {
    let report = parse(&junit(&record())).unwrap();
    let cases = testcases(&report);
    let shape: Vec<(&str, Vec<&str>)> = cases
        .iter()
        .map(|case| {
            let children = case.children.iter().map(|child| child.name.as_str()).collect();
            (case.attribute("name"), children)
        })
        .collect();
    assert_eq!(
        shape,
        [
            ("B01 online and offline", vec!["system-out"]),
            ("B01 online and offline", vec!["failure", "system-out"]),
            ("B02 the machine takes no more", vec!["error", "system-out"]),
            (
                "S08 a refused increment leaves nothing assigned",
                vec!["skipped", "system-out"]
            ),
            ("S11 configure a block", vec!["skipped", "system-out"]),
        ]
    );
    let failure = cases[1].child("failure").unwrap();
    assert_eq!(failure.attribute("type"), "prediction");
    assert_eq!(
        failure.attribute("message"),
        "step 3 `offline b`: MemTotal must be 998716, is 999228 (and 3 more)"
    );
    assert!(
        failure
            .text
            .contains("suites/blocks.yaml:14: step 3: offline b\n")
    );
    assert!(failure.text.contains("\\x1b[0m ]]>"));
    assert_eq!(cases[1].attribute("file"), "suites/blocks.yaml");
    // 2.345 would be written with 16 decimals, see `three_decimals` in `tell::junit`.
    assert_eq!(cases[1].attribute("time"), "2.346");
    assert_eq!(
        cases[3].child("skipped").unwrap().attribute("message"),
        "known: assigned increments are not given back when a later one fails"
    );
    assert!(
        cases[4]
            .child("skipped")
            .unwrap()
            .text
            .starts_with("needs generation G2; ")
    );
    let suite = report.all("testsuite").next().unwrap();
    let facts = &suite.child("system-out").unwrap().text;
    assert!(
        facts.contains(&format!("sha256 {}", sample::sha("qemu-system-x86_64"))),
        "{facts}"
    );
    assert!(facts.contains("kernel: debian:trixie 6.12.107+deb13-amd64 x86_64 sha256 "));
}

#[test]
fn cases_that_never_began_are_not_left_out() {
    let mut record = record();
    record.not_run = vec![record.cases.pop().unwrap().key];
    let kinds = |record: &RunRecord| {
        let report = parse(&junit(record)).unwrap();
        let cases = testcases(&report);
        (cases.len(), cases[4].children[0].name.clone())
    };
    assert_eq!(kinds(&record), (5, "skipped".to_owned()));
    record.finish = Finish::CutOff;
    assert_eq!(kinds(&record), (5, "error".to_owned()));
}

/// 4.69 is what junit-report would write as 4.6899999999999995, which the schema of Jenkins refuses.
#[test]
fn the_time_of_a_suite_has_three_decimals() {
    let mut record = record();
    record.cases[3].seconds = Seconds::from_millis(2340);
    record.cases[4].seconds = Seconds::from_millis(2350);
    let report = parse(&junit(&record)).unwrap();
    let suite = report.all("testsuite").last().unwrap();
    assert_eq!(suite.attribute("time"), "4.691");
}

#[test]
fn a_log_of_megabytes_is_cut_in_its_middle() {
    let mut record = record();
    record.cases[1].log_excerpt = format!("first\n{}\nlast\n", "ä]]>".repeat(1 << 20));
    let xml = junit(&record);
    assert!(xml.len() < 400 << 10, "{}", xml.len());
    let report = parse(&xml).unwrap();
    let text = &testcases(&report)[1].child("failure").unwrap().text;
    assert!(text.contains("first\n") && text.contains("bytes left out") && text.ends_with("last\n"));
}

/// Text as a guest may print it: control characters, markup, and what only looks like the end of a section.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        2 => "[ -~]{0,12}",
        1 => prop::sample::select(vec![
            "]]>", "]]", ">", "<![CDATA[", "&", "&#0;", "\"", "'", "<", "\r\n", "\r", "\n", "\t", "\0", "\u{1b}[31m",
            "\u{7f}", "\u{85}", "\u{2028}", "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{fffe}", "\u{ffff}", "\u{10ffff}",
        ]).prop_map(str::to_owned),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn case() -> impl Strategy<Value = CaseRecord> {
    let verdict = prop::sample::select(Verdict::ALL.to_vec());
    let numbers = (0u64..10_000_000, 0usize..3, 0usize..3);
    (vec(text(), 16), verdict, numbers).prop_map(|(texts, verdict, (millis, steps, findings))| {
        let mut texts = texts.into_iter().cycle_from();
        let mut text = move || texts();
        let key = CaseKey {
            arch: Arch::S390x,
            label: text(),
            release: Some(text()),
            config: text(),
            side: None,
            suite: text(),
            variant: text(),
            case: text(),
            round: None,
        };
        let mut case = sample::passed(key, &text(), 1);
        case.suite_file = text();
        case = sample::judged(case, verdict, &text());
        case.known = Some(text());
        case.seconds = Seconds::from_millis(millis);
        case.command_line = text();
        case.log_excerpt = text();
        for number in 0..steps {
            let mut step = sample::step(number as u32, 3, &text());
            step.verdict = verdict;
            step.message = Some(text()).filter(|text| text.len() % 2 == 0);
            step.mismatches = vec![MismatchRecord {
                counter: text(),
                before: None,
                predicted: Some(text()),
                seen: Some(text()),
                tolerance: 1,
                unit: text(),
            }];
            case.steps.push(step);
        }
        for _ in 0..findings {
            case.findings.push(FindingRecord {
                kind: text(),
                title: text(),
                place: Some(text()),
                lines: vec![text(), text()],
                since_step: None,
                times: 1,
            });
        }
        case
    })
}

/// Gives out the elements of a list round and round.
trait CycleFrom {
    fn cycle_from(self) -> impl FnMut() -> String;
}

impl CycleFrom for std::vec::IntoIter<String> {
    fn cycle_from(self) -> impl FnMut() -> String {
        let mut all = self.cycle();
        move || all.next().unwrap_or_default()
    }
}

fn run() -> impl Strategy<Value = RunRecord> {
    (vec(case(), 0..4), vec(text(), 5)).prop_map(|(cases, texts)| {
        let mut record = record();
        let mut seen = HashSet::new();
        record.cases = cases
            .into_iter()
            .filter(|case| seen.insert(case.key.id()))
            .collect();
        record.facts.host.uname = texts[0].clone();
        record.facts.memrig = texts[1].clone();
        record.facts.qemus[1].version = texts[2].clone();
        record
    })
}

proptest! {
    #[test]
    fn any_text_makes_a_report_that_a_strict_reader_takes(record in run()) {
        let report = parse(&junit(&record)).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&report.name, "testsuites");
        let cases = testcases(&report);
        prop_assert_eq!(cases.len(), record.cases.len());
        let mut names = HashSet::new();
        for suite in report.all("testsuite") {
            prop_assert!(names.insert(suite.attribute("name").to_owned()));
            let counted = |kind: &str| suite.all("testcase").filter(|case| case.child(kind).is_some()).count();
            prop_assert_eq!(suite.attribute("failures"), counted("failure").to_string());
            prop_assert_eq!(suite.attribute("errors"), counted("error").to_string());
            prop_assert_eq!(suite.attribute("tests"), suite.all("testcase").count().to_string());
        }
    }

    #[test]
    fn text_without_control_characters_arrives_as_it_was(text in "[ -~äΩ]{1,40}(]]>|<x>|&amp;)[ -~]{0,20}[!-~]") {
        let mut record = record();
        record.cases[1].log_excerpt = text.clone();
        let report = parse(&junit(&record)).map_err(TestCaseError::fail)?;
        let content = &testcases(&report)[1].child("failure").unwrap().text;
        prop_assert!(content.contains(&text), "{}", content);
    }
}

/// The report without the one attribute that the schema of Jenkins does not know and GitLab reads.
fn without_file(xml: &str) -> String {
    use quick_xml::{Reader, Writer, events::Event};
    let mut reader = Reader::from_str(xml);
    let mut writer = Writer::new(Vec::new());
    loop {
        let strip = |start: quick_xml::events::BytesStart<'_>| {
            let mut kept = start.clone();
            kept.clear_attributes();
            let attributes = start.attributes().map(Result::unwrap);
            kept.extend_attributes(attributes.filter(|a| a.key.as_ref() != b"file"));
            kept.into_owned()
        };
        let event = match reader.read_event().unwrap() {
            Event::Start(start) if start.name().as_ref() == b"testcase" => Event::Start(strip(start)),
            Event::Empty(start) if start.name().as_ref() == b"testcase" => Event::Empty(strip(start)),
            Event::Eof => break,
            other => other,
        };
        writer.write_event(event).unwrap();
    }
    String::from_utf8(writer.into_inner()).unwrap()
}

/// Asks xmllint for its judgement of the documents by the schema of Jenkins.
fn xmllint(documents: &[String]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/corpus/junit/jenkins-junit-10.xsd"
    );
    crate::ground::packages();
    let mut command = Command::new("xmllint");
    command.args(["--nonet", "--noout", "--schema", schema]);
    for (index, document) in documents.iter().enumerate() {
        let path = folder.path().join(format!("{index}.xml"));
        fs::write(&path, document).unwrap();
        command.arg(path);
    }
    let output = command
        .output()
        .expect("xmllint runs (Debian: apt-get install libxml2-utils)");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn reports_are_valid_by_the_schema_of_jenkins() {
    let mut runner = TestRunner::deterministic();
    let mut documents = vec![without_file(&junit(&record()))];
    for _ in 0..60 {
        let record = run().new_tree(&mut runner).unwrap().current();
        documents.push(without_file(&junit(&record)));
    }
    let (valid, said) = xmllint(&documents);
    assert!(valid, "{said}");
}

#[test]
fn the_schema_refuses_what_it_does_not_know() {
    let good = without_file(&junit(&record()));
    for (from, to) in [
        ("<failure ", "<failed "),
        ("<testcase ", "<testcase colour=\"red\" "),
        ("<failure type", "\u{1b}<failure type"),
        ("time=\"", "time=\"about "),
    ] {
        let bad = good.replace(from, to).replace(
            "</failure>",
            if to == "<failed " {
                "</failed>"
            } else {
                "</failure>"
            },
        );
        assert_ne!(bad, good);
        let (valid, said) = xmllint(&[bad]);
        assert!(!valid, "{to:?}: {said}");
    }
}
