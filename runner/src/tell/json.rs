// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as JSON: whole, and in the shape of KCIDB.

use serde_json::{Value, json};

use super::{
    evidence,
    news::News,
    text::{one_line, printable},
};
use crate::{
    base::{Arch, fault::Verdict},
    record::{CaseKey, CaseRecord, Finish, RunRecord},
};

/// Everything that the record says, and what is new.
pub fn json(record: &RunRecord, news: Option<&News>) -> Value {
    json!({
        "facts": record.facts,
        "exit": match record.finish { Finish::Exit(code) => Some(code), Finish::CutOff => None },
        "seconds": record.seconds,
        "cases": record.cases,
        "not_run": record.not_run,
        "notes": record.notes,
        "news": news,
    })
}

/// Longest excerpt of a log that KCIDB takes, in characters.
const EXCERPT: usize = 16_384;

/// The run in the shape of a KCIDB report, version 5: a checkout and a build for each kernel, a test for each case.
///
/// A known issue is a test that failed, with an issue and an incident that says so. A case that was not run is `MISS`.
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
    let mut issues: Vec<Value> = Vec::new();
    let mut incidents = Vec::new();
    for case in &record.cases {
        let id = test_id(record, &case.key);
        if let (Verdict::Known, Some(known)) = (case.verdict, &case.known) {
            let issue = format!("memrig:{}", one_line(known));
            if issues.iter().all(|there| there["id"] != issue) {
                issues.push(
                    json!({ "id": issue, "version": 1, "origin": "memrig", "comment": one_line(known),
                    "culprit": { "code": true } }),
                );
            }
            incidents.push(
                json!({ "id": id, "origin": "memrig", "issue_id": issue, "issue_version": 1, "test_id": id,
                "present": true }),
            );
        }
        tests.push(test(record, case, id, &build(case.key.arch, &case.key.kernel)));
    }
    for key in &record.not_run {
        tests.push(
            json!({ "id": test_id(record, key), "origin": "memrig", "build_id": build(key.arch, &key.kernel),
            "path": path(key), "status": "MISS" }),
        );
    }
    json!({ "version": { "major": 5, "minor": 3 }, "checkouts": checkouts, "builds": builds, "tests": tests,
        "issues": issues, "incidents": incidents })
}

fn test_id(record: &RunRecord, key: &CaseKey) -> String {
    format!("memrig:{}:{}", record.facts.id, key.id())
}

/// Suite, case and variant; KCIDB takes letters, digits, `_`, `-`, and dots between parts.
fn path(key: &CaseKey) -> String {
    let safe = |part: &str| -> String {
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        part.chars().map(safe).collect()
    };
    let parts = ["memrig", &*key.suite, &*key.case, &*key.variant];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(safe)
        .collect();
    parts.join(".")
}

fn test(record: &RunRecord, case: &CaseRecord, id: String, build: &str) -> Value {
    let status = match case.verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail | Verdict::Known => "FAIL",
        Verdict::Error => "ERROR",
        Verdict::Skip => "SKIP",
    };
    let comment = match case.verdict {
        Verdict::Pass => one_line(&case.name),
        _ => one_line(&format!("{}: {}", case.name, evidence::headline(case))),
    };
    let mut test = json!({ "id": id, "origin": "memrig", "build_id": build, "path": path(&case.key), "status": status,
        "comment": comment, "duration": case.seconds,
        "environment": { "comment": record.facts.host.uname },
        "misc": { "config": case.key.config, "variant": case.key.variant, "file": case.suite_file, "line": case.line,
            "command_line": case.command_line, "folder": case.files() } });
    if !case.log_excerpt.is_empty() {
        let log = printable(&case.log_excerpt);
        let skip = log.chars().count().saturating_sub(EXCERPT);
        test["log_excerpt"] = json!(log.chars().skip(skip).collect::<String>());
    }
    test
}
