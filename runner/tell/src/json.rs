// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as JSON: whole, and in the shape of KCIDB.

use serde_json::{Value, json};

use super::{
    evidence,
    news::News,
    text::{one_line, printable},
};
use base::{Arch, fault::Verdict};
use record::{CaseKey, CaseRecord, Finish, Rounds, RunRecord, StepRecord, SubcaseRecord};

/// Everything that the record says, and what is new.
pub fn json(record: &RunRecord, news: Option<&News>) -> Value {
    json!({
        "facts": record.facts,
        "part": record.facts.part_of_plan(),
        "exit": match record.finish { Finish::Exit(code) => Some(code), Finish::CutOff => None },
        "seconds": record.seconds,
        "cases": record.cases,
        "rounds": Rounds::of(record),
        "not_run": record.not_run,
        "notes": record.notes,
        "news": news,
    })
}

/// Longest excerpt of a log that KCIDB takes, in characters.
const EXCERPT: usize = 16_384;

/// The run in the shape of a KCIDB report, version 5: a checkout and a build for each kernel, a test for each case, and one for each
/// test that a program of a case reported.
///
/// A known issue is a test that failed, with an issue and an incident that says so; the same holds for a test that its program expects
/// to fail, and for those that fail in a case whose issue is known. A case that was not run is `MISS`; which tests it would
/// have had is not known. Nothing of memrig is `DONE`: every test has a verdict. A reported test is below its case in the tree of
/// paths, and has no duration, since programs tell none.
pub fn kcidb(record: &RunRecord) -> Value {
    let run = &record.facts.id;
    let build = |arch: Arch, kernel: &str| format!("memrig:{run}:{arch}:{kernel}");
    let mut checkouts = Vec::new();
    let mut builds = Vec::new();
    for kernel in &record.facts.kernels {
        let id = build(kernel.arch, &kernel.name());
        checkouts.push(
            json!({ "id": id, "origin": "memrig", "comment": format!("{} {}", kernel.label, kernel.release),
            "valid": true }),
        );
        builds.push(
            json!({ "id": id, "origin": "memrig", "checkout_id": id, "architecture": kernel.arch.to_string(),
            "comment": kernel.release, "status": "PASS",
            "misc": { "image_sha256": kernel.image_sha256, "packages": kernel.packages } }),
        );
    }
    let mut tests = Vec::new();
    let mut expected = Expected::default();
    for case in &record.cases {
        let id = test_id(record, &case.key);
        let build = build(case.key.arch, &case.key.kernel_name());
        let known = case.known.as_deref().filter(|_| case.verdict == Verdict::Known);
        if let Some(known) = known {
            expected.of_the_kernel(known, &id);
        }
        tests.push(test(record, case, &id, &build));
        for (number, (step, subcase)) in (1..).zip(case.subcases_of_steps()) {
            let own = format!("{id}:{number}");
            match (subcase.verdict, known) {
                (Verdict::Known, _) => expected.of_the_program(subcase, &own),
                (Verdict::Fail, Some(known)) => expected.of_the_kernel(known, &own),
                _ => {}
            }
            tests.push(subtest(
                record,
                case,
                (number, step, subcase),
                (&own, &id, &build),
            ));
        }
    }
    for key in &record.not_run {
        tests.push(
            json!({ "id": test_id(record, key), "origin": "memrig", "build_id": build(key.arch, &key.kernel_name()),
            "path": path(key), "status": "MISS" }),
        );
    }
    json!({ "version": { "major": 5, "minor": 3 }, "checkouts": checkouts, "builds": builds, "tests": tests,
        "issues": expected.issues, "incidents": expected.incidents })
}

/// Failures that someone expects: what it is that is expected, and where it showed.
#[derive(Default)]
struct Expected {
    issues: Vec<Value>,
    incidents: Vec<Value>,
}

impl Expected {
    /// What a suite lists as known, which is always the kernel's doing.
    fn of_the_kernel(&mut self, known: &str, test: &str) {
        let comment = one_line(known);
        let id = format!("memrig:{comment}");
        let issue = json!({ "id": id, "version": 1, "origin": "memrig", "comment": comment,
            "culprit": { "code": true } });
        self.showed(&id, issue, test);
    }

