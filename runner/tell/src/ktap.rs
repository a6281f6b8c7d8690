// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP version 1, as the kernel's own test tools print and read it: one subtest for each class name.

use super::{
    evidence,
    text::{Lines, one_line, printable},
};
use base::fault::Verdict;
use record::{CaseKey, CaseRecord, Finish, GuestEnd, RunRecord};

/// The run as KTAP. A failed case has its evidence in diagnostic lines before its result.
pub fn ktap(record: &RunRecord) -> String {
    let mut groups: Vec<(String, Vec<Line>)> = Vec::new();
    let mut put = |key: &CaseKey, line: Line| {
        let name = key.classname();
        match groups.iter_mut().find(|(there, _)| *there == name) {
            Some((_, lines)) => lines.push(line),
            None => groups.push((name, vec![line])),
        }
    };
    for case in &record.cases {
        put(&case.key, of_case(case));
    }
    for key in &record.not_run {
        put(key, never_began(key, record.finish));
    }
    let mut text = Lines::default();
    text.line(format_args!("KTAP version 1\n1..{}", groups.len()));
    for (number, (name, lines)) in groups.iter().enumerate() {
        text.line(format_args!(
            "  KTAP version 1\n  # Subtest: {name}\n  1..{}",
            lines.len()
        ));
        for (number, line) in lines.iter().enumerate() {
            for part in &line.parts {
                text.line(format_args!("    {part}"));
            }
            for evidence in line.evidence.lines() {
                text.line(format_args!("  {}", format!("# {evidence}").trim_end()));
            }
            text.line(format_args!(
                "  {} {} {}{}",
                word(line.ok),
                number + 1,
                line.name,
                line.directive
            ));
        }
        let ok = lines.iter().all(|line| line.ok);
        text.line(format_args!("{} {} {name}", word(ok), number + 1));
    }
    text.into_text()
}

struct Line {
    ok: bool,
    name: String,
    directive: String,
    evidence: String,
    /// Lines of its own subtests.
    parts: Vec<String>,
}

fn word(ok: bool) -> &'static str {
    if ok { "ok" } else { "not ok" }
}

/// What comes behind `#` is a directive: none may be in a name.
fn description(text: &str) -> String {
    one_line(text).replace('#', "_")
}

fn directive(word: &str, reason: &str) -> String {
    format!(" # {word} {}", one_line(reason)).trim_end().to_owned()
}

fn of_case(case: &CaseRecord) -> Line {
    let headline = evidence::headline(case);
    let hung = case.ended == Some(GuestEnd::Hung);
    let (ok, directive) = match case.verdict {
        Verdict::Pass => (true, String::new()),
        Verdict::Fail if hung => (false, directive("TIMEOUT", &headline)),
        Verdict::Fail => (false, String::new()),
        Verdict::Error => (false, directive("ERROR", &headline)),
        Verdict::Known => (true, directive("XFAIL", &headline)),
        Verdict::Skip => (true, directive("SKIP", &headline)),
    };
    Line {
        ok,
        name: description(&format!("{} {}", case.key.case, case.name)),
        directive,
        evidence: match case.verdict {
            Verdict::Fail | Verdict::Error => format!("{headline}\n{}", printable(&evidence::all(case))),
            _ => String::new(),
        },
        parts: parts(case),
    }
}

/// The tests that programs of a case reported, as its subtests.
fn parts(case: &CaseRecord) -> Vec<String> {
    let count = case.subcases().count();
    if count == 0 {
        return Vec::new();
    }
    let mut lines = vec!["KTAP version 1".to_owned(), format!("1..{count}")];
    for (number, subcase) in case.subcases().enumerate() {
        let reason = subcase.reason.as_deref().unwrap_or_default();
        let (ok, directive) = match subcase.verdict {
            Verdict::Pass => (true, String::new()),
            Verdict::Fail if case.verdict == Verdict::Known => (true, directive("XFAIL", reason)),
            Verdict::Fail => (false, String::new()),
            Verdict::Error => (false, directive("ERROR", reason)),
            Verdict::Known => (true, directive("XFAIL", reason)),
            Verdict::Skip => (true, directive("SKIP", reason)),
        };
        lines.extend(subcase.said.iter().map(|said| format!("# {}", one_line(said))));
        lines.push(format!(
            "{} {} {}{directive}",
            word(ok),
            number + 1,
            description(&subcase.name)
        ));
    }
    lines
}

fn never_began(key: &CaseKey, finish: Finish) -> Line {
    let (ok, directive) = match finish {
        Finish::CutOff => (false, directive("ERROR", "not run: the run was cut off")),
        Finish::Exit(_) => (true, directive("SKIP", "not run: the run ended before it")),
    };
    Line {
        ok,
        name: description(&key.case),
        directive,
        evidence: String::new(),
        parts: Vec::new(),
    }
}
