// SPDX-License-Identifier: MIT OR Apache-2.0
//! Results with covered runs, for tests.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use base::{Arch, ui::Ui};
use record::{
    CaseKey, CoverageLog, Event, Journal, KernelText, LineOfCode, RunFacts, RunFolder, SourceLines, Span,
    index::{HistoryKey, Index},
};
use vm::scratch::Scratch;

/// Runs of `debian:trixie` on s390x, in a folder that is gone afterwards.
///
/// Of the kernel, `online_pages` is at 0, `offline_pages` at 0x40 with line 17 of `mm/a.c`, `nobody` at 0x80 with line 18, and `boots` at 0xc0, which
/// booting ran.
pub(super) struct Results {
    _folder: Scratch,
    pub(super) results: Utf8PathBuf,
    index: Utf8PathBuf,
}

fn span(offset: u64) -> Span {
    Span { offset, bytes: 4 }
}

fn text(has_lines: bool) -> KernelText {
    let row = |offset, line| LineOfCode {
        inlined: None,
        span: span(offset),
        line,
    };
    let source = SourceLines {
        file: "mm/a.c".to_owned(),
        rows: vec![row(0x40, 17), row(0x80, 18)],
        ..SourceLines::default()
    };
    let functions = [
        (0, "online_pages"),
        (0x40, "offline_pages"),
        (0x80, "nobody"),
        (0xc0, "boots"),
    ];
    KernelText {
        modules: Vec::new(),
        label: "debian:trixie".to_owned(),
        release: "6.12".to_owned(),
        arch: Arch::S390x,
        side: None,
        end: 0x100,
        functions: functions.map(|(at, name)| (at, name.to_owned())).into(),
        sources: if has_lines { vec![source] } else { Vec::new() },
    }
}

/// A case of the suite `blocks` on a kernel line.
pub(super) fn key(line: &str, case: &str) -> HistoryKey {
    HistoryKey::of(&case_key(line, case))
}

fn case_key(line: &str, case: &str) -> CaseKey {
    CaseKey {
        arch: Arch::S390x,
        label: line.to_owned(),
        release: None,
        config: String::new(),
        side: None,
        suite: "blocks".to_owned(),
        variant: String::new(),
        case: case.to_owned(),
        round: None,
    }
}

impl Results {
    pub(super) fn none() -> Self {
        let folder = Scratch::new().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let (results, index) = (root.join("results"), root.join("index.sqlite"));
        fs_err::create_dir(&results).unwrap();
        Self {
            _folder: folder,
            results,
            index,
        }
    }

    /// With one run; its cases have run what is at these places, and none was judged.
    pub(super) fn of(has_lines: bool, cases: &[(&str, &[u64])]) -> Self {
        Self::judged(has_lines, cases, &[])
    }

    /// Such a run, in which some cases have a verdict.
    pub(super) fn judged(has_lines: bool, cases: &[(&str, &[u64])], verdicts: &[(&str, &str)]) -> Self {
        let results = Self::none();
        let folder = RunFolder::create(&results.results).unwrap();
        let facts: RunFacts = serde_json::from_value(json!({
            "format": 1, "id": folder.id(), "started": folder.started(), "memrig": "0.1.0", "argv": [], "seed": 0,
            "host": { "uname": "", "cpus": 1, "memory": "1G" }, "kernels": [], "qemus": [], "images": [], "suites": [],
        }))
        .unwrap();
        folder.write_facts(&facts).unwrap();
        let journal = Journal::create(folder.path()).unwrap();
        let facts = Box::new(facts);
        let planned = Vec::new();
        journal.append(&Event::RunStarted { facts, planned }).unwrap();
        for (case, verdict) in verdicts {
            let record = serde_json::from_value(json!({
                "key": case_key("debian:trixie", case), "name": "x", "suite_file": "x.yaml", "line": 1, "verdict": verdict, "reason": null,
                "seconds": 1.5, "ended": null,
            }));
            let record = Box::new(record.unwrap());
            journal.append(&Event::CaseFinished { record }).unwrap();
        }
        journal.append(&Event::RunFinished { exit: 0 }).unwrap();
        let log = CoverageLog::open(folder.path()).unwrap();
        let kernel = log.kernel(&text(has_lines)).unwrap();
        log.boot(kernel, 1, &[span(0xc0)]).unwrap();
        for (case, places) in cases {
            let pieces: Vec<Span> = places.iter().map(|at| span(*at)).collect();
            log.case(kernel, &case_key("debian:trixie", case), false, &pieces, 0)
                .unwrap();
        }
        results
    }

    pub(super) fn index(&self) -> Index {
        let mut index = Index::open(&self.index).unwrap();
        assert_eq!(index.refresh(&self.results, |_, _| {}).unwrap().unread, []);
        index
    }
}

/// The ids of cases, in a line.
pub(super) fn ids(keys: &BTreeSet<HistoryKey>) -> String {
    keys.iter()
        .map(|key| key.case.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What was told, a line each, with `RUN` for the names of runs.
pub(super) fn told(ui: &Ui) -> Vec<String> {
    ui.lines().iter().map(|line| without_runs(line)).collect()
}

/// A text with `RUN` for the names of runs.
pub(super) fn without_runs(text: &str) -> String {
    // Such as 20260901T010000Z-000001.
    let is_run = |word: &str| word.trim_end_matches([',', ')']).len() == 23 && word.contains("Z-");
    let word = |word: &str| match is_run(word) {
        true => format!("RUN{}", word.trim_start_matches(|c: char| c != ',' && c != ')')),
        false => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
