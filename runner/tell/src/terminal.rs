// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a run, as a person at a terminal wants it: the answer, then the evidence, then the counts.

use std::collections::{BTreeMap, HashSet};

use anstyle::AnsiColor;

use super::{
    evidence,
    news::{News, Novelty},
    part, rounds,
    table::{Align, columns},
    text::{Lines, count, indented, one_line},
};
use base::fault::Verdict;
use record::{CaseKey, CaseRecord, Finish, Rounds, RunPart, RunRecord, Seconds};

/// Whether the text has colour codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Text alone.
    #[default]
    Plain,
    /// Verdicts in colours, by ANSI escape sequences.
    Coloured,
}

impl Style {
    pub(super) fn paint(self, verdict: Verdict, text: &str) -> String {
        let colour = match (self, verdict) {
            (Self::Plain, _) => return text.to_owned(),
            (Self::Coloured, Verdict::Pass) => AnsiColor::Green,
            (Self::Coloured, Verdict::Fail) => AnsiColor::Red,
            (Self::Coloured, Verdict::Error) => AnsiColor::Magenta,
            (Self::Coloured, Verdict::Known | Verdict::Skip) => AnsiColor::Yellow,
        };
        let style = colour.on_default().bold();
        format!("{style}{text}{style:#}")
    }
}

/// The summary of a run.
///
/// The first line is the answer. Failures and errors follow with their evidence, the log to read and the command that
/// runs the case again; then known issues, skips by their reason, and how many cases each kernel has of each verdict.
pub fn summary(record: &RunRecord, style: Style) -> String {
    summary_with(record, None, style)
}

/// The same with what is new against earlier runs: new failures come first, and each says how it stands.
pub fn summary_with(record: &RunRecord, news: Option<&News>, style: Style) -> String {
    let several = Rounds::of(record);
    let mut parts = vec![answer(record, several.as_ref(), news, style)];
    let of = |verdict: Verdict| once(record.cases.iter().filter(move |case| case.verdict == verdict));
    let differ = several.iter().flat_map(|rounds| &rounds.differ);
    parts.push(lines(differ, |case| {
        format!("differs {}", rounds::differing(case))
    }));
    let standing = |case: &CaseRecord| news.and_then(|news| news.failures.get(&case.key.id()));
    let mut failed: Vec<&CaseRecord> = of(Verdict::Fail).collect();
    failed.sort_by_key(|case| !matches!(standing(case), Some(Novelty::New { .. })));
    parts.extend(
        failed
            .into_iter()
            .map(|case| trouble(record, case, standing(case), style)),
    );
    let unfinished: HashSet<String> = record.unfinished.iter().map(CaseKey::id).collect();
    let broken = of(Verdict::Error).filter(|case| !unfinished.contains(&case.key.id()));
    parts.extend(broken.map(|case| trouble(record, case, None, style)));
    parts.push(lines(of(Verdict::Known), |case| {
        format!(
            "{} {} on {}: {}",
            style.paint(Verdict::Known, "known"),
            title(case),
            whom(case),
            evidence::headline(case)
        )
    }));
    let turned = once(
        record
            .cases
            .iter()
            .filter(|case| case.verdict == Verdict::Pass && case.known.is_some()),
    )
    .filter_map(|case| Some((case, case.known.as_ref()?)));
    parts.push(lines(turned, |(case, known)| {
        format!(
            "{} {} on {}: listed as known, and passes: {}",
            style.paint(Verdict::Pass, "pass"),
            title(case),
            whom(case),
            one_line(known)
        )
    }));
    let fixed = |case: &CaseRecord| news?.fixed.get(&case.key.id());
    let fixed = once(record.cases.iter().filter(|case| fixed(case).is_some()))
        .filter_map(|case| Some((case, fixed(case)?)));
    parts.push(lines(fixed, |(case, past)| {
        format!(
            "{} {} on {}: failed in {}",
            style.paint(Verdict::Pass, "fixed"),
            title(case),
            whom(case),
            one_line(&past.run)
        )
    }));
    let sometimes = record
        .cases
        .iter()
        .filter(|case| matches!(case.verdict, Verdict::Pass | Verdict::Known) && case.attempts.len() > 1);
    parts.push(lines(sometimes, |case| {
        format!(
            "{} {} on {}: only at attempt {}",
            style.paint(case.verdict, case.verdict.word()),
            title(case),
            whom(case),
            case.attempts.len()
        )
    }));
    let with = once(
        record
            .cases
            .iter()
            .filter(|case| case.subcases().next().is_some()),
    );
    parts.push(lines(with, |case| {
        let counts = evidence::subcase_counts(case);
        let mut text = format!("{} on {}: {counts}", title(case), whom(case));
        // Those that failed are shown with their case.
        let quiet = case
            .subcases()
            .filter(|subcase| matches!(subcase.verdict, Verdict::Skip | Verdict::Known));
        for subcase in quiet {
            let word = style.paint(subcase.verdict, subcase.verdict.word());
            text.push_str("\n  ");
            text.push_str(&word);
            text.push(' ');
            text.push_str(&evidence::subcase_title(subcase));
        }
        text
    }));
    parts.push(arounds(record.cases.iter()));
    parts.push(skips(of(Verdict::Skip), style));
    parts.push(lines(&record.notes, |note| format!("note: {}", one_line(note))));
    parts.push(matrix(record));
    let merged = record.facts.part_of_plan();
    let merged = merged.filter(|part| matches!(part, RunPart::Merged { .. }));
    let merged = merged.map_or_else(String::new, |part| part::words(&part) + "\n");
    parts.push(format!("{merged}{}", kept(record)));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// How long it took and where it is kept, with the command that goes on where some of it was not done.
fn kept(record: &RunRecord) -> String {
    let folder = one_line(record.folder.as_str());
    let mut lines = Lines::default();
    lines.line(format_args!("record: {folder}, took {} s", record.seconds));
    let left = record.unfinished.len() + record.not_run.len();
    if left > 0
        && record
            .facts
            .part_of_plan()
            .is_none_or(|part| matches!(part, RunPart::Shard(_)))
    {
        lines.line(format_args!(
            "{} left: memrig run --resume {folder}",
            count(left, "case")
        ));
    }
    lines.into_text()
}

/// The first of each case's rounds, where cases were run several times: what is told once is told of all.
fn once<'a>(cases: impl Iterator<Item = &'a CaseRecord>) -> impl Iterator<Item = &'a CaseRecord> {
    let mut seen = HashSet::new();
    cases.filter(move |case| case.key.round.is_none() || seen.insert(case.key.without_round()))
}

