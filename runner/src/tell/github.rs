// SPDX-License-Identifier: MIT OR Apache-2.0
//! Workflow commands of GitHub Actions: each case that did not pass as an annotation at its step in the suite file.

use super::{
    evidence,
    news::{News, Standing},
    text::{Lines, one_line, printable},
};
use crate::{
    base::fault::Verdict,
    record::{CaseRecord, RunRecord},
};

/// The annotations of a run, new failures first: GitHub shows ten of a kind and drops the others.
pub fn github(record: &RunRecord, news: Option<&News>) -> String {
    let standing = |case: &CaseRecord| news.and_then(|news| news.failures.get(&case.key.id()));
    let mut cases: Vec<(&CaseRecord, &str)> = record
        .cases
        .iter()
        .filter_map(|case| match case.verdict {
            Verdict::Fail | Verdict::Error => Some((case, "error")),
            Verdict::Known => Some((case, "notice")),
            Verdict::Pass | Verdict::Skip => None,
        })
        .collect();
    cases.sort_by_key(|(case, _)| {
        let new = matches!(standing(case), Some(Standing::New { .. }));
        (std::cmp::Reverse(case.verdict), !new)
    });
    let mut lines = Lines::default();
    for (case, command) in cases {
        let line = evidence::failed_steps(case)
            .next()
            .map_or(case.line, |step| step.line);
        let key = &case.key;
        let title = format!(
            "{} {} on {} {} {}",
            key.suite, key.case, key.arch, key.kernel, key.variant
        );
        let mut message = vec![evidence::headline(case)];
        message.extend(standing(case).map(|standing| standing.words(&key.kernel)));
        message.push(evidence::steps(case));
        lines.line(format_args!(
            "::{command} file={},line={line},title={}::{}",
            property(&case.suite_file),
            property(&title),
            data(message.join("\n").trim_end())
        ));
    }
    lines.into_text()
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
