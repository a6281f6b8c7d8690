// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page over many runs: which case came to what in which of them.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use jiff::Timestamp;

use super::words::in_link;
use crate::{
    history::letter,
    text::{cut, minute, one_line},
};
use base::fault::Verdict;
use record::index::{HistoryKey, Seen};

#[derive(Template)]
#[template(path = "history.html")]
struct Page {
    /// Name of each run and when it was, the oldest first.
    runs: Vec<(String, String)>,
    from: String,
    to: String,
    /// Cases that did not come to the same in all runs.
    turned: usize,
    lines: Vec<Line>,
}

/// A kernel line on an architecture.
struct Line {
    anchor: String,
    title: String,
    rows: Vec<Row>,
}

/// A case of it.
struct Row {
    title: String,
    turned: bool,
    cells: Vec<Option<Cell>>,
}

/// A case in a run.
struct Cell {
    verdict: Verdict,
    letter: char,
    link: String,
    words: String,
}

/// Longest text over a cell, in bytes.
const LONGEST: usize = 400;

/// The page of all that was seen, which lies in the results folder: its links lead to the runs there.
pub fn history_html(seen: &[Seen]) -> String {
    let runs: BTreeSet<(Timestamp, &str)> = seen.iter().map(|one| (one.started, &*one.run)).collect();
    let mut cases: BTreeMap<&HistoryKey, BTreeMap<&str, &Seen>> = BTreeMap::new();
    for one in seen {
        cases.entry(&one.key).or_default().insert(&one.run, one);
    }
    let mut lines: BTreeMap<(String, &str, &str), Vec<Row>> = BTreeMap::new();
    for (key, of_run) in &cases {
        let verdicts: BTreeSet<Verdict> = of_run.values().map(|one| one.verdict).collect();
        let row = Row {
            title: one_line(&format!("{}/{} {}", key.suite, key.case, key.variant)),
            turned: verdicts.len() > 1 || of_run.values().any(|one| one.mixed),
            cells: runs
                .iter()
                .map(|(_, run)| of_run.get(run).map(|one| cell(one)))
                .collect(),
        };
        let line = (key.arch.to_string(), &*key.line, &*key.config);
        lines.entry(line).or_default().push(row);
    }
    let at = |run: Option<&(Timestamp, &str)>| run.map_or_else(String::new, |(started, _)| minute(*started));
    let page = Page {
        from: at(runs.first()),
        to: at(runs.last()),
        turned: lines.values().flatten().filter(|row| row.turned).count(),
        runs: runs
            .iter()
            .map(|(started, run)| (one_line(run), minute(*started)))
            .collect(),
        lines: lines
            .into_iter()
            .enumerate()
            .map(|(number, ((arch, line, config), rows))| Line {
                anchor: format!("line-{number}"),
                title: one_line(format!("{arch} {line} {config}").trim_end()),
                rows,
            })
            .collect(),
    };
    page.render()
        .expect("the template writes into a String and calls nothing that fails")
}

fn cell(one: &Seen) -> Cell {
    let reason = one
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    Cell {
        verdict: one.verdict,
        letter: letter(one),
        link: in_link(&format!("./{}/report.html", one.run)),
        words: cut(
            &one_line(&format!(
                "{} on {} in {}{reason}",
                one.verdict, one.kernel, one.run
            )),
            LONGEST,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use record::Seconds;

    fn seen(run: &str, case: &str, verdict: Verdict) -> Seen {
        Seen {
            run: run.to_owned(),
            started: format!("2026-11-{}T01:00:00Z", &run[..2]).parse().unwrap(),
            key: HistoryKey {
                arch: Arch::S390x,
                line: "debian:sid".to_owned(),
                config: String::new(),
                suite: "standby".to_owned(),
                variant: String::new(),
                case: case.to_owned(),
            },
            name: String::new(),
            kernel: "debian:sid-7.2".to_owned(),
            verdict,
            reason: (verdict != Verdict::Pass).then(|| "<b>EBUSY</b>".to_owned()),
            attempts: 1,
            mixed: false,
            seconds: Seconds::default(),
            boot: None,
        }
    }

    #[test]
    fn a_row_is_a_case_and_a_cell_leads_to_its_run() {
        use Verdict::{Fail, Pass, Skip};
        let page = history_html(&[
            seen("03 c", "S01", Fail),
            seen("01-a", "S01", Pass),
            seen("01-a", "S02", Pass),
            seen("02-b", "S02", Pass),
            seen("03 c", "S02", Skip),
        ]);
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.contains("scope=\"row\""))
            .collect();
        assert_eq!(rows.len(), 2);
        // Nothing is known of the second run in the first row; the oldest is on the left.
        let cells: Vec<&str> = rows[0].split("<td>").skip(1).collect();
        assert!(
            cells[0].contains("class=\"pass\"") && cells[1].starts_with("</td>"),
            "{cells:?}"
        );
        assert!(
            cells[2].contains("href=\"./03%20c/report.html\"") && cells[2].contains(">F</a>"),
            "{cells:?}"
        );
        assert!(!page.contains("<b>EBUSY"), "what a guest says is text");
        assert!(
            rows.iter().all(|row| row.starts_with("<tr class=\"turned\"")),
            "{rows:?}"
        );
        assert!(
            page.contains("did not come to the same (2)")
                && page.contains("3 runs, 2026-11-01 01:00 to 2026-11-03 01:00")
        );
    }
}
