// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest says may be made by a kernel under attack: none of it does anything in a terminal, a spreadsheet or a report.

use base::{Arch, fault::Verdict};
use record::{
    CodeCounts, ExploreRecord, ExploredKernel, FoundRecord, GrewRecord, KnownSeen, ReachedRecord, RunRecord,
    Seconds, SubcaseRecord,
};
use tell::Style;

use super::summary;
use crate::page;

/// What moves a cursor, asks a terminal to answer, changes its title, hides or turns text over, ends a line, or is a formula.
const SEQUENCES: [&str; 18] = [
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;https://localhost.invalid\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}]52;c;cm0gLXJmCg==\u{7}",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{1b}[6n\u{1b}[c",
    "\u{1b}[8mhidden\u{1b}[0m",
    "\u{1b}c",
    "\u{9b}2J\u{9d}0;title\u{9c}",
    "gone\rforged",
    "gone\u{8}\u{8}\u{8}\u{8}forged",
    "\u{e}\u{f}\0\u{7f}\u{85}\u{b}\u{c}",
    "\u{202e}drawkcab\u{2066}",
    "=1+cmd|' /C calc'!A0",
    "+1+2",
    "-1+2",
    "@SUM(1)",
    "\t=1+2",
];

/// Whether a text shows only itself.
fn shows_itself(text: &str) -> bool {
    text.chars().all(|c| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (c == '\n' || c == '\t' || !c.is_control()) && !turns
    })
}

/// Every text of a run that a guest has a say in.
fn run(said: &str) -> RunRecord {
    let said = said.to_owned();
    let mut record = summary::record();
    record.notes = vec![said.clone()];
    for case in &mut record.cases {
        case.reason = case.reason.as_ref().map(|_| said.clone());
        for attempt in &mut case.attempts {
            attempt.reason = attempt.reason.as_ref().map(|_| said.clone());
        }
        case.known = case.known.as_ref().map(|_| said.clone());
        case.log_excerpt = said.clone();
        for finding in &mut case.findings {
            finding.title = said.clone();
            finding.place = Some(said.clone());
            finding.lines = vec![said.clone()];
        }
        for step in &mut case.steps {
            step.message = Some(said.clone());
            step.said = vec![said.clone()];
            step.subcases = vec![SubcaseRecord {
                name: said.clone(),
                verdict: Verdict::Fail,
                reason: Some(said.clone()),
                said: vec![said.clone()],
            }];
            for mismatch in &mut step.mismatches {
                mismatch.counter = said.clone();
                mismatch.seen = Some(said.clone());
            }
        }
    }
    record
}

fn explored(said: &str) -> ExploreRecord {
    let mut kernel = ExploredKernel::new(1, Arch::S390x, "debian:trixie", said);
    kernel.errors = vec![said.to_owned()];
    kernel.lacking = vec![said.to_owned()];
    kernel.once = vec![said.to_owned()];
    kernel.known = vec![KnownSeen {
        reason: said.to_owned(),
        times: 1,
        after: Seconds::default(),
    }];
    kernel.findings = vec![FoundRecord {
        sign: said.to_owned(),
        reason: said.to_owned(),
        number: 1,
        of: Vec::new(),
        after: Seconds::default(),
        times: 1,
        steps: 2,
        shortest: 1,
        again: (2, 2),
        tries: 3,
        file: "found/x.yaml".to_owned(),
        evidence: "cases/x".to_owned(),
    }];
    kernel.reached = Some(ReachedRecord {
        led: true,
        all: CodeCounts::default(),
        before: (0, CodeCounts::default()),
        grew: vec![GrewRecord {
            number: 1,
            after: Seconds::default(),
            of: vec![said.to_owned()],
            functions: vec![said.to_owned()],
            reached: CodeCounts::default(),
        }],
    });
    ExploreRecord {
        kernels: vec![kernel],
    }
}

#[test]
fn nothing_that_a_guest_says_does_anything() {
    for said in SEQUENCES {
        let record = run(said);
        let mut compared = page::comparison();
        for row in compared.arches.values_mut().flat_map(|sum| &mut sum.rows) {
            (row.first.name, row.first.new) = (said.to_owned(), Some(said.to_owned()));
        }
        let mut junit = Vec::new();
        tell::junit(&record, &mut junit).unwrap();
        let tables = [
            tell::csv(&record),
            tell::subcases_csv(&record),
            tell::compare_csv(&compared),
        ];
        let texts = [
            ("summary", tell::summary(&record, Style::Plain)),
            ("KTAP", tell::ktap(&record)),
            ("annotations", tell::github(&record, None)),
            ("JUnit", String::from_utf8(junit).unwrap()),
            (
                "page",
                tell::html_with(
                    &record,
                    None,
                    &record.traces(),
                    (Some(&compared), Some(&explored(said))),
                ),
            ),
            ("comparison", tell::compare_summary(&compared, Style::Plain)),
            ("mail", tell::compare_mail(&compared)),
            (
                "exploration",
                tell::explore_summary(&explored(said), "results/r", Some(&record)),
            ),
            ("tables", tables.concat()),
        ];
        for (what, text) in texts {
            assert!(shows_itself(&text), "{what} of {said:?}: {text:?}");
        }
        for table in tables {
            let mut rows = csv::Reader::from_reader(table.as_bytes());
            let cells = rows
                .records()
                .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
            let formulas: Vec<String> = cells
                .filter(|cell| cell.starts_with(['=', '+', '-', '@']))
                .collect();
            assert_eq!(formulas, Vec::<String>::new(), "of {said:?}");
        }
    }
}

/// What a test that looks for such things must see.
#[test]
fn a_text_that_does_something_is_seen() {
    let harmless = ["=1", "+1", "-1", "@SUM", "\t=1"];
    for said in SEQUENCES {
        let is_formula = harmless.iter().any(|start| said.starts_with(start));
        assert_eq!(shows_itself(said), is_formula, "{said:?}");
    }
}
