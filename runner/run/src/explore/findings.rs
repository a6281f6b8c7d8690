// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the sequences of one kernel came to, counted. Pure.

use std::{collections::BTreeMap, time::Duration};

use base::fault::Verdict;
use explore::Sign;
use record::{ExploredKernel, FoundRecord, KnownSeen};

/// What one sequence came to.
#[derive(Debug)]
pub(super) struct Ended {
    /// Steps that were done.
    pub(super) steps: u64,
    /// The verdict of the guest that told.
    pub(super) verdict: Verdict,
    /// Why, in one line.
    pub(super) reason: String,
    /// Reasons of the known issues that showed.
    pub(super) known: Vec<String>,
    /// How it failed, where that is not known.
    pub(super) sign: Option<Sign>,
    /// What was made of it, where it was the first that failed so.
    pub(super) found: Option<FoundRecord>,
    /// Why it is no finding though it failed: no other guest showed it again.
    pub(super) once: Option<String>,
}

impl Ended {
    /// A sequence that was not begun.
    pub(super) fn never() -> Self {
        Self {
            steps: 0,
            verdict: Verdict::Pass,
            reason: String::new(),
            known: Vec::new(),
            sign: None,
            found: None,
            once: None,
        }
    }
}

/// Signs that were seen, and how often.
#[derive(Debug, Default)]
pub(super) struct Signs {
    seen: BTreeMap<Sign, u64>,
    once: BTreeMap<Sign, u64>,
}

impl Signs {
    /// Counts one, and says whether it is the first.
    pub(super) fn is_new(&mut self, sign: &Sign) -> bool {
        let times = self.seen.entry(sign.clone()).or_default();
        *times += 1;
        *times == 1
    }

    /// Forgets one that no other guest showed again, so that the next one is looked at; says whether that was done often enough for it to be no chance.
    pub(super) fn showed_once(&mut self, sign: &Sign) -> bool {
        self.seen.remove(sign);
        let times = self.once.entry(sign.clone()).or_default();
        *times += 1;
        *times >= OFTEN
    }
}

/// So many sequences that show the same once are a finding.
const OFTEN: u64 = 4;

/// Counts a sequence that is over, `at` since the exploration of its kernel began.
pub(super) fn count(
    kernel: &mut ExploredKernel,
    times: &mut BTreeMap<Sign, u64>,
    ended: Ended,
    at: Duration,
) {
    kernel.operations += ended.steps;
    match ended.verdict {
        Verdict::Error => kernel.errors.push(ended.reason),
        Verdict::Skip => {
            if !kernel.lacking.contains(&ended.reason) {
                kernel.lacking.push(ended.reason);
            }
        }
        Verdict::Pass | Verdict::Known | Verdict::Fail => kernel.sequences += u64::from(ended.steps > 0),
    }
    for reason in ended.known {
        match kernel.known.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.times += 1,
            None => kernel.known.push(KnownSeen {
                reason,
                times: 1,
                after: at.into(),
            }),
        }
    }
    if let Some(sign) = ended.sign {
        *times.entry(sign).or_default() += 1;
    }
    kernel.findings.extend(ended.found);
    kernel.once.extend(ended.once);
    for found in &mut kernel.findings {
        let seen = times.iter().find(|(sign, _)| sign.to_string() == found.sign);
        found.times = seen.map_or(found.times, |(_, times)| *times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use suite::{Failure, FailureKind, Place};

    fn sign(said: &str) -> Sign {
        let failure = Failure {
            step: Place::Step(1),
            kind: FailureKind::Errno,
            said: vec![said.to_owned()],
        };
        Sign::of(&failure, "online: {}")
    }

    fn ended(verdict: Verdict, sign: Option<Sign>, found: bool) -> Ended {
        let record = |sign: &Sign| FoundRecord {
            sign: sign.to_string(),
            reason: String::new(),
            number: 0,
            of: Vec::new(),
            after: Duration::ZERO.into(),
            times: 1,
            steps: 9,
            shortest: 2,
            again: (2, 2),
            tries: 3,
            file: String::new(),
            evidence: String::new(),
        };
        Ended {
            steps: 5,
            verdict,
            reason: "why".to_owned(),
            known: vec!["leak".to_owned()],
            found: sign.as_ref().filter(|_| found).map(record),
            sign,
            once: None,
        }
    }

    #[test]
    fn failures_with_one_sign_are_one_finding_whichever_ended_first() {
        let mut kernel = ExploredKernel::new(1, Arch::S390x, "k", "6");
        let mut signs = Signs::default();
        assert!(signs.is_new(&sign("EIO")) && !signs.is_new(&sign("EIO")) && signs.is_new(&sign("EPERM")));
        let mut times = BTreeMap::new();
        let at = Duration::from_secs(7);
        // The first one that failed so ends after the second: it was made shorter.
        for (sign, found) in [
            (sign("EIO"), false),
            (sign("EIO"), true),
            (sign("EPERM"), true),
            (sign("EIO"), false),
        ] {
            count(
                &mut kernel,
                &mut times,
                ended(Verdict::Fail, Some(sign), found),
                at,
            );
        }
        count(&mut kernel, &mut times, ended(Verdict::Error, None, false), at);
        count(&mut kernel, &mut times, Ended::never(), at);
        count(&mut kernel, &mut times, ended(Verdict::Skip, None, false), at);
        count(&mut kernel, &mut times, ended(Verdict::Skip, None, false), at);
        let found: Vec<u64> = kernel.findings.iter().map(|found| found.times).collect();
        assert_eq!((found, kernel.sequences, kernel.operations), (vec![3, 1], 4, 35));
        assert_eq!((kernel.errors.len(), kernel.lacking.len()), (1, 1));
        assert_eq!(
            (kernel.known[0].times, kernel.known[0].after.as_millis()),
            (7, 7000)
        );
    }
}