fn lines<T>(all: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    all.into_iter().map(|one| line(one) + "\n").collect()
}

/// `37 cases: 35 pass, 1 fail, 1 known`, and what keeps it from being the whole truth.
fn answer(record: &RunRecord, several: Option<&Rounds>, news: Option<&News>, style: Style) -> String {
    let counts: Vec<String> = Verdict::ALL
        .into_iter()
        .map(|verdict| (verdict, tally(&record.cases, verdict)))
        .filter(|(_, n)| *n > 0)
        .map(|(verdict, n)| {
            let text = style.paint(verdict, &format!("{n} {verdict}"));
            match news {
                Some(news) if verdict == Verdict::Fail && !news.failures.is_empty() => {
                    format!("{text} ({} new)", news.fresh())
                }
                _ => text,
            }
        })
        .collect();
    let mut parts = vec![if record.cases.is_empty() {
        "no case was run".to_owned()
    } else {
        format!("{}: {}", count(record.cases.len(), "case"), counts.join(", "))
    }];
    if let Some(several) = several {
        parts.push(rounds::answer(several));
    }
    if !record.not_run.is_empty() {
        parts.push(format!("{} not run", count(record.not_run.len(), "case")));
    }
    if record.finish == Finish::CutOff {
        parts.push("the run was cut off".to_owned());
    }
    if let Some(part @ RunPart::Shard(_)) = &record.facts.part_of_plan() {
        parts.push(part::words(part));
    }
    parts.join("; ") + "\n"
}

fn tally<'a>(cases: impl IntoIterator<Item = &'a CaseRecord>, verdict: Verdict) -> usize {
    cases.into_iter().filter(|case| case.verdict == verdict).count()
}

/// Suite, id and name.
fn title(case: &CaseRecord) -> String {
    one_line(&format!("{} {} {}", case.key.suite, case.key.case, case.name))
}

/// What it ran on: architecture, kernel, configuration and variant.
fn whom(case: &CaseRecord) -> String {
    let key = &case.key;
    let mut whom = key.arch.to_string();
    let parts = [&*key.kernel_name(), key.config_name(), &key.variant_name()];
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        whom.push(' ');
        whom.push_str(part);
    }
    one_line(&whom)
}

