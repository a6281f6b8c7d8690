// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often a case is tried, and what that says. Pure.

use crate::{base::fault::Verdict, record::Attempt};

/// How often a case that fails is run in all, to tell always from sometimes. It stays a failure.
const FAIL_ROUNDS: usize = 3;

/// Whether a case is to be tried on one more guest: once after an error, and after a failure that nobody knows of, until
/// there are three rounds with it; where the failure itself is `enough`, not even then. What the last attempt broke of may be `lasting`,
/// so that no other guest changes it.
pub(super) fn again(attempts: &[Attempt], enough: bool, lasting: bool) -> bool {
    let first_fail = attempts
        .iter()
        .position(|attempt| attempt.verdict == Verdict::Fail);
    match first_fail {
        _ if lasting => false,
        Some(first) => !enough && attempts.len() - first < FAIL_ROUNDS,
        None => attempts.len() == 1 && attempts[0].verdict == Verdict::Error,
    }
}

/// In how many of the guests that gave a verdict a case failed; `None` if it was tried once or did not fail.
pub(super) fn how_often(attempts: &[Attempt]) -> Option<String> {
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
    use crate::record::Seconds;

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
            assert_eq!(again(&attempts(verdicts), false, false), more, "{verdicts:?}");
        }
        assert!(
            !again(&attempts(&[Fail]), true, false),
            "a pair of kernels tells how often"
        );
        assert!(
            !again(&attempts(&[Verdict::Known]), false, false),
            "a known issue needs no more evidence"
        );
        assert!(
            again(&attempts(&[Fail, Verdict::Known]), false, false),
            "it is no evidence of another failure"
        );
        assert!(
            !again(&attempts(&[Error]), false, true),
            "what no other guest changes is not tried on another"
        );
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
