// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests that a program in a guest reported, in every form of a run.

use std::collections::BTreeSet;

use memrig::{
    base::{Arch, fault::Verdict},
    record::{RunRecord, SubcaseRecord},
    tell,
};

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
    let read = memrig::format::ktap::parse(&ktap);
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
