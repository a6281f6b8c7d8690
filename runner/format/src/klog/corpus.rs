// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real logs and what must be found in them: tests/corpus/klog, described in its README.
//!
//! `MEMRIG_BLESS=1` writes the `finding:` lines of every file anew; read the difference before it is committed.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use proptest::prelude::*;

use super::{Finding, Kind, classify, is_panic};

struct Golden {
    path: PathBuf,
    /// `key: value` lines but for the findings.
    facts: Vec<String>,
    findings: Vec<String>,
    log: Vec<u8>,
}

static CORPUS: LazyLock<Vec<Golden>> = LazyLock::new(corpus);

fn corpus() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/klog");
    let mut paths: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs_err::read(&path).unwrap();
            let end = bytes
                .windows(2)
                .position(|two| two == b"\n\n")
                .unwrap_or_else(|| panic!("{path:?}: no header"));
            let header = str::from_utf8(&bytes[..end]).unwrap();
            let (findings, facts) = header
                .lines()
                .map(str::to_owned)
                .partition(|line: &String| line.starts_with("finding: "));
            Golden {
                facts,
                findings,
                log: bytes[end + 2..].to_vec(),
                path,
            }
        })
        .collect()
}

fn header_line(finding: &Finding) -> String {
    let place = finding.place.as_deref().unwrap_or("-");
    let fatal = if finding.fatal { " | fatal" } else { "" };
    format!(
        "finding: {} | {} | {} | {place}{fatal}",
        finding.line, finding.kind, finding.title
    )
}

