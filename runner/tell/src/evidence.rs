// SPDX-License-Identifier: MIT OR Apache-2.0
//! What speaks for a case's verdict, in words and numbers.

use camino::Utf8Path;

use super::{
    table::{Align, columns},
    text::{Lines, count, cut, indented, one_line, printable},
};
use base::{exec::shell_quote, fault::Verdict};
use record::{CaseRecord, FindingRecord, GuestEnd, MismatchRecord, RunRecord, StepRecord, SubcaseRecord};

/// The kind of a failure, in one word for filters.
pub(super) fn kind(case: &CaseRecord) -> String {
    match case.ended {
        Some(GuestEnd::Panicked) => return "panic".to_owned(),
        Some(GuestEnd::Hung) => return "hang".to_owned(),
        _ => {}
    }
    if failed_steps(case).any(|step| !step.mismatches.is_empty()) {
        return "prediction".to_owned();
    }
    match case.findings.first() {
        Some(finding) => one_line(&finding.kind),
        None => "step".to_owned(),
    }
}

/// What there is to say about the case in one line.
pub(super) fn headline(case: &CaseRecord) -> String {
    let words = match case.verdict {
        Verdict::Fail => failed_steps(case)
            .next()
            .and_then(step_headline)
            .or_else(|| case.reason.clone())
            .or_else(|| {
                let finding = case.findings.first()?;
                Some(format!("{}: {}", finding.kind, finding.title))
            }),
        Verdict::Known => case.known.clone().or_else(|| case.reason.clone()),
        Verdict::Pass | Verdict::Skip | Verdict::Error => case.reason.clone(),
    };
    words.map_or_else(
        || "no reason was written down".to_owned(),
        |words| one_line(&words),
    )
}

/// What is wrong with a step, in one line; `None` where it does not say.
pub(super) fn step_headline(step: &StepRecord) -> Option<String> {
    let what = match (&step.message, step.mismatches.as_slice()) {
        (Some(message), _) => message.clone(),
        (None, [first, others @ ..]) => {
            let more = match others.len() {
                0 => String::new(),
                n => format!(" (and {n} more)"),
            };
            format!(
                "{} must be {}, is {}{more}",
                first.counter,
                value(first.predicted.as_deref()),
                value(first.seen.as_deref())
            )
        }
        (None, []) => return None,
    };
    Some(format!(
        "step {} `{}`: {what}",
        step.number,
        cut(&step.text, LONGEST_STEP)
    ))
}

/// Longest text of a step in a line that is about something else, in bytes: a script has no end.
const LONGEST_STEP: usize = 72;

/// The same in the line that is about the step; the suite's file has it whole.
pub(super) const LONGEST_TEXT: usize = 400;

/// Steps whose verdict needs an explanation.
pub(super) fn failed_steps(case: &CaseRecord) -> impl Iterator<Item = &StepRecord> {
    case.steps
        .iter()
        .filter(|step| !matches!(step.verdict, Verdict::Pass | Verdict::Skip))
}

/// `file:line` of the step, or of the case; the file alone of an exploration.
pub(super) fn place(case: &CaseRecord, step: Option<&StepRecord>) -> String {
    if case.is_exploration() {
        return case.suite_file.clone();
    }
    let line = step.map_or(case.line, |step| step.line);
    format!("{}:{line}", one_line(&case.suite_file))
}

/// Each step that did not go well: its place, what it does, what went wrong, and the numbers side by side.
pub(super) fn steps(case: &CaseRecord) -> String {
    let mut lines = Lines::default();
    for step in failed_steps(case) {
        lines.line(format_args!(
            "{}: step {}: {}",
            place(case, Some(step)),
            step.number,
            cut(&one_line(&step.text), LONGEST_TEXT)
        ));
        if let Some(message) = &step.message {
            lines.text(&indented(&printable(message), "  "));
        }
        lines.text(&indented(&said(step), "  "));
        lines.text(&indented(&subcases(step), "  "));
        if !step.mismatches.is_empty() {
            lines.text(&indented(&mismatches(&step.mismatches), "  "));
        }
    }
    lines.into_text()
}

/// The last words of a step's scripts, each line marked; empty where they said nothing.
pub(super) fn said(step: &StepRecord) -> String {
    let mut lines = Lines::default();
    for said in &step.said {
        lines.line(format_args!("{}", format!("| {}", one_line(said)).trim_end()));
    }
    lines.into_text()
}

/// Subcases of a step that are shown one by one, at the most.
const SHOWN: usize = 20;

/// The tests of a step that did not go well, with what was printed before them.
fn subcases(step: &StepRecord) -> String {
    let mut lines = Lines::default();
    let bad = || {
        step.subcases
            .iter()
            .filter(|subcase| subcase.verdict == Verdict::Fail)
    };
    for subcase in bad().take(SHOWN) {
        lines.line(format_args!("not ok {}", subcase_title(subcase)));
        for said in &subcase.said {
            lines.line(format_args!("  {}", one_line(said)));
        }
    }
    let left = bad().count().saturating_sub(SHOWN);
    if left > 0 {
        lines.line(format_args!("and {left} more"));
    }
    lines.into_text()
}