/// A case that failed or broke.
fn trouble(record: &RunRecord, case: &CaseRecord, standing: Option<&Novelty>, style: Style) -> String {
    let key = &case.key;
    let mut body = Lines::default();
    body.line(format_args!("on {}", whom(case)));
    if key.round.is_some() {
        let once = key.without_round();
        let all = record
            .cases
            .iter()
            .filter(|case| case.key.without_round() == once);
        let same = tally(all.clone(), case.verdict);
        body.line(format_args!("the first of {same}, in {} rounds", all.count()));
    }
    if let Some(standing) = standing {
        body.line(format_args!("{}", one_line(&standing.words(&key.kernel_name()))));
    }
    if let Some(around) = &case.around {
        body.line(format_args!("with {}", one_line(around)));
    }
    let mut what = evidence::steps(case);
    let reason = evidence::headline(case);
    if what.is_empty() {
        what = format!("{}: {reason}\n", evidence::place(case, None));
    } else if case.verdict == Verdict::Error && !what.contains(&reason) {
        what.push_str(&reason);
        what.push('\n');
    }
    body.text(&evidence::attempts(case, &what));
    body.text(&what);
    for finding in &case.findings {
        body.line(format_args!("log: {}", evidence::finding_title(finding)));
    }
    let folder = one_line(record.folder.as_str());
    if !case.is_exploration() {
        body.line(format_args!("console: {folder}/{}/console.log", case.files()));
    }
    body.line(format_args!("again: {}", evidence::again(record, case)));
    let word = case.verdict.word().to_uppercase();
    format!(
        "{} {}\n{}",
        style.paint(case.verdict, &word),
        title(case),
        indented(&body.into_text(), "  ")
    )
}

/// Cases that went round an issue of their kernel, gathered by kernel and issue.
fn arounds<'a>(cases: impl Iterator<Item = &'a CaseRecord>) -> String {
    let mut kernels: BTreeMap<String, usize> = BTreeMap::new();
    for (case, around) in cases.filter_map(|case| Some((case, case.around.as_ref()?))) {
        let kernel = format!("{} {}: {around}", case.key.arch, case.key.kernel_name());
        *kernels.entry(one_line(&kernel)).or_default() += 1;
    }
    lines(kernels, |(kernel, n)| {
        format!("around {} on {kernel}", count(n, "case"))
    })
}

/// Skipped cases, gathered by their reason.
fn skips<'a>(cases: impl Iterator<Item = &'a CaseRecord>, style: Style) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases {
        *reasons.entry(evidence::headline(case)).or_default() += 1;
    }
    lines(reasons, |(reason, n)| {
        format!(
            "{} {}: {reason}",
            style.paint(Verdict::Skip, "skip"),
            count(n, "case")
        )
    })
}

/// How many cases each kernel has of each verdict.
fn matrix(record: &RunRecord) -> String {
    let mut kernels: Vec<String> = Vec::new();
    let name = |case: &CaseRecord| {
        let key = &case.key;
        one_line(&format!(
            "{} {} {}",
            key.arch,
            key.kernel_name(),
            key.config_name()
        ))
    };
    for case in &record.cases {
        let kernel = name(case);
        if !kernels.contains(&kernel) {
            kernels.push(kernel);
        }
    }
    if kernels.is_empty() {
        return String::new();
    }
    let mut head = vec!["kernel".to_owned()];
    head.extend(Verdict::ALL.map(|verdict| verdict.to_string()));
    head.push("seconds".to_owned());
    let mut rows = vec![head];
    for kernel in kernels {
        let cases: Vec<&CaseRecord> = record.cases.iter().filter(|case| name(case) == kernel).collect();
        let mut row = vec![kernel];
        row.extend(Verdict::ALL.map(|verdict| tally(cases.iter().copied(), verdict).to_string()));
        let seconds: Seconds = cases.iter().map(|case| case.seconds).sum();
        row.push(seconds.to_string());
        rows.push(row);
    }
    let mut align = vec![Align::Left];
    align.resize(rows[0].len(), Align::Right);
    columns(&rows, &align)
}

#[cfg(test)]
mod tests {
    use super::{super::news, *};

    #[test]
    fn cases_that_went_round_an_issue_are_counted_and_a_failure_says_so() {
        let mut record = news::tests::record(Verdict::Fail);
        let around = Some("vm_debug=-: it dies".to_owned());
        for case in &mut record.cases {
            case.around.clone_from(&around);
        }
        let told = summary(&record, Style::Plain);
        let n = count(record.cases.len(), "case");
        let line = format!("\naround {n} on s390x debian:sid-7.2.0: vm_debug=-: it dies\n");
        assert!(told.contains(&line), "{told}");
        assert!(told.contains("\n  with vm_debug=-: it dies\n"), "{told}");
        for case in &mut record.cases {
            case.around = None;
        }
        assert!(!summary(&record, Style::Plain).contains("vm_debug"));
    }

    #[test]
    fn an_exploration_has_no_console_and_no_line_of_a_suite() {
        let mut record = news::tests::record(Verdict::Fail);
        record.cases.truncate(1);
        assert!(summary(&record, Style::Plain).contains("console.log"));
        let key = record.cases[0].key.clone();
        let mut kernel = record::ExploredKernel::new(7, key.arch, &key.label, "6.12");
        kernel.errors.push("the line broke".to_owned());
        record.cases[0] = kernel.case(key);
        let told = summary(&record, Style::Plain);
        let line = "\n  explore.json: 1 of 1 sequences broke, first: the line broke\n";
        assert!(told.contains(line) && !told.contains("console.log"), "{told}");
    }
}
