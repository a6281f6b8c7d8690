// SPDX-License-Identifier: MIT OR Apache-2.0
//! JUnit XML, in the dialect that Jenkins and GitLab read.
//!
//! `testsuites > testsuite > testcase`, one suite for each class name. What the dialects make of it is in
//! `docs/verdicts.md`. The only module that knows junit-report, which writes what it is given: control characters
//! and `]]>` are taken care of here.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use junit_report::{Duration, OffsetDateTime, ReportBuilder, TestCase, TestResult, TestSuite};

use super::{
    evidence,
    text::{Lines, one_line, printable},
};
use base::fault::Verdict;
use record::{CaseKey, CaseRecord, Finish, QemuFacts, RunRecord, Seconds, SubcaseRecord};

/// Longest text of one element, in bytes: reports of thousands of cases must stay below what CI takes (30 MB).
const LONGEST: usize = 64 << 10;

/// Writes the run as JUnit XML.
///
/// # Errors
///
/// Fails if `out` does not take it.
pub fn junit(record: &RunRecord, out: &mut impl Write) -> io::Result<()> {
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in &record.cases {
        let suite = suite(&mut suites, record, &case.key);
        suite.add_testcase(testcase(case));
        suite.add_testcases(subcases(case));
    }
    for key in &record.not_run {
        suite(&mut suites, record, key).add_testcase(never_began(key, record.finish));
    }
    suites.iter_mut().for_each(settle);
    let mut report = ReportBuilder::new();
    report.add_testsuites(suites);
    report.build().write_xml(&mut *out).map_err(|e| match e {
        junit_report::Error::Io(e) => e,
        junit_report::Error::Xml(e) => io::Error::other(e),
    })?;
    out.write_all(b"\n")
}

/// The suite of a key, which is added where it is not there yet.
fn suite<'a>(suites: &'a mut Vec<TestSuite>, record: &RunRecord, key: &CaseKey) -> &'a mut TestSuite {
    let name = key.classname();
    let place = suites
        .iter()
        .position(|suite| suite.name == name)
        .unwrap_or_else(|| {
            let mut suite = TestSuite::new(&name);
            suite.timestamp = OffsetDateTime::from_unix_timestamp(record.facts.started.as_second())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH);
            suite.system_out = Some(text(&facts(record, key)));
            suites.push(suite);
            suites.len() - 1
        });
    &mut suites[place]
}

/// The name of a case, which is its own within its class name.
fn name(case: &CaseRecord) -> String {
    match case.name.as_str() {
        "" => case.key.case.clone(),
        name => format!("{} {name}", case.key.case),
    }
}

/// A test case for each test that a program of the case reported. Their time is in the case's own.
fn subcases(case: &CaseRecord) -> Vec<TestCase> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut one = |subcase: &SubcaseRecord| {
        let plain = attribute(&format!("{} / {}", name(case), subcase.name));
        let mut full = plain.clone();
        let mut times = 1;
        // A name that the program itself gave may look like one that is made here.
        while !names.insert(full.clone()) {
            times += 1;
            full = format!("{plain} [{times}]");
        }
        let message = attribute(&evidence::subcase_title(subcase));
        let said = subcase.said.join("\n");
        let result = match subcase.verdict {
            Verdict::Pass => TestResult::Success,
            Verdict::Fail if case.verdict == Verdict::Known => {
                skipped("known", format!("known: {message}"), &said)
            }
            Verdict::Fail => TestResult::Failure {
                type_: "subcase".to_owned(),
                cause: Some(content(&message, &said)),
                message,
            },
            Verdict::Error => TestResult::Error {
                type_: "bench".to_owned(),
                cause: Some(content(&message, &said)),
                message,
            },
            Verdict::Known => skipped("known", format!("known: {message}"), &said),
            Verdict::Skip => skipped("skip", message, &said),
        };
        TestCase {
            name: full,
            time: Duration::ZERO,
            result,
            classname: Some(case.key.classname()),
            filepath: Some(attribute(&case.suite_file)),
            system_out: None,
            system_err: None,
        }
    };
    case.subcases().map(&mut one).collect()
}

fn testcase(case: &CaseRecord) -> TestCase {
    let headline = attribute(&evidence::headline(case));
    let evidence = evidence::all(case);
    let result = match case.verdict {
        Verdict::Pass => TestResult::Success,
        Verdict::Fail => TestResult::Failure {
            type_: attribute(&evidence::kind(case)),
            cause: Some(content(&headline, &evidence)),
            message: headline,
        },
        Verdict::Error => TestResult::Error {
            type_: "bench".to_owned(),
            cause: Some(content(&headline, &evidence)),
            message: headline,
        },
        Verdict::Known => skipped("known", format!("known: {headline}"), &evidence),
        Verdict::Skip => skipped("skip", headline, &evidence),
    };
    TestCase {
        name: attribute(&name(case)),
        time: duration(case.seconds),
        result,
        classname: Some(case.key.classname()),
        filepath: Some(attribute(&case.suite_file)),
        system_out: Some(text(&out(case))),
        system_err: None,
    }
}

fn skipped(type_: &str, message: String, evidence: &str) -> TestResult {
    TestResult::SkippedWithCause {
        type_: type_.to_owned(),
        cause: Some(content(&message, evidence)),
        message,
    }
}

