// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is new in a run, against the runs before it on the same kernel line.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::text::count;
use base::fault::Verdict;
use record::{
    RunRecord,
    index::{HistoryKey, Seen},
};

/// One earlier run of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Past {
    /// The run.
    pub run: String,
    /// When it started.
    pub started: Timestamp,
    /// The kernel: label, hyphen, release.
    pub kernel: String,
    /// What the case came to.
    pub verdict: Verdict,
}

/// How a failure stands to the runs before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Novelty {
    /// The last run that judged the case came to something else.
    New {
        /// That run.
        last: Past,
    },
    /// The last run that judged the case came to the same.
    Still {
        /// The first run of those that failed in a row.
        since: Past,
        /// How many failed in a row, without this one.
        runs: usize,
    },
    /// No run before this one judged the case on this kernel line.
    Unseen,
}

/// What is new in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct News {
    /// How each failure stands, by the id of the case.
    pub failures: BTreeMap<String, Novelty>,
    /// Cases that pass, and failed when they were last judged, by their id; with the last failure.
    pub fixed: BTreeMap<String, Past>,
}

impl News {
    /// How many failures are new.
    pub(crate) fn fresh(&self) -> usize {
        let new = |standing: &&Novelty| matches!(standing, Novelty::New { .. });
        self.failures.values().filter(new).count()
    }
}

impl Novelty {
    /// The standing in words, such as `new: passed in RUN`.
    pub(crate) fn words(&self, kernel: &str) -> String {
        let on = |past: &Past| {
            if past.kernel == kernel {
                String::new()
            } else {
                format!(" on {}", past.kernel)
            }
        };
        match self {
            Self::New { last } if last.verdict == Verdict::Pass => {
                format!("new: passed in {}{}", last.run, on(last))
            }
            Self::New { last } => format!("new: was {} in {}{}", last.verdict, last.run, on(last)),
            Self::Still { since, runs } => format!(
                "not new: failed in the {} before, since {}{}",
                count(*runs, "run"),
                since.run,
                on(since)
            ),
            Self::Unseen => "no run before has judged this case on this kernel line".to_owned(),
        }
    }
}

/// Tells new failures of a run from those that were there before.
///
/// `before` is what was seen of its cases in earlier runs, in any order. Only a run that judged the kernel counts: one in
/// which the case was skipped, or in which the bench broke, says nothing, and the one before it is looked at. Where no earlier run judged
/// anything, nothing is new and nothing old.
pub fn news(record: &RunRecord, before: &[Seen]) -> News {
    let mut past: HashMap<&HistoryKey, Vec<&Seen>> = HashMap::new();
    for seen in before.iter().filter(|seen| judges(seen.verdict)) {
        past.entry(&seen.key).or_default().push(seen);
    }
    for all in past.values_mut() {
        all.sort_by(|a, b| (b.started, &b.run).cmp(&(a.started, &a.run)));
    }
    let mut news = News::default();
    if past.is_empty() {
        return news;
    }
    for case in record
        .cases
        .iter()
        .filter(|case| matches!(case.verdict, Verdict::Fail | Verdict::Pass))
    {
        let key = HistoryKey::of(&case.key);
        let runs = past.get(&key).map_or(&[][..], Vec::as_slice);
        let failed = runs
            .iter()
            .take_while(|seen| seen.verdict == Verdict::Fail)
            .count();
        let id = case.key.id();
        match (case.verdict, runs) {
            (Verdict::Fail, []) => {
                news.failures.insert(id, Novelty::Unseen);
            }
            (Verdict::Fail, [last, ..]) if failed == 0 => {
                news.failures.insert(id, Novelty::New { last: one(last) });
            }
            (Verdict::Fail, runs) => {
                let since = one(runs[failed - 1]);
                news.failures.insert(id, Novelty::Still { since, runs: failed });
            }
            (_, [last, ..]) if failed > 0 => {
                news.fixed.insert(id, one(last));
            }
            _ => {}
        }
    }
    news
}

/// Whether the verdict says something about the kernel.
pub(super) fn judges(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Fail | Verdict::Known)
}