    /// What a program expects of itself; it does not say whose doing that is.
    fn of_the_program(&mut self, subcase: &SubcaseRecord, test: &str) {
        let comment = format!(
            "the program expects it to fail: {}",
            evidence::subcase_title(subcase)
        );
        let id = format!("memrig:{comment}");
        let issue = json!({ "id": id, "version": 1, "origin": "memrig", "comment": comment });
        self.showed(&id, issue, test);
    }

    fn showed(&mut self, id: &str, issue: Value, test: &str) {
        if self.issues.iter().all(|there| there["id"] != id) {
            self.issues.push(issue);
        }
        self.incidents.push(
            json!({ "id": test, "origin": "memrig", "issue_id": id, "issue_version": 1, "test_id": test,
            "present": true }),
        );
    }
}

fn test_id(record: &RunRecord, key: &CaseKey) -> String {
    format!("memrig:{}:{}", record.facts.id, key.id())
}

/// Suite, case and variant; KCIDB takes letters, digits, `_`, `-`, and dots between parts.
fn path(key: &CaseKey) -> String {
    let parts = ["memrig", &*key.suite, &*key.case, &*key.variant_name()];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(safe)
        .collect();
    parts.join(".")
}

/// One part of a path.
fn safe(part: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    part.chars().map(safe).collect()
}

/// The path of a case's reported test: that of the case, and each name of the tests that it is a part of. One without a name has its number.
fn subpath(key: &CaseKey, number: usize, name: &str) -> String {
    let mut path = path(key);
    for part in name.split(" / ") {
        path.push('.');
        match safe(part.trim()) {
            empty if empty.is_empty() => path.push_str(&number.to_string()),
            part => path.push_str(&part),
        }
    }
    path
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail | Verdict::Known => "FAIL",
        Verdict::Error => "ERROR",
        Verdict::Skip => "SKIP",
    }
}

/// A log in the length that KCIDB takes: its end.
fn excerpt(log: &str) -> String {
    let log = printable(log);
    let skip = log.chars().count().saturating_sub(EXCERPT);
    log.chars().skip(skip).collect()
}

/// A test that a program of a case reported, with its number in the case. The ids are its own, that of the case and that of the build.
fn subtest(
    record: &RunRecord,
    case: &CaseRecord,
    (number, step, subcase): (usize, &StepRecord, &SubcaseRecord),
    (id, of, build): (&str, &str, &str),
) -> Value {
    let mut test = json!({ "id": id, "origin": "memrig", "build_id": build,
        "path": subpath(&case.key, number, &subcase.name), "status": status(subcase.verdict),
        "comment": evidence::subcase_title(subcase),
        "environment": { "comment": record.facts.host.uname },
        "misc": { "case": of, "config": case.key.config_name(), "variant": case.key.variant_name(), "file": case.suite_file, "line": step.line,
            "folder": case.files() } });
    if !subcase.said.is_empty() {
        test["log_excerpt"] = json!(excerpt(&subcase.said.join("\n")));
    }
    test
}

fn test(record: &RunRecord, case: &CaseRecord, id: &str, build: &str) -> Value {
    let comment = match case.verdict {
        Verdict::Pass => one_line(&case.name),
        _ => one_line(&format!("{}: {}", case.name, evidence::headline(case))),
    };
    let mut test = json!({ "id": id, "origin": "memrig", "build_id": build, "path": path(&case.key),
        "status": status(case.verdict), "comment": comment, "duration": case.seconds,
        "environment": { "comment": record.facts.host.uname },
        "misc": { "config": case.key.config_name(), "variant": case.key.variant_name(), "file": case.suite_file, "line": case.line,
            "command_line": case.command_line, "folder": case.files() } });
    if !case.log_excerpt.is_empty() {
        test["log_excerpt"] = json!(excerpt(&case.log_excerpt));
    }
    test
}
