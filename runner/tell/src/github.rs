// SPDX-License-Identifier: MIT OR Apache-2.0
//! Workflow commands of GitHub Actions: each case that did not pass, and each test in it that failed, as an annotation at its step in
//! the suite file.

use std::cmp::Reverse;

use super::{
    evidence,
    news::{News, Novelty},
    text::{Lines, one_line, printable},
};
use base::fault::Verdict;
use record::{CaseRecord, RunRecord, StepRecord, SubcaseRecord};

/// Annotations of one kind that GitHub shows of a step of a job; it drops the others.
const SHOWN: usize = 10;

/// The annotations of a run, new failures first: GitHub shows ten of a kind and drops the others.
///
/// A test that a program of a case reported as failed has one of its own, which names it. The case has none beside them where it would
/// only say the same: where nothing else of it failed, and all of its tests that did are shown. It has one, with the names of
/// the first twenty, where they are more than ten. Every case comes before the second test of any, so that none is crowded out. A
/// known issue is one notice, whatever fails in it, and a test that its program expects to fail is none.
pub fn github(record: &RunRecord, news: Option<&News>) -> String {
    let mut all = Vec::new();
    for case in &record.cases {
        let command = match case.verdict {
            Verdict::Fail | Verdict::Error => "error",
            Verdict::Known => "notice",
            Verdict::Pass | Verdict::Skip => continue,
        };
        let standing = news.and_then(|news| news.failures.get(&case.key.id()));
        let new = matches!(standing, Some(Novelty::New { .. }));
        for (place, note) in notes(case, standing).into_iter().enumerate() {
            all.push((
                command == "notice",
                place,
                Reverse(case.verdict),
                !new,
                command,
                note,
            ));
        }
    }
    all.sort_by_key(|(notice, place, verdict, old, ..)| (*notice, *place, *verdict, *old));
    let mut lines = Lines::default();
    for (.., command, note) in all {
        lines.line(format_args!("::{command} {note}"));
    }
    lines.into_text()
}

/// The annotations of a case, each without its command.
fn notes(case: &CaseRecord, standing: Option<&Novelty>) -> Vec<String> {
    let failed: Vec<(&StepRecord, &SubcaseRecord)> = match case.verdict {
        Verdict::Fail | Verdict::Error => case
            .subcases_of_steps()
            .filter(|(_, subcase)| matches!(subcase.verdict, Verdict::Fail | Verdict::Error))
            .collect(),
        Verdict::Known | Verdict::Pass | Verdict::Skip => Vec::new(),
    };
    let key = &case.key;
    let note = |line: u32, subcase: Option<&SubcaseRecord>, message: Vec<String>| {
        let part = subcase.map_or_else(String::new, |subcase| format!(" / {}", subcase.name));
        let title = format!(
            "{} {}{part} on {} {} {}",
            key.suite,
            key.case,
            key.arch,
            key.kernel_name(),
            key.variant_name()
        );
        format!(
            "file={},line={line},title={}::{}",
            property(&case.suite_file),
            property(&title),
            data(message.join("\n").trim_end())
        )
    };
    let standing = standing.map(|standing| standing.words(&key.kernel_name()));
    let mut notes = Vec::new();
    if !says_all(case, &failed) {
        let line = evidence::failed_steps(case)
            .next()
            .map_or(case.line, |step| step.line);
        let mut message = vec![evidence::headline(case)];
        message.extend(standing.clone());
        message.push(evidence::steps(case));
        notes.push(note(line, None, message));
    }
    for (step, subcase) in failed {
        let mut message = vec![evidence::subcase_title(subcase)];
        message.extend(evidence::step_headline(step).as_deref().map(one_line));
        message.extend(standing.clone());
        message.extend(subcase.said.iter().map(|said| one_line(said)));
        notes.push(note(step.line, Some(subcase), message));
    }
    notes
}

/// Whether these tests are all that is wrong with the case, and all of them are shown.
fn says_all(case: &CaseRecord, failed: &[(&StepRecord, &SubcaseRecord)]) -> bool {
    let only_tests = |step: &StepRecord| {
        // Rounds of a step that repeats others share its number.
        step.mismatches.is_empty() && failed.iter().any(|(there, _)| std::ptr::eq(*there, step))
    };
    !failed.is_empty()
        && failed.len() <= SHOWN
        && case.verdict == Verdict::Fail
        && case.findings.is_empty()
        && evidence::failed_steps(case).all(only_tests)
}

/// A message: a line end would end the command.
fn data(text: &str) -> String {
    printable(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A value before the second `::`.
fn property(text: &str) -> String {
    data(&one_line(text)).replace(':', "%3A").replace(',', "%2C")
}
