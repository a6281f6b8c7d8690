// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case that did not pass, as the page shows it.

use std::collections::BTreeMap;

use super::{
    plot::{self, Plot},
    timeline::{Timeline, timeline},
    words::{link, title, whom},
};
use crate::{
    evidence,
    news::{News, Novelty},
    text::{cut, one_line, printable},
};
use base::fault::Verdict;
use record::{CaseRecord, MismatchRecord, RunRecord, StepRecord, SubcaseRecord, Trace, Traces};

/// Cases that are shown with time line and log. The page of a run in which everything fails must still open on a phone.
const DETAILED: usize = 60;

/// Longest log of a case in the page, in bytes.
const LONGEST_LOG: usize = 16 << 10;

/// A case that did not pass, with what speaks for its verdict.
pub(super) struct Trouble {
    pub(super) anchor: String,
    pub(super) verdict: Verdict,
    pub(super) open: bool,
    pub(super) title: String,
    pub(super) whom: String,
    pub(super) standing: Option<String>,
    pub(super) headline: String,
    pub(super) place: String,
    pub(super) attempts: String,
    pub(super) steps: Vec<ShownStep>,
    pub(super) findings: Vec<Finding>,
    pub(super) timeline: Option<Timeline>,
    pub(super) plot: Option<Plot>,
    pub(super) log: String,
    pub(super) command_line: String,
    pub(super) again: String,
    pub(super) files: Vec<(String, String)>,
    pub(super) detailed: bool,
}

pub(super) struct ShownStep {
    pub(super) number: u32,
    pub(super) verdict: Verdict,
    pub(super) text: String,
    pub(super) place: String,
    pub(super) seconds: String,
    pub(super) message: String,
    /// The last words of its scripts.
    pub(super) said: String,
    /// Verdict, title and last words of the tests of a program.
    pub(super) subcases: Vec<(Verdict, String, String)>,
    pub(super) mismatches: Vec<[String; 7]>,
}

pub(super) struct Finding {
    pub(super) title: String,
    pub(super) lines: String,
}

/// The cases that did not pass: what is worst and new comes first.
pub(super) fn troubles(
    record: &RunRecord,
    news: Option<&News>,
    traces: &Traces,
    anchors: &BTreeMap<String, String>,
) -> Vec<Trouble> {
    let standing = |case: &CaseRecord| news.and_then(|news| news.failures.get(&case.key.id()));
    let mut cases: Vec<&CaseRecord> = record
        .cases
        .iter()
        .filter(|case| anchors.contains_key(&case.key.id()))
        .collect();
    cases.sort_by_key(|case| {
        let old = !matches!(standing(case), Some(Novelty::New { .. }));
        (std::cmp::Reverse(case.verdict), old)
    });
    let none = Trace::default();
    cases
        .into_iter()
        .enumerate()
        .map(|(at, case)| {
            let id = case.key.id();
            let trace = traces.get(&id).unwrap_or(&none);
            let detailed = at < DETAILED;
            Trouble {
                anchor: anchors[&id].clone(),
                verdict: case.verdict,
                open: at == 0 && case.verdict == Verdict::Fail,
                title: title(case),
                whom: whom(&case.key),
                standing: standing(case).map(|standing| one_line(&standing.words(&case.key.kernel_name()))),
                headline: cut(&evidence::headline(case), 2_000),
                place: evidence::place(case, None),
                attempts: evidence::attempts(case, &evidence::headline(case)),
                steps: case
                    .steps
                    .iter()
                    .filter_map(|step| shown(case, step, detailed))
                    .collect(),
                findings: case
                    .findings
                    .iter()
                    .take(if detailed { 20 } else { 1 })
                    .map(|finding| Finding {
                        title: format!(
                            "{}: {}",
                            one_line(&finding.kind),
                            evidence::finding_title(finding)
                        ),
                        lines: if detailed {
                            cut(&printable(&finding.lines.join("\n")), LONGEST_LOG)
                        } else {
                            String::new()
                        },
                    })
                    .collect(),
                timeline: if detailed { timeline(case, trace) } else { None },
                plot: if detailed {
                    plot::memory(&trace.ledgers)
                } else {
                    None
                },
                log: if detailed {
                    cut(&printable(&case.log_excerpt), LONGEST_LOG)
                } else {
                    String::new()
                },
                command_line: if detailed {
                    one_line(&case.command_line)
                } else {
                    String::new()
                },
                again: evidence::again(record, case),
                files: trace
                    .files
                    .iter()
                    .map(|file| (file.clone(), link(case, file)))
                    .collect(),
                detailed,
            }
        })
        .collect()
}

fn shown(case: &CaseRecord, step: &StepRecord, all: bool) -> Option<ShownStep> {
    if !all && step.verdict == Verdict::Pass {
        return None;
    }
    Some(ShownStep {
        number: step.number,
        verdict: step.verdict,
        text: cut(&one_line(&step.text), evidence::LONGEST_TEXT),
        place: evidence::place(case, Some(step)),
        seconds: step.seconds.to_string(),
        message: cut(&step.message.as_deref().map_or_else(String::new, one_line), 2_000),
        said: cut(&printable(&step.said.join("\n")), 4_000),
        subcases: subcases(step),
        mismatches: step.mismatches.iter().take(100).map(mismatch).collect(),
    })
}

/// The tests of a program, those that failed first.
fn subcases(step: &StepRecord) -> Vec<(Verdict, String, String)> {
    let mut all: Vec<_> = step.subcases.iter().collect();
    all.sort_by_key(|subcase| std::cmp::Reverse(subcase.verdict));
    let shown = |subcase: &&SubcaseRecord| {
        let title = cut(&evidence::subcase_title(subcase), 400);
        (
            subcase.verdict,
            title,
            cut(&printable(&subcase.said.join("\n")), 2_000),
        )
    };
    all.iter().take(500).map(shown).collect()
}

fn mismatch(mismatch: &MismatchRecord) -> [String; 7] {
    let allowed = match mismatch.tolerance {
        0 => "exact".to_owned(),
        pages => format!("±{pages}"),
    };
    [
        one_line(&mismatch.counter),
        evidence::value(mismatch.before.as_deref()),
        evidence::value(mismatch.predicted.as_deref()),
        evidence::value(mismatch.seen.as_deref()),
        evidence::off_by(mismatch),
        allowed,
        one_line(&mismatch.unit),
    ]
}