/// Name of a subcase, and why it is what it is.
pub(super) fn subcase_title(subcase: &SubcaseRecord) -> String {
    match &subcase.reason {
        Some(reason) => one_line(&format!("{}: {reason}", subcase.name)),
        None => one_line(&subcase.name),
    }
}

/// How many subcases a case has of each verdict: `12 subcases: 10 pass, 2 skip`; empty where it has none.
pub(super) fn subcase_counts(case: &CaseRecord) -> String {
    let counts: Vec<String> = Verdict::ALL
        .into_iter()
        .map(|verdict| {
            (
                verdict,
                case.subcases()
                    .filter(|subcase| subcase.verdict == verdict)
                    .count(),
            )
        })
        .filter(|(_, n)| *n > 0)
        .map(|(verdict, n)| format!("{n} {verdict}"))
        .collect();
    match case.subcases().count() {
        0 => String::new(),
        n => format!("{}: {}", count(n, "subcase"), counts.join(", ")),
    }
}

/// The attempts, where there was more than one. A reason that `told` has already is not told again.
pub(super) fn attempts(case: &CaseRecord, told: &str) -> String {
    let mut lines = Lines::default();
    if case.attempts.len() == 1 {
        return String::new();
    }
    let mut first = 1;
    for alike in case
        .attempts
        .chunk_by(|a, b| (a.verdict, &a.reason) == (b.verdict, &b.reason))
    {
        let last = first + alike.len() - 1;
        let which = match alike.len() {
            1 => format!("attempt {first}"),
            2 => format!("attempts {first} and {last}"),
            _ => format!("attempts {first} to {last}"),
        };
        let reason = alike[0].reason.as_deref().map(one_line);
        let reason = match reason.filter(|reason| !told.contains(reason.as_str())) {
            Some(reason) => format!(": {reason}"),
            None => String::new(),
        };
        lines.line(format_args!("{which}: {}{reason}", alike[0].verdict));
        first = last + 1;
    }
    lines.into_text()
}

