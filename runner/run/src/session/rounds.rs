// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often a case is tried, and what that says. Pure.

use base::fault::Verdict;
use record::Attempt;

/// How often a case that fails is run in all, to tell always from sometimes. It stays a failure.
const FAIL_ROUNDS: usize = 3;

/// How often a case is run in all that the host was too busy for.
const STARVED_ROUNDS: usize = 4;

/// Whether a case is to be tried on one more guest: once after an error, and after a failure that nobody knows of, until
/// there are three rounds with it; where the failure itself is `enough`, not even then. What the last attempt broke of may be `lasting`,
/// so that no other guest changes it. `starved` attempts are those for which the host was too busy: they say nothing, and are made up for.
pub(crate) fn again(attempts: &[Attempt], starved: usize, enough: bool, lasting: bool) -> bool {
    let first_fail = attempts
        .iter()
        .position(|attempt| attempt.verdict == Verdict::Fail);
    match first_fail {
        _ if lasting => false,
        Some(first) => !enough && attempts.len() - first < FAIL_ROUNDS,
        None => {
            let is_error = attempts.last().is_some_and(|last| last.verdict == Verdict::Error);
            is_error && attempts.len() - starved < 2 && attempts.len() < STARVED_ROUNDS
        }
    }
}

/// In how many of the guests that gave a verdict a case failed; `None` if it was tried once or did not fail.
pub(crate) fn how_often(attempts: &[Attempt]) -> Option<String> {
    let count = |verdict| {
        attempts
            .iter()
            .filter(|attempt| attempt.verdict == verdict)
            .count()
    };
    let (fails, errors) = (count(Verdict::Fail), count(Verdict::Error));
    (fails > 0 && attempts.len() - errors > 1).then(|| format!("{fails} of {}", attempts.len() - errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Seconds;

    fn attempts(verdicts: &[Verdict]) -> Vec<Attempt> {
        verdicts
            .iter()
            .map(|verdict| Attempt {
                verdict: *verdict,
                reason: None,
                seconds: Seconds::default(),
            })
            .collect()
    }

    #[test]
    fn an_error_is_tried_once_more_and_a_failure_in_two_more_guests() {
        use Verdict::{Error, Fail, Pass, Skip};
        for (verdicts, more) in [
            (&[Pass][..], false),
            (&[Skip], false),
            (&[Error], true),
            (&[Error, Error], false),
            (&[Error, Pass], false),
            (&[Fail], true),
            (&[Fail, Pass], true),
            (&[Fail, Error], true),
            (&[Fail, Pass, Pass], false),
            (&[Error, Fail], true),
            (&[Error, Fail, Fail], true),
            (&[Error, Fail, Fail, Fail], false),
        ] {
            assert_eq!(again(&attempts(verdicts), 0, false, false), more, "{verdicts:?}");
        }
        assert!(
            !again(&attempts(&[Fail]), 0, true, false),
            "a pair of kernels tells how often"
        );
        assert!(
            !again(&attempts(&[Verdict::Known]), 0, false, false),
            "a known issue needs no more evidence"
        );
        assert!(
            again(&attempts(&[Fail, Verdict::Known]), 0, false, false),
            "it is no evidence of another failure"
        );
        assert!(
            !again(&attempts(&[Error]), 0, false, true),
            "what no other guest changes is not tried on another"
        );
        for (verdicts, starved, more) in [
            (&[Error][..], 1, true),
            (&[Error, Error], 2, true),
            (&[Error, Error], 1, true),
            (&[Error, Error, Error], 1, false),
            (&[Error, Error, Error, Error], 4, false),
            (&[Error, Pass], 1, false),
            (&[Error, Error, Fail], 2, true),
        ] {
            assert_eq!(
                again(&attempts(verdicts), starved, false, false),
                more,
                "{verdicts:?} {starved}"
            );
        }
    }

    #[test]
    fn it_is_told_how_often_a_case_fails() {
        use Verdict::{Error, Fail, Pass};
        let often = |verdicts| how_often(&attempts(verdicts));
        assert_eq!(often(&[Fail, Fail, Fail]).as_deref(), Some("3 of 3"));
        assert_eq!(often(&[Fail, Pass, Pass]).as_deref(), Some("1 of 3"));
        assert_eq!(often(&[Error, Fail, Error, Pass]).as_deref(), Some("1 of 2"));
        assert_eq!(often(&[Fail]), None);
        assert_eq!(often(&[Error, Pass]), None);
    }
}