fn one(seen: &Seen) -> Past {
    Past {
        run: seen.run.clone(),
        started: seen.started,
        kernel: seen.kernel.clone(),
        verdict: seen.verdict,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use base::Arch;
    use record::{CaseKey, CaseRecord, Finish, HostFacts, KernelFacts, RunFacts, RunId, Seconds};

    /// A run of one case.
    pub(crate) fn record(verdict: Verdict) -> RunRecord {
        let key = CaseKey {
            arch: Arch::S390x,
            label: "debian:sid".to_owned(),
            release: Some("7.2.0".to_owned()),
            config: String::new(),
            side: None,
            suite: "standby".to_owned(),
            variant: String::new(),
            case: "S01".to_owned(),
            round: None,
        };
        let started = "2026-09-20T01:00:00Z".parse().unwrap();
        let case = CaseRecord {
            key,
            name: String::new(),
            suite_file: String::new(),
            line: 1,
            verdict,
            reason: None,
            known: None,
            attempts: Vec::new(),
            seconds: Seconds::default(),
            steps: Vec::new(),
            findings: Vec::new(),
            command_line: String::new(),
            ended: None,
            facts: serde_json::Value::Null,
            around: None,
            log_excerpt: String::new(),
        };
        RunRecord {
            folder: "results/x".into(),
            facts: RunFacts {
                format: 1,
                id: RunId::new(started, 0),
                started,
                memrig: String::new(),
                argv: Vec::new(),
                host: HostFacts::default(),
                kernels: vec![KernelFacts {
                    label: "debian:sid".to_owned(),
                    source: None,
                    release: "7.2.0".to_owned(),
                    arch: Arch::S390x,
                    packages: Vec::new(),
                    image_sha256: String::new(),
                    config: BTreeMap::new(),
                }],
                qemus: Vec::new(),
                images: Vec::new(),
                suites: Vec::new(),
                part: None,
            },
            cases: vec![case],
            unfinished: Vec::new(),
            not_run: Vec::new(),
            notes: Vec::new(),
            finish: Finish::Exit(1),
            seconds: Seconds::default(),
            attempts: HashMap::new(),
        }
    }

    /// Earlier runs, the first of them first.
    fn past(verdicts: &[Verdict]) -> Vec<Seen> {
        let record = record(Verdict::Pass);
        let key = HistoryKey::of(&record.cases[0].key);
        let seen = |(at, verdict): (usize, &Verdict)| Seen {
            run: format!("run-{at}"),
            started: Timestamp::from_second(1_000 * at as i64).unwrap(),
            key: key.clone(),
            name: String::new(),
            kernel: "debian:sid-7.1.0".to_owned(),
            verdict: *verdict,
            reason: None,
            attempts: 1,
            mixed: false,
            seconds: Seconds::default(),
            boot: None,
        };
        verdicts.iter().enumerate().map(seen).collect()
    }

    fn standing(before: &[Verdict]) -> String {
        let record = record(Verdict::Fail);
        let news = news(&record, &past(before));
        let id = record.cases[0].key.id();
        news.failures[&id].words(&record.cases[0].key.kernel_name())
    }

    #[test]
    fn a_failure_is_new_where_the_last_judgement_was_another() {
        use Verdict::*;
        // Where nothing was ever judged, there is nothing to say.
        assert_eq!(news(&record(Fail), &past(&[])), News::default());
        assert_eq!(news(&record(Fail), &past(&[Skip, Error])), News::default());
        assert_eq!(
            standing(&[Fail, Pass]),
            "new: passed in run-1 on debian:sid-7.1.0"
        );
        assert_eq!(
            standing(&[Pass, Error, Skip]),
            "new: passed in run-0 on debian:sid-7.1.0"
        );
        assert_eq!(standing(&[Known]), "new: was known in run-0 on debian:sid-7.1.0");
        assert_eq!(
            standing(&[Fail, Pass, Fail, Error, Fail]),
            "not new: failed in the 2 runs before, since run-2 on debian:sid-7.1.0"
        );
    }

    #[test]
    fn a_pass_after_a_failure_is_fixed_and_a_known_issue_is_no_news() {
        use Verdict::*;
        let fixed = |now, before: &[Verdict]| news(&record(now), &past(before)).fixed.len();
        assert_eq!(fixed(Pass, &[Pass, Fail, Error]), 1);
        assert_eq!(fixed(Pass, &[Fail, Pass]), 0);
        assert_eq!(news(&record(Known), &past(&[Pass])), News::default());
        assert_eq!(news(&record(Error), &past(&[Pass])), News::default());
    }

    #[test]
    fn another_line_says_nothing() {
        let mut before = past(&[Verdict::Pass]);
        before[0].key.line = "debian:trixie".to_owned();
        let news = news(&record(Verdict::Fail), &before);
        assert_eq!(news.failures.values().next(), Some(&Novelty::Unseen));
    }

    proptest! {
        #[test]
        fn the_order_of_what_was_seen_does_not_matter(verdicts in proptest::collection::vec(0usize..5, 0..8), cut in 0usize..8) {
            let verdicts: Vec<Verdict> = verdicts.into_iter().map(|at| Verdict::ALL[at]).collect();
            let before = past(&verdicts);
            let mut turned = before.clone();
            turned.rotate_left(cut.min(before.len()));
            turned.reverse();
            let record = record(Verdict::Fail);
            prop_assert_eq!(news(&record, &before), news(&record, &turned));
        }
    }
}
