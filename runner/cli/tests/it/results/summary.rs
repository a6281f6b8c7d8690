// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person sees at the end of a run.

use base::fault::Verdict;
use camino::Utf8PathBuf;
use record::{Finish, PlanFacts, RunId, RunPart, RunRecord, Seconds, ShardFacts};
use tell::Style;

use super::sample;

/// The sample, as if it had been read from `results/sample`.
pub(crate) fn record() -> RunRecord {
    RunRecord {
        folder: Utf8PathBuf::from("results/sample"),
        facts: sample::facts(),
        cases: sample::cases(),
        unfinished: Vec::new(),
        not_run: Vec::new(),
        notes: vec!["a sample".to_owned()],
        finish: Finish::Exit(1),
        seconds: Seconds::from_millis(12_000),
        attempts: Default::default(),
    }
}

#[test]
fn the_answer_comes_first_and_the_evidence_after() {
    insta::assert_snapshot!(tell::summary(&record(), Style::Plain));
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = tell::summary(&record(), Style::Coloured);
    assert_ne!(coloured, tell::summary(&record(), Style::Plain));
    let plain = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(plain, tell::summary(&record(), Style::Plain));
}

#[test]
fn what_a_guest_says_moves_no_cursor() {
    let mut record = record();
    record.cases[1].findings[0].title = "\u{1b}[2J\u{9b}2J gone\rforged".to_owned();
    record.cases[1].steps[2].message = Some("\u{7}\u{1b}]0;title\u{7}".to_owned());
    let text = tell::summary(&record, Style::Plain);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(text.contains("\\x1b[2J\\x9b2J gone forged"), "{text}");
}

#[test]
fn a_known_issue_that_does_not_show_is_told() {
    let mut record = record();
    record.cases[0].known = Some("blocks stay behind".to_owned());
    let text = tell::summary(&record, Style::Plain);
    assert!(
        text.contains(
            "pass blocks B01 online and offline on x86_64 debian:trixie-6.12.107+deb13-amd64 memmap_on_memory=off: listed as known, \
            and passes: blocks stay behind\n"
        )
    );
}

/// A fail that did not show again stays a fail, and the console that shows it is named.
#[test]
fn a_fail_that_shows_sometimes_is_told_with_its_own_console() {
    let mut record = record();
    let case = &mut record.cases[1];
    let mut again = case.attempts[0].clone();
    again.verdict = Verdict::Pass;
    again.reason = None;
    case.attempts.push(again);
    let text = tell::summary(&record, Style::Plain);
    assert!(
        text.contains("  attempt 1: fail: 4 counters are not as predicted\n  attempt 2: pass\n"),
        "{text}"
    );
    assert!(text.contains("/B01/attempt-1/console.log\n"), "{text}");
}

#[test]
fn nothing_is_not_everything() {
    let mut record = record();
    record.cases.clear();
    assert!(tell::summary(&record, Style::Plain).starts_with("no case was run\n"));
}

/// The facts of the second of five parts of a plan of 387 cases.
pub(crate) fn second_of_five() -> RunPart {
    RunPart::Shard(ShardFacts {
        how: "slice".to_owned(),
        number: 2,
        of: 5,
        plan: Some(PlanFacts {
            sha256: sample::sha("plan"),
            cases: 387,
        }),
    })
}

/// A part is not the whole truth, and its answer says so; a merged run names its parts; a whole run says nothing of it.
#[test]
fn which_part_of_its_plan_a_run_is_stands_in_the_summary() {
    let mut record = record();
    let of = |record: &RunRecord| {
        let text = tell::summary(record, Style::Plain);
        let (first, last) = (text.lines().next(), text.lines().rev().nth(1));
        (first.unwrap().to_owned(), last.unwrap().to_owned())
    };
    let (whole, _) = of(&record);
    record.facts.part = Some(second_of_five());
    let (answer, _) = of(&record);
    assert_eq!(answer, format!("{whole}; shard slice:2/5 of a plan of 387 cases"));
    // The first memrig said it in its command line alone.
    record.facts.part = None;
    record.facts.argv.push("--shard=hash:1/3".to_owned());
    assert_eq!(of(&record).0, format!("{whole}; shard hash:1/3"));
    let runs = [1, 2].map(|random| RunId::new(record.facts.started, random));
    record.facts.part = Some(RunPart::Merged { runs: runs.to_vec() });
    let (answer, parts) = of(&record);
    assert_eq!(answer, whole);
    assert_eq!(
        parts,
        "merged from 2 runs: 20260914T101530Z-000001, 20260914T101530Z-000002"
    );
    record.facts.part = Some(RunPart::Whole);
    assert_eq!(of(&record), (whole, String::new()));
}

#[test]
fn the_table_of_cases_has_a_line_for_each() {
    insta::assert_snapshot!(tell::csv(&record()));
}