/// Message and evidence: GitLab shows the content of an element and not its message.
fn content(message: &str, evidence: &str) -> String {
    if evidence.is_empty() {
        text(message)
    } else {
        text(&format!("{message}\n\n{evidence}"))
    }
}

/// A case of the plan that the run did not come to.
fn never_began(key: &CaseKey, finish: Finish) -> TestCase {
    let result = match finish {
        // Nobody chose to stop: a report without them would look better than the run was.
        Finish::CutOff => {
            let message = "not run: the run was cut off before this case began".to_owned();
            TestResult::Error {
                type_: "not-run".to_owned(),
                cause: Some(message.clone()),
                message,
            }
        }
        Finish::Exit(_) => {
            let message = "not run: the run ended before this case began".to_owned();
            skipped("not-run", message, "")
        }
    };
    TestCase {
        name: attribute(&key.case),
        time: Duration::ZERO,
        result,
        classname: Some(key.classname()),
        filepath: None,
        system_out: None,
        system_err: None,
    }
}

/// What a reader of one case needs to find the rest.
fn out(case: &CaseRecord) -> String {
    let mut lines = Lines::default();
    lines.line(format_args!("{}", evidence::place(case, None)));
    lines.text(&evidence::attempts(case, ""));
    if case.verdict == Verdict::Pass {
        if let Some(known) = &case.known {
            lines.line(format_args!(
                "passes although it is listed as known: {}",
                one_line(known)
            ));
        }
    } else if !case.command_line.is_empty() {
        lines.line(format_args!("{}", one_line(&case.command_line)));
    }
    // Of a step that did not pass they are evidence.
    let passed = case.steps.iter().filter(|step| step.verdict == Verdict::Pass);
    for step in passed.filter(|step| !step.said.is_empty()) {
        lines.line(format_args!("step {} printed:", step.number));
        lines.text(&evidence::said(step));
    }
    if !case.is_exploration() {
        lines.line(format_args!("{}", case.files()));
    }
    lines.into_text()
}

/// The facts that a suite's cases share. junit-report has no `properties`, and GitLab would not read them.
fn facts(record: &RunRecord, key: &CaseKey) -> String {
    let facts = &record.facts;
    let mut lines = Lines::default();
    lines.line(format_args!("run: {}\nmemrig: {}", facts.id, facts.memrig));
    for kernel in facts.kernels.iter().filter(|kernel| kernel.is_of(key)) {
        lines.line(format_args!(
            "kernel: {} {} {} sha256 {}",
            kernel.label, kernel.release, kernel.arch, kernel.image_sha256
        ));
        for package in &kernel.packages {
            lines.line(format_args!(
                "package: {} {} sha256 {}",
                package.name, package.version, package.sha256
            ));
        }
    }
    let ours = |qemu: &&QemuFacts| qemu.arch == key.arch;
    for qemu in facts.qemus.iter().filter(ours) {
        lines.line(format_args!(
            "qemu: {} {} {} sha256 {}",
            qemu.binary, qemu.version, qemu.accel, qemu.sha256
        ));
    }
    let host = &facts.host;
    lines.line(format_args!(
        "host: {}, {} CPUs, {}",
        host.uname, host.cpus, host.memory
    ));
    lines.into_text()
}

fn duration(seconds: Seconds) -> Duration {
    let exact = Duration::milliseconds(i64::try_from(seconds.as_millis()).unwrap_or(i64::MAX));
    if three_decimals(exact) {
        exact
    } else {
        exact + STEP
    }
}

const STEP: Duration = Duration::milliseconds(1);

/// Whether junit-report writes the time as the schema of Jenkins asks: with three decimals at most.
///
/// It adds seconds and their fraction as floating-point numbers, and writes 2.345 s as 2.3449999999999998.
fn three_decimals(time: Duration) -> bool {
    let text = time.as_seconds_f64().to_string();
    text.split_once('.')
        .is_none_or(|(_, decimals)| decimals.len() <= 3)
}

/// Lets the last case take a millisecond or two more, until the sum of all is written with three decimals.
fn settle(suite: &mut TestSuite) {
    // One sum of a thousand is not; more steps than these are never needed, and would be wrong.
    for _ in 0..8 {
        let sum = suite.time();
        match suite.testcases.last_mut() {
            Some(last) if !(three_decimals(sum) && three_decimals(last.time)) => last.time += STEP,
            _ => return,
        }
    }
}

/// Text for an attribute: one line, at least one character.
fn attribute(text: &str) -> String {
    match one_line(text) {
        empty if empty.is_empty() => "-".to_owned(),
        line => line,
    }
}

/// Text for the content of an element, cut in its middle where it is too long.
fn text(content: &str) -> String {
    let content = printable(content);
    if content.len() <= LONGEST {
        return cdata(&content);
    }
    let head = content.floor_char_boundary(LONGEST / 2);
    let tail = content.ceil_char_boundary(content.len() - LONGEST / 2);
    let cut = tail - head;
    cdata(&format!(
        "{}\n[{cut} bytes left out; the case's folder has all]\n{}",
        &content[..head],
        &content[tail..]
    ))
}

/// junit-report wraps content in one CDATA section; its end inside the content is split over two.
fn cdata(content: &str) -> String {
    content.replace("]]>", "]]]]><![CDATA[>")
}
