// SPDX-License-Identifier: MIT OR Apache-2.0
//! What suites list as known: it is recognised in any sequence.

use crate::sign::word;
use base::Arch;
use suite::{Failure, Known, Suite, Variant};

/// The known issues of suites, each with what its step is recognised by.
#[derive(Debug, Clone, Default)]
pub struct Issues(Vec<(StepShape, Known)>);

/// The line of what comes before the first step.
pub const BOOT: &str = "boot";

/// What of a step's line tells it from others, whatever block it is about: its word, the errno that it must fail with, and the file that it writes.
#[derive(Debug, Clone)]
struct StepShape {
    word: String,
    fails: Option<String>,
    via: Option<String>,
}

impl StepShape {
    /// Whether another step is as this one. Where a suite does not name the file, it is any.
    fn is(&self, other: &Self) -> bool {
        let via = self.via.is_none() || self.via == other.via;
        via && (&self.word, &self.fails) == (&other.word, &other.fails)
    }

    fn of(line: &str) -> Self {
        let value = |key: &str| {
            let (_, rest) = line.split_once(key)?;
            Some(rest.split([',', ' ']).next().unwrap_or(rest).to_owned())
        };
        Self {
            // An `add` of standby blocks configures them, where that is done block by block.
            word: match word(line) {
                "configure" => "add",
                word => word,
            }
            .to_owned(),
            fails: value("fails: "),
            via: value("via: "),
        }
    }
}
impl Issues {
    /// Those of these suites.
    pub fn of<'s>(suites: impl IntoIterator<Item = &'s Suite>) -> Self {
        let cases = suites.into_iter().flat_map(|suite| &suite.cases);
        let issues = cases.flat_map(|case| {
            case.known.iter().map(|known| {
                let step = known
                    .sign
                    .step_of(case)
                    .map_or(BOOT.to_owned(), ToString::to_string);
                (StepShape::of(&step), known.clone())
            })
        });
        Self(issues.collect())
    }

    /// The issue of this kernel and variant that a failure in a step is, as far as its sign says.
    pub fn listed<'i>(
        &'i self,
        failure: &'i Failure,
        step: &str,
        (release, arch, variant): (&'i str, Arch, &'i Variant),
    ) -> impl Iterator<Item = &'i Known> {
        let step = StepShape::of(step);
        let listed = self.0.iter().filter(move |(of, known)| {
            of.is(&step) && known.applies(release, arch, variant) && known.sign.is_anywhere(failure)
        });
        listed.map(|(_, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::{FailureKind, Place};

    /// What a suite lists whose case has this known issue, an `add` and an `online` that fails.
    fn listed(known: &str) -> Issues {
        let text = format!(
            "suite: x\ncases:\n  - id: A\n    name: a\n    known: [{{ {known} }}]\n    \
             steps: [add: {{ as: b }}, online: {{ block: b, fails: EPERM }}]\n"
        );
        Issues::of([&Suite::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"))])
    }

    #[test]
    fn what_is_known_of_booting_is_recognised_there_alone() {
        let issues =
            listed("kernels: 6.12.., reason: poison, sign: { step: boot, kind: panic, pattern: poison }");
        let failure = Failure {
            step: Place::Boot,
            kind: FailureKind::Panic,
            said: vec!["addressing exception in page_init_poison".to_owned()],
        };
        let known = |step: &str| {
            let kernel = ("6.12.1", Arch::S390x, &Variant::default());
            issues.listed(&failure, step, kernel).count()
        };
        assert_eq!((known(BOOT), known("add: { as: b1 }")), (1, 0));
    }

    #[test]
    fn a_known_issue_is_recognised_in_another_step_of_the_same_word() {
        let issues = listed(
            "kernels: 6.9..6.18, reason: leak, sign: { step: 2, kind: mismatch, pattern: '^assigned:' }",
        );
        let failure = Failure {
            step: Place::Step(17),
            kind: FailureKind::Mismatch,
            said: vec!["assigned: predicted none, seen 1".to_owned()],
        };
        let known = |release, step: &str, failure: &Failure| {
            issues
                .listed(failure, step, (release, Arch::S390x, &Variant::default()))
                .count()
        };
        let step = "online: { block: b7.1, zone: movable, fails: EPERM }";
        for step in [
            step,
            "online: { block: b7, via: online, fails: EPERM }",
            "write: { block: b7, file: state, value: \"online\\n\", fails: EPERM }",
        ] {
            assert_eq!(known("6.12.1", step, &failure), 1, "{step}");
        }
        assert_eq!(known("6.1.1", step, &failure), 0);
        for other in [
            "offline: { block: b7, fails: EPERM }",
            "online: { block: b7 }",
            "online: { block: b7, fails: EIO }",
            "write: { block: b7, file: state, value: \"offline\\n\", fails: EPERM }",
        ] {
            assert_eq!(known("6.12.1", other, &failure), 0, "{other}");
        }
        let other = Failure {
            kind: FailureKind::Errno,
            ..failure
        };
        assert_eq!(known("6.12.1", step, &other), 0);
    }
}
