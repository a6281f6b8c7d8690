// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cases over many runs: what they came to, and which are unsteady.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    news::judges,
    table::{Align, columns},
    text::{Lines, count, minute, one_line},
};
use base::fault::Verdict;
use record::index::{HistoryKey, RunVerdict, Seen, Unsteady};

/// A case that comes out now one way and now another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flaky {
    #[serde(flatten)]
    pub(crate) key: HistoryKey,
    pub(crate) name: String,
    /// The kernel on which it did: label, hyphen, release.
    pub(crate) kernel: String,
    /// Runs on that kernel that judged it.
    pub(crate) runs: usize,
    /// Those in which it failed.
    pub(crate) failed: usize,
    /// Those in which its attempts had different verdicts.
    pub(crate) mixed: usize,
    /// Runs in which the bench broke.
    pub(crate) errors: usize,
    /// The run that first showed it: a second result, or attempts that differ.
    pub(crate) since: String,
    pub(crate) since_time: Timestamp,
    /// The last run in which it was the rarer result, or attempts differed.
    pub(crate) last: String,
}

/// The cases that are not steady, the worst first.
///
/// A case is flaky where it passed and failed on the very same kernel, or where attempts within one run differ. A change that
/// comes with another release is none.
pub fn flaky(cases: &[Unsteady]) -> Vec<Flaky> {
    let mut found: Vec<Flaky> = cases.iter().filter_map(unsteady).collect();
    let rate = |flaky: &Flaky| (flaky.failed + flaky.mixed) * 1000 / flaky.runs.max(1);
    found.sort_by_key(|flaky| std::cmp::Reverse(rate(flaky)));
    found
}

fn unsteady(case: &Unsteady) -> Option<Flaky> {
    let runs = &case.runs;
    let bad = |one: &RunVerdict| one.verdict != Verdict::Pass;
    let judged: Vec<&RunVerdict> = runs.iter().filter(|one| judges(one.verdict)).collect();
    let failed = judged.iter().filter(|one| bad(one)).count();
    let mixed = runs.iter().filter(|one| one.mixed).count();
    let both = failed > 0 && failed < judged.len();
    if !both && mixed == 0 {
        return None;
    }
    let turned = judged.iter().find(|one| bad(one) != bad(judged[0])).copied();
    let since = [turned, runs.iter().find(|one| one.mixed)]
        .into_iter()
        .flatten()
        .min_by_key(|one| (one.started, &one.run))?;
    let rarer_is_bad = failed * 2 <= judged.len();
    let last = runs
        .iter()
        .rfind(|one| one.mixed || (both && judges(one.verdict) && bad(one) == rarer_is_bad))?;
    Some(Flaky {
        key: case.key.clone(),
        name: case.name.clone(),
        kernel: case.kernel.clone(),
        runs: judged.len(),
        failed,
        mixed,
        errors: runs.iter().filter(|one| one.verdict == Verdict::Error).count(),
        since: since.run.clone(),
        since_time: since.started,
        last: last.run.clone(),
    })
}

/// `s390x debian:sid standby S08 variant`.
fn title(key: &HistoryKey) -> String {
    let parts = [
        &*key.arch.to_string(),
        &key.line,
        &key.config,
        &key.suite,
        &key.case,
        &key.variant,
    ];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    one_line(&parts.join(" "))
}

/// Every case with its runs: one letter each in a line, and those rows in which something changed.
///
/// `seen` is case by case, and each from its first run to its last, as the index gives it.
pub fn history_text(seen: &[Seen]) -> String {
    let mut parts = Vec::new();
    for runs in seen.chunk_by(|a, b| a.key == b.key) {
        let [first, .., last] = runs else {
            parts.push(one_case(&runs[0], &runs[0], runs));
            continue;
        };
        parts.push(one_case(first, last, runs));
    }
    parts.join("\n")
}

/// Letters of the verdicts in a line of runs.
pub(super) fn letter(one: &Seen) -> char {
    match one.verdict {
        Verdict::Pass if one.mixed => 'p',
        Verdict::Pass => '.',
        Verdict::Fail => 'F',
        Verdict::Error => 'E',
        Verdict::Known => 'K',
        Verdict::Skip => 's',
    }
}

fn one_case(first: &Seen, last: &Seen, runs: &[Seen]) -> String {
    let mut lines = Lines::default();
    lines.line(format_args!("{}: {}", title(&last.key), one_line(&last.name)));
    let letters: String = runs.iter().map(letter).collect();
    let when = match (minute(first.started), minute(last.started)) {
        (from, to) if from == to => from,
        (from, to) => format!("{from} to {to}"),
    };
    lines.line(format_args!(
        "  {letters}  ({}, {when})",
        count(runs.len(), "run")
    ));
    let mut rows = Vec::new();
    for (at, one) in runs.iter().enumerate() {
        let same = at > 0
            && at + 1 < runs.len()
            && (one.verdict, &one.kernel, one.mixed)
                == (runs[at - 1].verdict, &runs[at - 1].kernel, runs[at - 1].mixed);
        if same {
            continue;
        }
        let attempts = match one.attempts {
            0 | 1 => String::new(),
            n => format!("{n} attempts"),
        };
        rows.push(vec![
            format!("  {}", minute(one.started)),
            one.verdict.to_string(),
            one.kernel.clone(),
            one.seconds.to_string(),
            one.run.clone(),
            attempts,
            one.reason.as_deref().map(one_line).unwrap_or_default(),
        ]);
    }
    use Align::{Left, Right};
    rows.insert(
        0,
        ["  started", "verdict", "kernel", "seconds", "run", "", "reason"]
            .map(str::to_owned)
            .to_vec(),
    );
    lines.text(&columns(&rows, &[Left, Left, Left, Right, Left, Left, Left]));
    lines.into_text()
}

