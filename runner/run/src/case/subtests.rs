// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program in the guest reported in KTAP: its tests as subcases, and what they say about the kernel. Pure.

use super::trouble::Trouble;
use base::fault::Verdict;
use format::ktap::{Status, TestResult, parse};
use record::SubcaseRecord;

/// What a selftest exits with when it cannot test anything.
const SKIPPED: i32 = 4;

/// Folds the output of a program that ended with `code`, and must end with `exit`; `said` is its stderr.
///
/// A test that is not ok, a report that is not whole and a wrong exit code are the kernel's failure. A program that could not be started
/// says nothing about the kernel. If all tests were skipped, nothing was checked.
pub(super) fn fold(
    text: &str,
    code: impl Into<i32>,
    exit: impl Into<i32>,
    said: &str,
) -> (Vec<SubcaseRecord>, Result<(), Trouble>) {
    let (code, exit) = (code.into(), exit.into());
    let report = parse(text);
    let subcases: Vec<SubcaseRecord> = report.results.into_iter().map(subcase).collect();
    if subcases.is_empty() && matches!(code, 126 | 127) {
        let message = format!("the program could not be started, its shell ended with {code}: {said}");
        return (subcases, Err(Trouble::bench(message)));
    }
    let with = |verdict| subcases.iter().filter(move |subcase| subcase.verdict == verdict);
    let failed = with(Verdict::Fail).count();
    let skipped = with(Verdict::Skip).count();
    let trouble = if let Some(first) = with(Verdict::Fail).next() {
        let all = subcases.len();
        let more = report
            .problems
            .first()
            .map_or_else(String::new, |problem| format!("; {problem}"));
        Some(Trouble::kernel(format!(
            "KTAP: {failed} of {all} tests are not ok, first `{}`{more}",
            first.name
        )))
    } else if !report.is_ktap {
        Some(Trouble::kernel(format!(
            "the program printed no line of KTAP; {}",
            end(code, said)
        )))
    } else if let Some(problem) = report.problems.first() {
        Some(Trouble::kernel(format!("KTAP: {problem}; {}", end(code, said))))
    } else if code != exit && !(exit == 0 && code == SKIPPED && skipped > 0) {
        Some(Trouble::kernel(format!(
            "its tests are ok, and {}, and must end with {exit}",
            end(code, said)
        )))
    } else if subcases.is_empty() {
        Some(Trouble::Lacking {
            message: "the program has no tests: its plan is 1..0".to_owned(),
        })
    } else if skipped > 0 && skipped == subcases.len() {
        let reason = with(Verdict::Skip).find_map(|subcase| subcase.reason.clone());
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Some(Trouble::Lacking {
            message: format!("the program skipped all of its tests{reason}"),
        })
    } else {
        None
    };
    (subcases, trouble.map_or(Ok(()), Err))
}

/// How a program ended, in words, by the code of its shell.
pub(super) fn end_of_code(code: i32, program: &str) -> String {
    match code {
        129..=192 => format!("signal {} killed {program}", code - 128),
        code => format!("{program} ended with {code}"),
    }
}

/// How the program ended, in words, with what it said last.
fn end(code: i32, said: &str) -> String {
    let how = end_of_code(code, "it");
    match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(last) => format!("{how} ({})", last.trim()),
        None => how,
    }
}

fn subcase(result: TestResult) -> SubcaseRecord {
    SubcaseRecord {
        name: result.name,
        verdict: match result.status {
            Status::Ok => Verdict::Pass,
            Status::NotOk => Verdict::Fail,
            Status::Skip => Verdict::Skip,
            Status::ExpectedFail => Verdict::Known,
        },
        reason: (!result.reason.is_empty()).then_some(result.reason),
        said: result.said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, code: i32) -> (Verdict, String) {
        match fold(text, code, 0, "").1 {
            Ok(()) => (Verdict::Pass, String::new()),
            Err(trouble) => (trouble.verdict(), trouble.message().to_owned()),
        }
    }

    #[test]
    fn whom_the_end_of_a_program_accuses() {
        let good = "TAP version 13\n1..2\nok 1 a\nok 2 b # SKIP x\n";
        assert_eq!(told(good, 0).0, Verdict::Pass);
        assert_eq!(told(good, 4).0, Verdict::Pass);
        assert_eq!(told(good, 1).0, Verdict::Fail);
        let (verdict, message) = told("TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n", 1);
        assert_eq!(
            (verdict, &*message),
            (Verdict::Fail, "KTAP: 1 of 2 tests are not ok, first `b`")
        );
        let (verdict, message) = told("TAP version 13\n1..2\nok 1 a\n", 137);
        assert!(
            verdict == Verdict::Fail && message.ends_with("signal 9 killed it"),
            "{message}"
        );
        assert_eq!(told("sh: x: not found\n", 127).0, Verdict::Error);
        assert_eq!(told("hello\n", 0).0, Verdict::Fail);
        assert_eq!(told("TAP version 13\nok 1 a\n", 0).0, Verdict::Fail);
        let (verdict, message) = told("TAP version 13\n1..0 # SKIP no pages\n", 4);
        assert_eq!(
            (verdict, &*message),
            (Verdict::Skip, "the program skipped all of its tests: no pages")
        );
        assert_eq!(told("TAP version 14\n1..0\n", 0).0, Verdict::Skip);
        assert_eq!(told("1..1\nnot ok 1 a # XFAIL known\n", 0).0, Verdict::Pass);
    }
}