#[test]
fn every_log_gives_its_findings() {
    let corpus = &*CORPUS;
    let bless = std::env::var_os("MEMRIG_BLESS").is_some();
    let mut wrong = Vec::new();
    let mut clean = 0;
    for golden in corpus {
        let seen: Vec<String> = classify(&golden.log).iter().map(header_line).collect();
        clean += usize::from(seen.is_empty());
        if seen == golden.findings {
            continue;
        }
        if bless {
            let mut bytes = [&golden.facts[..], &seen[..]].concat().join("\n").into_bytes();
            bytes.extend_from_slice(b"\n\n");
            bytes.extend_from_slice(&golden.log);
            fs_err::write(&golden.path, bytes).unwrap();
        } else {
            wrong.push(format!(
                "{:?}\n  want {:#?}\n  seen {seen:#?}",
                golden.path, golden.findings
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "MEMRIG_BLESS=1 rewrites the headers\n{}",
        wrong.join("\n")
    );
    assert!(corpus.len() >= 60, "only {} files", corpus.len());
    assert!(
        clean >= 5 && corpus.len() - clean >= 50,
        "{clean} of {} without findings",
        corpus.len()
    );
}

#[test]
fn every_file_tells_where_it_comes_from() {
    for golden in &*CORPUS {
        for key in ["kernel: ", "command: "] {
            let there = golden
                .facts
                .iter()
                .any(|fact| fact.strip_prefix(key).is_some_and(|rest| !rest.is_empty()));
            assert!(there, "{:?}: no {key}", golden.path);
        }
    }
}

#[test]
fn findings_are_well_formed() {
    for golden in &*CORPUS {
        for finding in classify(&golden.log) {
            let at = usize::try_from(finding.offset).unwrap();
            let first = String::from_utf8_lossy(&golden.log[at..])
                .lines()
                .next()
                .unwrap()
                .to_owned();
            assert!(
                first.ends_with(finding.lines[0].as_str()),
                "{:?}: {first} / {finding:?}",
                golden.path
            );
            let ends = golden.log[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(finding.line, ends + 1, "{:?}", golden.path);
            assert!(
                !finding.title.contains("0x") || finding.title.contains("exitcode"),
                "{finding:?}"
            );
            assert!(
                finding.lines.len() <= super::MAX_LINES && finding.time_ns.is_some(),
                "{finding:?}"
            );
        }
    }
}

/// The same event on another architecture, or on another kernel, has the same title wherever the kernel has the same words: 7.2 names
/// the files of modules without the folder.
#[test]
fn titles_compare() {
    let title = |name: &str| {
        let golden = CORPUS
            .iter()
            .find(|golden| golden.path.ends_with(format!("{name}.txt")))
            .unwrap();
        classify(&golden.log).remove(0).title.replace("at /mnt/", "at ")
    };
    assert_eq!(title("warn_text-6.12-s390x"), title("warn_text-6.12-amd64"));
    assert_eq!(title("warn_text-6.12-s390x"), title("warn_text-7.2-amd64"));
    assert_eq!(title("warn_text-6.12-s390x"), title("warn_text-7.2-s390x"));
    assert_eq!(title("bug-6.12-s390x"), title("bug-6.12-amd64"));
    assert_eq!(title("addr-6.12-s390x"), title("addr-7.2-s390x"));
    assert_eq!(title("refcount-6.12-s390x"), title("refcount-6.12-amd64"));
    for lock in [
        "circular",
        "recursive",
        "inconsistent",
        "irqorder",
        "rcu",
        "unbalanced",
        "heldfree",
        "leftheld",
        "nonstatic",
        "sleep",
    ] {
        let on = |arch: &str| title(&format!("{lock}-6.12-lockdep-{arch}"));
        assert_eq!(on("s390x"), on("amd64"));
        assert!(
            lock == "sleep" || on("s390x").starts_with("lockdep: "),
            "{}",
            on("s390x")
        );
    }
}

#[test]
fn last_words_are_heard_of_every_panic_and_in_no_other_log() {
    for golden in &*CORPUS {
        let panics: Vec<Finding> = classify(&golden.log)
            .into_iter()
            .filter(|finding| finding.kind == Kind::Panic)
            .collect();
        for panic in &panics {
            assert!(is_panic(&panic.lines[0]), "{:?}: {panic:?}", golden.path);
        }
        let log = String::from_utf8_lossy(&golden.log);
        assert_eq!(log.lines().any(is_panic), !panics.is_empty(), "{:?}", golden.path);
    }
}

/// The findings come from the lines that they name: without these there are others, or none.
#[test]
fn a_report_without_its_beginning() {
    for golden in &*CORPUS {
        let whole = classify(&golden.log);
        let mut log = golden.log.clone();
        for finding in &whole {
            let from = usize::try_from(finding.offset).unwrap();
            let mut ends = log[from..]
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .map(|(at, _)| at);
            let len = ends.nth(2).unwrap_or(log.len() - from);
            log[from..from + len].fill(b'.');
        }
        assert!(whole.is_empty() || classify(&log) != whole, "{:?}", golden.path);
    }
}

/// A log that stops anywhere gives the beginning of what the whole log gives; only the last finding may know less.
#[test]
fn a_log_cut_off() {
    for golden in CORPUS.iter().filter(|golden| golden.log.len() < 12_000) {
        let whole = classify(&golden.log);
        for cut in (0..golden.log.len()).step_by(997) {
            let part = classify(&golden.log[..cut]);
            let sure = part.len().saturating_sub(1);
            for (seen, want) in part[..sure].iter().zip(&whole) {
                assert_eq!(
                    (seen.kind, seen.offset),
                    (want.kind, want.offset),
                    "{:?} cut at {cut}",
                    golden.path
                );
            }
        }
    }
}

/// Each finding has a title, and a line that is where it says.
pub(super) fn in_order(log: &[u8], findings: &[Finding]) -> Result<(), TestCaseError> {
    prop_assert!(findings.is_sorted_by_key(|finding| finding.offset));
    for finding in findings {
        let before = usize::try_from(finding.offset).unwrap();
        prop_assert!(before <= log.len() && !finding.title.is_empty());
        let ends = log[..before].iter().filter(|byte| **byte == b'\n').count() as u64;
        prop_assert_eq!(finding.line, ends + 1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Pieces of real logs shuffled, with rubbish between: no panic, and each finding is in its place.
    #[test]
    fn shuffled(picks in prop::collection::vec((0usize..1000, 0usize..5000, 0usize..1500), 1..12),
                rubbish in prop::collection::vec(any::<u8>(), 0..64)) {
        let corpus = &*CORPUS;
        let mut log = Vec::new();
        for (file, from, len) in picks {
            let text = &corpus[file % corpus.len()].log;
            let from = from % text.len();
            log.extend_from_slice(&text[from..(from + len).min(text.len())]);
            log.extend_from_slice(&rubbish);
        }
        in_order(&log, &classify(&log))?;
    }
}