/// What was predicted and what was seen, side by side.
fn mismatches(mismatches: &[MismatchRecord]) -> String {
    let head = [
        "counter",
        "before",
        "predicted",
        "seen",
        "off by",
        "allowed",
        "unit",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for mismatch in mismatches {
        let allowed = match mismatch.tolerance {
            0 => String::new(),
            pages => format!("±{pages}"),
        };
        rows.push(vec![
            one_line(&mismatch.counter),
            value(mismatch.before.as_deref()),
            value(mismatch.predicted.as_deref()),
            value(mismatch.seen.as_deref()),
            off_by(mismatch),
            allowed,
            one_line(&mismatch.unit),
        ]);
    }
    use Align::{Left, Right};
    columns(&rows, &[Left, Right, Right, Right, Right, Right, Left])
}

pub(super) fn value(text: Option<&str>) -> String {
    text.map_or_else(|| "absent".to_owned(), one_line)
}

/// `seen` less `predicted`, where both are numbers.
pub(super) fn off_by(mismatch: &MismatchRecord) -> String {
    let number = |text: &Option<String>| text.as_deref()?.parse::<i64>().ok();
    match (number(&mismatch.predicted), number(&mismatch.seen)) {
        (Some(predicted), Some(seen)) => format!("{:+}", i128::from(seen) - i128::from(predicted)),
        _ => String::new(),
    }
}

/// A finding in one line, with how often it came up.
pub(super) fn finding_title(finding: &FindingRecord) -> String {
    let title = one_line(&finding.title);
    match finding.times {
        0 | 1 => title,
        times => format!("{title} ({times} times)"),
    }
}

/// The command that runs a case again, from where the run was started.
pub(super) fn again(record: &RunRecord, case: &CaseRecord) -> String {
    let (folder, id) = (&record.folder, record.facts.id.as_str());
    let results = folder.parent().map_or("", Utf8Path::as_str);
    let run = match folder.file_name() {
        // A link to it, or its own name.
        Some(name) if (name == "latest" || name == id) && !results.is_empty() => id,
        _ => folder.as_str(),
    };
    let place = match results {
        // Where runs are looked for unless something else is said.
        "" | "results" => String::new(),
        _ if run != id => String::new(),
        results => format!(" --results {}", shell_quote(results)),
    };
    one_line(&format!(
        "memrig replay {} {}{place}",
        shell_quote(run),
        case.key.id()
    ))
}

/// Everything that speaks for the verdict: steps, findings, and the log.
pub(super) fn all(case: &CaseRecord) -> String {
    let steps = steps(case);
    let mut parts = vec![attempts(case, &steps), steps];
    for finding in &case.findings {
        let place = match &finding.place {
            Some(place) if !finding.title.contains(place) => format!(" at {}", one_line(place)),
            _ => String::new(),
        };
        let since = match finding.since_step {
            Some(step) => format!("in step {step}"),
            None => "before the first step".to_owned(),
        };
        let mut lines = Lines::default();
        lines.line(format_args!(
            "{}: {}{place}, {since}",
            one_line(&finding.kind),
            finding_title(finding)
        ));
        lines.text(&indented(&printable(&finding.lines.join("\n")), "  "));
        parts.push(lines.into_text());
    }
    if !case.log_excerpt.is_empty() {
        let lines = indented(&printable(&case.log_excerpt), "  ");
        parts.push(format!("from the log:\n{lines}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_attempts_is_told_where_nothing_else_tells_it() {
        let case: CaseRecord = serde_json::from_value(serde_json::json!({
            "key": {"arch": "s390x", "kernel": "k", "config": "", "suite": "s", "variant": "", "case": "S08"},
            "name": "", "suite_file": "s.yaml", "line": 1, "verdict": "fail", "reason": "x", "seconds": 9.0, "ended": null,
            "attempts": [
                {"verdict": "fail", "reason": "EBUSY", "seconds": 1.0}, {"verdict": "fail", "reason": "EBUSY", "seconds": 1.0},
                {"verdict": "error", "reason": "QEMU is gone", "seconds": 1.0},
            ]
        }))
        .unwrap();
        let all = attempts(&case, "");
        assert_eq!(
            all,
            "attempts 1 and 2: fail: EBUSY\nattempt 3: error: QEMU is gone\n"
        );
        let rest = attempts(&case, "step 3: EBUSY\n");
        assert_eq!(rest, "attempts 1 and 2: fail\nattempt 3: error: QEMU is gone\n");
    }

    #[test]
    fn a_finding_has_its_number_and_its_place_once() {
        let case: CaseRecord = serde_json::from_value(serde_json::json!({
            "key": {"arch": "s390x", "kernel": "k", "config": "", "suite": "s", "variant": "", "case": "S08"},
            "name": "", "suite_file": "s.yaml", "line": 1, "verdict": "fail", "reason": "x", "seconds": 9.0, "ended": null,
            "findings": [
                {"kind": "bad-page", "title": "Bad page state in f <- g", "place": "f", "lines": ["BUG: x"], "since_step": 2, "times": 60},
                {"kind": "warning", "title": "WARNING at mm/a.c:1 in f", "place": "mm/a.c:1 in f", "lines": ["WARNING"], "since_step": null},
                {"kind": "bug", "title": "lost", "place": "h", "lines": [], "since_step": 1},
            ]
        }))
        .unwrap();
        let all = all(&case);
        assert!(
            all.contains("bad-page: Bad page state in f <- g (60 times), in step 2\n"),
            "{all}"
        );
        assert!(
            all.contains("warning: WARNING at mm/a.c:1 in f, before the first step\n"),
            "{all}"
        );
        assert!(all.contains("bug: lost at h, in step 1\n"), "{all}");
    }

    #[test]
    fn the_command_that_runs_a_case_again_finds_the_run() {
        use crate::news::tests::record;
        let again = |folder: &str| {
            let mut record = record(Verdict::Fail);
            record.folder = folder.into();
            let id = record.facts.id.to_string();
            let case = record.cases[0].key.id();
            again(&record, &record.cases[0])
                .replace(&case, "CASE")
                .replace(&id, "RUN")
        };
        let id = record(Verdict::Fail).facts.id;
        assert_eq!(again("results/latest"), "memrig replay RUN CASE");
        assert_eq!(again(&format!("results/{id}")), "memrig replay RUN CASE");
        assert_eq!(
            again(&format!("/srv/my runs/{id}")),
            "memrig replay RUN CASE --results '/srv/my runs'"
        );
        assert_eq!(
            again("../there/latest"),
            "memrig replay RUN CASE --results ../there"
        );
        assert_eq!(again("results/sample"), "memrig replay results/sample CASE");
        assert_eq!(again("latest"), "memrig replay latest CASE");
    }

    #[test]
    fn a_script_does_not_fill_the_lines_about_its_step() {
        let case: CaseRecord = serde_json::from_value(serde_json::json!({
            "key": {"arch": "s390x", "kernel": "k", "config": "", "suite": "s", "variant": "", "case": "S08"},
            "name": "", "suite_file": "s.yaml", "line": 1, "verdict": "fail", "reason": "x", "seconds": 9.0, "ended": null,
            "steps": [{"number": 1, "line": 2, "text": format!("guest: {{ run: \"{}\" }}", "a ".repeat(5_000)),
                "verdict": "fail", "seconds": 0.5, "message": "it ended with 3", "said": ["299", "\u{1b}[1m300"], "ledger": null}]
        }))
        .unwrap();
        let headline = step_headline(&case.steps[0]).unwrap();
        assert!(
            headline.len() < 120 && headline.ends_with("a…`: it ended with 3"),
            "{headline}"
        );
        let steps = steps(&case);
        let (first, rest) = steps.split_once('\n').unwrap();
        assert!(
            first.len() < 440
                && first.starts_with("s.yaml:2: step 1: guest: { run: ")
                && first.ends_with("a…")
        );
        assert_eq!(rest, "  it ended with 3\n  | 299\n  | \\x1b[1m300\n");
    }
}