/// The flaky cases as a table.
pub fn flaky_text(all: &[Flaky]) -> String {
    let mut rows = vec![
        [
            "case", "kernel", "failed", "mixed", "errors", "runs", "since", "last",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for one in all {
        rows.push(vec![
            title(&one.key),
            one.kernel.clone(),
            one.failed.to_string(),
            one.mixed.to_string(),
            one.errors.to_string(),
            one.runs.to_string(),
            one.since.clone(),
            one.last.clone(),
        ]);
    }
    use Align::{Left, Right};
    columns(&rows, &[Left, Left, Right, Right, Right, Right, Left, Left])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use base::Arch;
    use record::{Seconds, index::Boot};

    /// A case as it was seen on a day of 1970.
    pub(crate) fn seen(day: i64, kernel: &str, verdict: Verdict, mixed: bool) -> Seen {
        Seen {
            run: format!("run-{day}"),
            started: Timestamp::from_second(day * 86_400).unwrap(),
            key: HistoryKey {
                arch: Arch::X86_64,
                line: "debian:sid".to_owned(),
                config: String::new(),
                suite: "blocks".to_owned(),
                variant: String::new(),
                case: "B01".to_owned(),
            },
            name: "online and offline".to_owned(),
            kernel: kernel.to_owned(),
            verdict,
            reason: (verdict != Verdict::Pass).then(|| "a reason\nof two lines".to_owned()),
            attempts: 1 + u32::from(mixed),
            mixed,
            seconds: Seconds::from_millis(1_000),
            boot: Some(Boot {
                mem_total: 1000,
                free: 900 - day.unsigned_abs(),
                seconds: Seconds::from_millis(500),
            }),
        }
    }

    /// The same as the index puts it together.
    fn together(seen: &[Seen]) -> Vec<Unsteady> {
        let mut all: Vec<Unsteady> = Vec::new();
        for one in seen {
            let outcome = RunVerdict {
                run: one.run.clone(),
                started: one.started,
                verdict: one.verdict,
                mixed: one.mixed,
            };
            match all.iter_mut().find(|unsteady| unsteady.kernel == one.kernel) {
                Some(unsteady) => unsteady.runs.push(outcome),
                None => all.push(Unsteady {
                    key: one.key.clone(),
                    name: one.name.clone(),
                    kernel: one.kernel.clone(),
                    runs: vec![outcome],
                }),
            }
        }
        all
    }

    #[test]
    fn two_results_on_one_kernel_are_flaky_and_a_change_with_a_release_is_not() {
        use Verdict::*;
        let steady = [
            seen(1, "sid-7.1", Pass, false),
            seen(2, "sid-7.2", Fail, false),
            seen(3, "sid-7.2", Fail, false),
        ];
        assert_eq!(flaky(&together(&steady)), []);
        let broken = [
            seen(1, "sid-7.1", Pass, false),
            seen(2, "sid-7.1", Error, false),
            seen(3, "sid-7.1", Skip, false),
        ];
        assert_eq!(flaky(&together(&broken)), []);
        let two = [
            seen(1, "sid-7.1", Pass, false),
            seen(2, "sid-7.1", Pass, false),
            seen(3, "sid-7.1", Fail, false),
            seen(4, "sid-7.1", Error, false),
            seen(5, "sid-7.1", Pass, false),
        ];
        let found = flaky(&together(&two));
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.runs, one.failed, one.mixed, one.errors), (4, 1, 0, 1));
        assert_eq!((&*one.since, &*one.last), ("run-3", "run-3"));
    }

    #[test]
    fn attempts_that_differ_are_flaky_in_a_single_run() {
        let found = flaky(&together(&[seen(7, "sid-7.1", Verdict::Pass, true)]));
        assert_eq!((found[0].mixed, &*found[0].since), (1, "run-7"));
    }

    #[test]
    fn a_history_shows_letters_and_the_rows_where_something_changed() {
        use Verdict::*;
        let all = [
            seen(1, "sid-7.1", Pass, false),
            seen(2, "sid-7.1", Pass, false),
            seen(3, "sid-7.1", Pass, false),
            seen(4, "sid-7.2", Fail, false),
            seen(5, "sid-7.2", Pass, true),
            seen(6, "sid-7.2", Skip, false),
        ];
        insta::assert_snapshot!(history_text(&all));
        let once = history_text(&all[..1]);
        assert!(once.contains("  .  (1 run, 1970-01-02 00:00)\n"), "{once}");
        insta::assert_snapshot!(flaky_text(&flaky(&together(&all))));
        insta::assert_snapshot!(super::super::history_csv(&all[3..5]));
    }
}
